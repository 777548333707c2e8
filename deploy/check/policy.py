#!/usr/bin/env python3
"""What no linter of Dockerfiles and compose files asks: that the container is as confined as we say, and that what is named is there."""

import json
import pathlib
import re
import shlex
import sys

import yaml

HERE = pathlib.Path(__file__).resolve().parent.parent
ROOT = HERE.parent
wrong = []


def must(holds, what):
    """Notes what does not hold."""
    if not holds:
        wrong.append(what)


def instructions(text):
    """(name, rest) of each instruction, continuation lines joined."""
    lines = re.sub(r"\\\n", " ", "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#")))
    return [tuple(line.split(None, 1)) for line in lines.splitlines() if line.strip()]


def sources(steps):
    """What COPY takes from the context."""
    for name, rest in steps:
        words = shlex.split(rest)
        if name == "COPY" and not words[0].startswith("--from"):
            yield from (word for word in words[:-1] if not word.startswith("--"))


def dockerfile():
    """The image."""
    path = HERE / "docker" / "Dockerfile"
    steps = instructions(path.read_text())
    last = max(at for at, (name, _) in enumerate(steps) if name == "FROM")
    final = steps[last:]
    must("distroless" in final[0][1] and final[0][1].endswith(":nonroot"), "the last stage is no distroless image without root")
    users = [rest for name, rest in final if name == "USER"]
    must(users and re.fullmatch(r"[1-9]\d+:[1-9]\d+", users[-1]), "the last stage has no numeric user")
    volumes = [json.loads(rest)[0] for name, rest in final if name == "VOLUME"]
    given = [rest for name, rest in final if name == "COPY" and f"--chown={users[-1]} " in rest]
    must(volumes and all(any(rest.endswith(f" {volume}") for rest in given) for volume in volumes), "a volume would belong to root: COPY --chown an empty folder there")
    health = [rest for name, rest in final if name == "HEALTHCHECK"]
    must(health and '"/usr/bin/stagewatch", "health"' in health[0], "the health check is not the binary's")
    must(not [1 for name, _ in steps if name == "ADD"], "ADD is used")
    must(not [1 for name, _ in final if name == "RUN"], "the last stage runs something: there is no shell in it")
    builds = [rest for name, rest in steps if name == "RUN" and "cargo build" in rest]
    must(builds and all("--locked" in rest for rest in builds), "cargo build is not --locked")
    for name, rest in steps:
        if name == "FROM":
            must(re.search(r":[\w.-]+|@sha256:", rest) and ":latest" not in rest, f"FROM {rest} is not pinned")
    ignored = (HERE / "docker" / "Dockerfile.dockerignore").read_text().split()
    for source in sources(steps):
        must((ROOT / source).exists(), f"COPY {source}: it is not there")
        must(f"!{source.split('/')[0]}" in ignored, f"COPY {source}: Dockerfile.dockerignore keeps it out")


def compose():
    """The compose files."""
    base = HERE / "compose"
    main = yaml.safe_load((base / "compose.yaml").read_text())
    more = yaml.safe_load((base / "rehearsal.yaml").read_text())
    services = {name: {**main["services"].get(name, {}), **service} for name, service in {**main["services"], **more["services"]}.items()}
    for name, service in {**services, **main["services"]}.items():
        must(service.get("read_only") is True, f"{name}: its root can be written")
        must(service.get("cap_drop") == ["ALL"], f"{name}: it keeps capabilities")
        must("no-new-privileges:true" in service.get("security_opt", []), f"{name}: it may gain privileges")
        must(re.search(r":v?\d[\w.]*$", service.get("image", "")), f"{name}: image {service.get('image')} is not pinned")
        must(not service.get("privileged") and not service.get("pid"), f"{name}: it is privileged")
        for port in service.get("ports", []):
            must(str(port).startswith("127.0.0.1:"), f"{name}: port {port} is open to the network")
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            if source.startswith("."):
                must((base / source).exists(), f"{name}: {source} is not there")
                must(mode == ["ro"], f"{name}: {source} can be written")
            else:
                must(source in main["volumes"], f"{name}: volume {source} is not declared")
        for secret in service.get("secrets", []):
            must(secret in main["secrets"], f"{name}: secret {secret} is not declared")
        for entry, value in service.get("environment", {}).items():
            secret = re.search(r"PASSWORD|TOKEN|SECRET|KEY", entry)
            must(not secret or str(value).startswith("/run/secrets/"), f"{name}: {entry} is a secret in the environment")
        for other in service.get("depends_on", []):
            must(other in services, f"{name}: depends on {other}, which is not there")


def rehearsed():
    """Prometheus of the rehearsal is the shipped one, but for whom the prober asks and how."""
    text = (HERE / "prometheus" / "prometheus.yml").read_text()
    for shipped, other in (("api.staging.netrasystems.ai:443", "127.0.0.1:18080"), ("module: [ws-http500]", "module: [ws-http500-plain]")):
        must(text.count(shipped) == 1, f"prometheus.yml does not hold {shipped} once")
        text = text.replace(shipped, other)
    must((HERE / "compose" / "prometheus.rehearsal.yml").read_text() == text, "compose/prometheus.rehearsal.yml is not prometheus.yml with the rehearsal's address")


def versions():
    """One version everywhere."""
    version = re.search(r'^version = "([^"]+)"', (ROOT / "Cargo.toml").read_text(), re.M).group(1)
    chart = yaml.safe_load((HERE / "helm" / "stagewatch" / "Chart.yaml").read_text())
    must(chart["version"] == chart["appVersion"] == version, f"the chart is not {version}")
    must(f"image: stagewatch:{version}" in (HERE / "compose" / "compose.yaml").read_text(), f"compose.yaml is not {version}")
    must(f'newTag: "{version}"' in (HERE / "kubernetes" / "kustomization.yaml").read_text(), f"kustomization.yaml is not {version}")


def main():
    """Everything."""
    dockerfile()
    compose()
    rehearsed()
    versions()
    for what in wrong:
        print(f"error: {what}", file=sys.stderr)
    if wrong:
        sys.exit(1)
    print("ok    image, compose files, versions")


if __name__ == "__main__":
    main()
