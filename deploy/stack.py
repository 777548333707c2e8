#!/usr/bin/env python3
"""The compose stack's pieces, started by hand on loopback: the rehearsal, the daemon, Prometheus and Alertmanager with the shipped files, unchanged
but for ports. Asserts that the scrape is up, that every rule is loaded, and that a broken WebSocket reaches the pager, and nobody but the pager.

    python3 stack.py [STAGEWATCH]      about two minutes; the binary is target/debug/stagewatch unless named

Debian: apt-get install prometheus prometheus-alertmanager
"""

import contextlib
import http.server
import json
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent
TOLD = []


class Receiver(http.server.BaseHTTPRequestHandler):
    """Stands for the pager, the tickets and the dead-man's-switches: notes who was told what."""

    def do_POST(self):
        told = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        TOLD.extend((self.path, alert["status"], alert["labels"]["alertname"]) for alert in told["alerts"])
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


def free_port():
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def get(url):
    """JSON of a page."""
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def until(what, within, ask):
    """Waits for a true answer."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, ValueError, KeyError, IndexError):
            found = ask()
            if found:
                print(f"ok    {what}")
                return found
        time.sleep(0.5)
    sys.exit(f"error: {what}: not within {within} s; told so far: {TOLD}")


def switch(port, on, off):
    """Turns faults of the rehearsal on and off."""
    body = json.dumps({"on": on, "off": off}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/rehearsal/faults", data=body, method="POST")
    urllib.request.urlopen(request, timeout=5).read()


def written(folder, ports):
    """The shipped files with other ports."""
    for source, name in (("prometheus/prometheus.yml", "prometheus.yml"), ("alertmanager/alertmanager.yml", "alertmanager.yml")):
        text = (HERE / source).read_text()
        for shipped, port in ports.items():
            text = text.replace(f"127.0.0.1:{shipped}", f"127.0.0.1:{port}")
        (folder / name).write_text(text)
    shutil.copy(HERE / "prometheus" / "stagewatch.rules.yml", folder)
    shutil.copytree(ROOT / "config", folder / "config")
    rehearsal = folder / "config" / "rehearsal.yaml"
    text = rehearsal.read_text()
    for shipped in (18080, 18081, 18082):
        text = text.replace(f"127.0.0.1:{shipped}", f"127.0.0.1:{ports[shipped]}")
    rehearsal.write_text(text)


def commands(binary, folder, ports):
    """What is started, in order."""
    at = {shipped: f"127.0.0.1:{port}" for shipped, port in ports.items()}
    rehearse = ["rehearse", "--listen", at[18080], "--auth", at[18081], "--control", at[18082], "--time-scale", "0.02"]
    run = ["run", "--config", folder / "config" / "rehearsal.yaml", "--listen", at[9464], "--data-dir", folder / "data"]
    prometheus = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address={at[9090]}"]
    alertmanager = [f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/am", f"--web.listen-address={at[9093]}"]
    return [
        [binary, *rehearse],
        ["prometheus-alertmanager", *alertmanager, "--cluster.listen-address="],
        [binary, *run],
        ["prometheus", *prometheus],
    ]


def watch(ports):
    """What has to be seen."""
    prometheus, alertmanager = (f"http://127.0.0.1:{ports[port]}/api" for port in (9090, 9093))
    query = f"{prometheus}/v1/query?query=up%7Bjob%3D%22stagewatch%22%7D"
    until("the scrape is up", 60, lambda: get(query)["data"]["result"][0]["value"][1] == "1")
    groups = get(f"{prometheus}/v1/rules")["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    shipped = (HERE / "prometheus" / "stagewatch.rules.yml").read_text()
    if len(rules) != shipped.count("        expr: "):
        sys.exit(f"error: {len(rules)} rules are loaded, not all")
    print(f"ok    {len(rules)} rules are loaded")
    until("no rule fails", 60, lambda: all(rule["health"] == "ok" for group in get(f"{prometheus}/v1/rules")["data"]["groups"] for rule in group["rules"]))
    until("the dead-man's-switch is fed", 60, lambda: ("/alive/rules", "firing", "Watchdog") in TOLD)
    before = [told for told in TOLD if told[0] == "/pager" and "MonitorDown" not in told[2]]
    if before:
        sys.exit(f"error: the pager was told before anything was broken: {before}")
    begun = time.monotonic()
    switch(ports[18082], ["ws-upgrade-500-after-auth"], [])
    until("Alertmanager has an alert about the broken socket", 120, lambda: [
        alert for alert in get(f"{alertmanager}/v2/alerts") if alert["labels"]["severity"] == "critical" and "Monitor" not in alert["labels"]["alertname"]
    ])
    until("the pager was told", 120, lambda: [told for told in TOLD if told[0] == "/pager" and told[1] == "firing" and "Monitor" not in told[2]])
    print(f"      after {time.monotonic() - begun:.0f} s: {sorted(set(TOLD))}")


def main():
    """Starts, watches, ends."""
    binary = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "target" / "debug" / "stagewatch").resolve()
    ports = {shipped: free_port() for shipped in (18080, 18081, 18082, 9464, 9090, 9093, 9099, 9115)}
    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", ports[9099]), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as running:
        folder = pathlib.Path(name)
        written(folder, ports)
        for command in commands(binary, folder, ports):
            process = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=(folder / "log").open("a"))
            running.callback(process.wait, 20)
            running.callback(process.terminate)
            time.sleep(1)
        try:
            watch(ports)
        except SystemExit:
            print((folder / "log").read_text()[-4000:], file=sys.stderr)
            raise
    print("stack: all good")


if __name__ == "__main__":
    main()
