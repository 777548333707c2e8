#!/usr/bin/env python3
"""The compose stack's pieces started by hand on loopback with the shipped files, unchanged but for addresses: the rehearsal, the daemon, Prometheus
at its own pace, Alertmanager and blackbox_exporter. One incident: the scrape is up, every rule is loaded, the pager is told by all three
paths, and every query of every dashboard has an answer, none excused.

    python3 tests/see/stack.py [--dashboards FOLDER] [STAGEWATCH]

About five minutes; the binary is target/debug/stagewatch unless named. `--dashboards` draws them as well (dashboards/render/run.sh).
Debian: apt-get install prometheus prometheus-alertmanager prometheus-blackbox-exporter
"""

import argparse
import contextlib
import http.server
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

import daemons
import queries

FAULT = "ws-upgrade-500"
PAGE = "StagewatchWebSocketUpgradeHTTP500"
# The three paths to it, by the labels of what they tell Alertmanager.
PATHS = {"the push": {"origin": "push"}, "the rule": {"origin": "prometheus"}, "the prober": {"job": "ws-http500"}}
# The rehearsal speaks plain TCP, so that its prober does too.
STAGING = "api.staging.netrasystems.ai:443"
JUDGED_WITHIN = 240
PAGED_WITHIN = 120
# Four scrapes before the incident and twelve in it: what is averaged over a minute shows both.
BEFORE, IN_IT = 60, 180


class Receiver(http.server.BaseHTTPRequestHandler):
    """Stands for the pager, the tickets and the dead-man's-switches, and is a control address that answers."""

    told = []

    def do_POST(self):
        said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.told.extend((self.path, alert["status"], alert["labels"]["alertname"]) for alert in said["alerts"])
        self.do_GET()

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


def until(what: str, within: float, done):
    """Waits for it and says so."""
    found = daemons.eventually(within, what, done)
    print(f"ok    {what}", flush=True)
    return found


class Stack:
    """All of it, with its addresses."""

    def __init__(self, binary: pathlib.Path, folder: pathlib.Path, running: contextlib.ExitStack):
        self.binary, self.folder, self.running = str(binary), folder, running
        self.begun = time.time()
        self.backend, self.auth, self.control, self.listen, self.told = (f"127.0.0.1:{daemons.free_port()}" for _ in range(5))
        receiver = http.server.ThreadingHTTPServer(("127.0.0.1", int(self.told.rpartition(":")[2])), Receiver)
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        rehearse = ["rehearse", "--listen", self.backend, "--auth", self.auth, "--control", self.control, "--time-scale", "0.02"]
        running.enter_context(daemons.Process([self.binary, *rehearse], folder / "rehearsal.log"))
        daemons.eventually(30, "the rehearsal", lambda: daemons.get(f"http://{self.control}/rehearsal/stats"))
        self.alertmanager = running.enter_context(daemons.Alertmanager(folder, {"127.0.0.1:9099": self.told}))
        prober = running.enter_context(daemons.Blackbox(folder))
        shutil.copytree(daemons.ROOT / "config", folder / "config")
        # Three control addresses as in config/stagewatch.yaml; the rehearsal, which is meant for machines without a network, has none.
        controls = ", ".join(f'"http://{self.told}/{name}"' for name in ("one", "two", "three"))
        daemons.shipped("config/rehearsal.yaml", folder / "config", {
            "127.0.0.1:18080": self.backend, "127.0.0.1:18081": self.auth, "controls: []": f"controls: [{controls}]"})
        self.daemon = self.started()
        self.prometheus = running.enter_context(daemons.Prometheus(folder, {
            "127.0.0.1:9464": self.listen, "127.0.0.1:9093": self.alertmanager.url.removeprefix("http://"), "127.0.0.1:9115": prober.address,
            STAGING: self.backend, "module: [ws-http500]": "module: [ws-http500-plain]"}))

    def started(self) -> daemons.Daemon:
        """The daemon, which pushes to the Alertmanager."""
        command = ["run", "--config", str(self.folder / "config/rehearsal.yaml"), "--listen", self.listen, "--data-dir", str(self.folder / "data")]
        command += ["--alertmanager", self.alertmanager.url]
        return self.running.enter_context(daemons.Daemon([self.binary, *command], self.folder / "run.log", f"({self.listen})"))

    def restart(self) -> None:
        """As a deploy of the daemon does it."""
        self.daemon.end()
        self.daemon = self.started()

    def one(self, query: str) -> bool:
        """Whether Prometheus finds anything."""
        return bool(self.prometheus.ask("query", query=query)["result"])


