#!/usr/bin/env python3
"""Writes the bill of materials (CycloneDX 1.5, JSON) of what the program is built of to standard output.

    python3 sbom.py > stagewatch.cdx.json

The same commit gives the same bytes: no time, no serial number.
"""

import hashlib
import json
import pathlib
import re
import sys
import tomllib

import check


def checksums():
    """SHA-256 of each crate as Cargo.lock has it."""
    lock = tomllib.loads((check.ROOT / "Cargo.lock").read_text())
    return {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}


def component(package, sums):
    """One crate."""
    url = f"pkg:cargo/{package['name']}@{package['version']}"
    made = {"type": "library", "bom-ref": url, "name": package["name"], "version": package["version"], "purl": url}
    if package["license"]:
        made["licenses"] = [{"expression": re.sub(r"\s*/\s*", " OR ", package["license"])}]
    checksum = sums.get((package["name"], package["version"]))
    if checksum:
        made["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return made


def bill(metadata, packages):
    """The whole bill."""
    packages = sorted(packages, key=lambda package: (package["name"], package["version"]))
    named = {package["id"]: component(package, checksums()) for package in packages}
    root = metadata["resolve"]["root"]
    own = {**named[root], "type": "application"}
    dependencies = []
    for node in metadata["resolve"]["nodes"]:
        if node["id"] in named:
            on = sorted(named[dep["pkg"]]["bom-ref"] for dep in node["deps"] if dep["pkg"] in named)
            dependencies.append({"ref": named[node["id"]]["bom-ref"], "dependsOn": on})
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": own},
        "components": [made for id, made in named.items() if id != root],
        "dependencies": sorted(dependencies, key=lambda entry: entry["ref"]),
    }


def main():
    """Writes it."""
    text = json.dumps(bill(*check.reached(["x86_64-unknown-linux-gnu"])), indent=1, ensure_ascii=False) + "\n"
    sys.stdout.write(text)
    print(f"sha256 {hashlib.sha256(text.encode()).hexdigest()}", file=sys.stderr)


if __name__ == "__main__":
    main()