def healthy(stack: Stack) -> None:
    """Up, loaded, judged, and nobody paged."""
    until("the scrape is up", 60, lambda: stack.one('up{job="stagewatch"} == 1') and stack.one('up{job="ws-http500"} == 1'))
    stack.restart()
    rules = sum(len(group["rules"]) for group in stack.prometheus.ask("rules")["groups"])
    wanted = (daemons.ROOT / "deploy/prometheus/stagewatch.rules.yml").read_text().count("        expr: ")
    if rules != wanted:
        raise ValueError(f"{rules} rules are loaded, not {wanted}")
    print(f"ok    {rules} rules are loaded", flush=True)
    until("no rule fails", 60, lambda: not queries.scraped(stack.prometheus))
    until("the dead-man's-switch is fed", 60, lambda: ("/alive/rules", "firing", "Watchdog") in Receiver.told)
    until("every check is judged", JUDGED_WITHIN, lambda: stack.daemon.pending() == 0)
    time.sleep(BEFORE)
    before = [told for told in Receiver.told if told[0] == "/pager"]
    if before:
        raise ValueError(f"the pager was told before anything was broken: {before}")


def broken(stack: Stack) -> list[str]:
    """The incident, until all three paths tell it, and every query has an answer that shows it."""
    begun = time.monotonic()
    daemons.switch(f"http://{stack.control}/rehearsal/faults", [FAULT], [])
    until("the pager was told", PAGED_WITHIN, lambda: [told for told in Receiver.told if told[:2] == ("/pager", "firing")])
    print(f"      after {time.monotonic() - begun:.1f} s: {sorted(set(told for told in Receiver.told if told[0] == '/pager'))}", flush=True)
    alerts = f"{stack.alertmanager.url}/api/v2/alerts?filter=alertname%3D%22{PAGE}%22"
    for path, labels in PATHS.items():
        until(f"Alertmanager has it by {path}", PAGED_WITHIN, lambda labels=labels: [
            alert for alert in json.loads(daemons.get(alerts)) if labels.items() <= alert["labels"].items()])
    time.sleep(max(0.0, IN_IT - (time.monotonic() - begun)))
    return queries.during(stack.prometheus, stack.begun, {}, every=True)


def drawn(stack: Stack, folder: pathlib.Path) -> None:
    """Every dashboard, drawn by Grafana's component libraries."""
    environment = os.environ | {"PROMETHEUS": stack.prometheus.url, "RANGE": str(BEFORE + IN_IT + 120)}
    subprocess.run([daemons.ROOT / "dashboards/render/run.sh", folder], env=environment, check=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dashboards", type=pathlib.Path, help="render the dashboards into this folder, with packages of 500 MB")
    parser.add_argument("binary", nargs="?", type=pathlib.Path, default=daemons.BINARY)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stagewatch-stack-") as name, contextlib.ExitStack() as running:
        folder = pathlib.Path(name)
        try:
            stack = Stack(asked.binary.resolve(), folder, running)
            healthy(stack)
            problems = broken(stack)
            if asked.dashboards:
                drawn(stack, asked.dashboards)
        except Exception:
            for log in sorted(folder.glob("*.log")):
                print(f"-- {log.name}\n{log.read_text(errors='replace')[-1500:]}", file=sys.stderr)
            print(f"told so far: {sorted(set(Receiver.told))}", file=sys.stderr)
            raise
    print("\n".join(f"WRONG {problem}" for problem in problems) or "stack: all good")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
