#!/usr/bin/env python3
"""How soon the page comes: seconds from the moment at which the target answers upgrades with HTTP 500 to the webhook call, of three monitors of the
same target side by side: stagewatch; Prometheus and blackbox_exporter with usual values (15 s, 15 s, `for: 1m`, group_wait 30s); and the same
pair as quick as it is sensible (5 s, 5 s, no `for`, group_wait 0s). Real servers on loopback, free ports, random phases.

    python3 tests/page_bench.py [--target open|staging] [--stations 3] [--rounds 8] [--only-stagewatch] [BINARY]

`open` watches each credential every 5 s. `staging` is all that ships, at its own pace (15 s without a token, 60 s with one, for the target's limit
of handshakes). Every station is a target with its monitors. Only what comes after the page is shortened: leases, closing times and
group_interval, so that the next round begins soon. Debian: apt-get install prometheus prometheus-alertmanager prometheus-blackbox-exporter
"""

import argparse
import contextlib
import datetime
import http.server
import json
import pathlib
import random
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = "StagewatchWebSocketUpgradeHTTP500"
FAULTS = {"before authentication": "ws-upgrade-500", "after authentication": "ws-upgrade-500-after-auth"}
STARTED_WITHIN = 60.0
PAGED_WITHIN = 240.0
ENDED_WITHIN = 240.0
# Alertmanager looks each 30 s which groups are empty; in one that is left over, a page would wait for group_interval.
FORGOTTEN_AFTER = 31.0
WATCH = """
module: websocket_events
number: 1
title: WebSocket events
severity: critical
owner: chat-team
scenarios:
  health: { schedule: { every: 60s }, steps: [ { http: { id: well, base: api, path: /api/health, within: 3s } } ] }
  upgrade_anonymous:
    schedule: { every: 5s }
    deadline: 15s
    feeds_watch: true
    steps: [ { ws.open: { id: upgrade, socket: main, auth: none, settle: 500ms, within: 8s } } ]
  upgrade_authenticated:
    schedule: { every: 5s }
    credential: { pool: watch }
    deadline: 20s
    feeds_watch: true
    steps:
      - ws.open: { id: upgrade, socket: main, auth: header, within: 8s }
      - ws.receive: { id: welcome, until: "is_welcome(frame)", within: 5s }
      - ws.close: { id: bye, code: 1000, within: 1s }
        on_failure: go_on
checks:
  - id: health
    title: The target says that it is well
    parts: [ { needs: [health], expect: [ { that: "well.status == 200" } ] } ]
"""
ALERTING = """alerting:
  alertmanagers: [ {{ name: main, url: "http://127.0.0.1:{port}" }} ]
  lease: 12s
  resend: 3s
  sockets: {{ attempts: 3, confirm_within: 2s, probe_every: 2s, close_after: 3, close_for: 3s }}
  deploy_grace: 100ms
  owner: staging-oncall
  monitor_owner: stagewatch-oncall
  runbooks: https://stagewatch.example/docs/alerts.md
"""
ROUTE = """route: {{ receiver: pager, group_by: [alertname, socket], group_wait: {wait}, group_interval: 1s, repeat_interval: 1h }}
receivers: [ {{ name: pager, webhook_configs: [ {{ url: "http://127.0.0.1:{port}/{name}", send_resolved: true }} ] }} ]
"""
PROMETHEUS = """global: {{ scrape_interval: {every}, evaluation_interval: {every}, scrape_timeout: 4s }}
rule_files: [ {name}.rules.yml ]
alerting: {{ alertmanagers: [ {{ static_configs: [ {{ targets: ["127.0.0.1:{alertmanager}"] }} ] }} ] }}
scrape_configs:
  - job_name: ws-http500
    metrics_path: /probe
    params: {{ module: [ws-http500-plain], target: ["127.0.0.1:{target}"] }}
    static_configs: [ {{ targets: ["127.0.0.1:{prober}"], labels: {{ socket: main }} }} ]
"""
RULE = """groups:
  - name: page
    rules: [ {{ alert: {alert}, expr: 'probe_success{{job="ws-http500"}} == 1', for: {wait}, labels: {{ severity: critical }} }} ]
"""
# Name, scrape and evaluation, `for`, group_wait.
USUAL = ("usual", "15s", "1m", "30s")
QUICK = ("quick", "5s", "0s", "0s")


def free_port():
    """A port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def ask(url, body=None):
    """Text of an answer."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data), timeout=5) as answer:
        return answer.read().decode()


def until(what, within, done):
    """Waits for a true answer."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, urllib.error.URLError):
            found = done()
            if found:
                return found
        time.sleep(0.05)
    raise TimeoutError(f"{what}: not within {within:.0f} s")


class Pager:
    """Notes when which monitor called, and what it said."""

    def __init__(self):
        told = self.told = []

        class Receiver(http.server.BaseHTTPRequestHandler):
            """The webhook."""

            def do_POST(self):
                at = time.time()
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if body["groupLabels"].get("alertname") == PAGE:
                    told.append((self.path.strip("/"), body["status"], at))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def first(self, monitor, status, since):
        """When this monitor first said so."""
        return next((at for who, what, at in self.told if who == monitor and what == status and at >= since), None)


class Station:
    """A target and all that watches it."""

    def __init__(self, folder, options, place):
        self.folder, self.options = folder / str(place), options
        self.folder.mkdir()
        self.pager, self.running = Pager(), contextlib.ExitStack()
        self.ports = {name: free_port() for name in ("backend", "auth", "control", "daemon", "pushed", "prober", "usual", "quick")}

    def start(self, name, *command):
        """One process, whose log is a file of its name."""
        log = (self.folder / f"{name}.log").open("w")
        process = subprocess.Popen([str(word) for word in command], stdout=log, stderr=log, cwd=self.folder)
        self.running.callback(process.wait, 20)
        self.running.callback(process.terminate)

    def write(self, name, text):
        """A file of the station."""
        (self.folder / name).write_text(text)

    def up(self):
        """Everything, with the daemon having seen a healthy target."""
        ports, binary = self.ports, self.options.binary
        at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        self.start("rehearsal", binary, "rehearse", "--listen", at["backend"], "--auth", at["auth"], "--control", at["control"], "--time-scale", "1")
        shipped = (ROOT / "deploy/alertmanager/alertmanager.yml").read_text()
        shipped = shipped.replace("127.0.0.1:9099/pager", f"127.0.0.1:{self.pager.port}/stagewatch").replace("group_interval: 1m", "group_interval: 1s")
        self.alertmanager("pushed", shipped)
        if not self.options.only_stagewatch:
            self.start("blackbox", "prometheus-blackbox-exporter", f"--config.file={ROOT}/deploy/blackbox/blackbox.yml", f"--web.listen-address={at['prober']}")
            for kind in (USUAL, QUICK):
                self.prometheus(*kind)
        self.configure()
        until("the rehearsal", STARTED_WITHIN, lambda: ask(f"http://{at['backend']}/api/health"))
        self.start("daemon", binary, "run", "-c", "main.yaml", "--listen", at["daemon"])
        healthy = [f'stagewatch_websocket_upgrade_failing{{credential="{shown}",outcome="http_500",socket="main"}} 0' for shown in ("none", "valid")]
        # A watch of a minute may have to wait for its first slot.
        until("both watches", 3 * STARTED_WITHIN, lambda: all(line in ask(f"http://{at['daemon']}/metrics") for line in healthy))

    def alertmanager(self, name, config):
        """One Alertmanager."""
        self.write(f"{name}.am.yml", config)
        where = [f"--config.file={name}.am.yml", f"--storage.path={name}.am", f"--web.listen-address=127.0.0.1:{self.ports[name]}"]
        self.start(f"{name}.am", "prometheus-alertmanager", *where, "--cluster.listen-address=")
        until(name, STARTED_WITHIN, lambda: ask(f"http://127.0.0.1:{self.ports[name]}/-/ready"))

    def prometheus(self, name, every, wait, group_wait):
        """Prometheus on the prober, with an Alertmanager of its own."""
        self.alertmanager(name, ROUTE.format(wait=group_wait, port=self.pager.port, name=name))
        self.write(f"{name}.rules.yml", RULE.format(alert=PAGE, wait=wait))
        values = {"every": every, "name": name, "alertmanager": self.ports[name], "target": self.ports["backend"], "prober": self.ports["prober"]}
        self.write(f"{name}.yml", PROMETHEUS.format(**values))
        self.start(name, "prometheus", f"--config.file={name}.yml", f"--storage.tsdb.path={name}.tsdb", f"--web.listen-address=127.0.0.1:{free_port()}")

    def configure(self):
        """The daemon's files: those that ship for the rehearsal, at the pace of the real target."""
        main = (ROOT / "config/rehearsal.yaml").read_text()
        main = re.sub(r"\nalerting:\n.*?\ntime_scale: [0-9.]+\n", "\n" + ALERTING.format(port=self.ports["pushed"]) + "time_scale: 1\n", main, flags=re.S)
        main = main.replace("127.0.0.1:18080", f"127.0.0.1:{self.ports['backend']}").replace("127.0.0.1:18081", f"127.0.0.1:{self.ports['auth']}")
        main = main.replace("data_dir: ../data/rehearsal", "data_dir: data")
        # Rounds follow one another more quickly than outages do: users enough for all their bursts.
        main = re.sub(r"count: \d+, (fields: \{ email: \"watch-)", r"count: 200, \1", main)
        assert main.count("count: 200, ") == 1 and "time_scale: 1\n" in main
        if self.options.target == "staging":
            main = main.replace("\nmodules: modules\n", f"\nmodules: {ROOT}/config/modules\ndiagnosis: {ROOT}/config/diagnosis\n")
        else:
            generic = ", ".join(f"{ROOT}/config/diagnosis/{name}" for name in ("1-evidence.yaml", "3-generic.yaml"))
            main = main.replace("\nmodules: modules\n", f"\nmodules: [watch.yaml]\ndiagnosis: [{generic}]\n")
            main = main.replace("enable: [llm, numeric_account]", "enable: []")
            # Without limits: those of the staging would hold up bursts that follow one another so quickly.
            main, found = re.subn(r"max: 64, per: 60s, reserve: 24", "max: 6400, per: 60s, reserve: 24", main)
            assert found == 1
            self.write("watch.yaml", WATCH)
        self.write("main.yaml", main)

    def switch(self, on, off):
        """Faults of the target."""
        ask(f"http://127.0.0.1:{self.ports['control']}/rehearsal/faults", {"on": on, "off": off})

    def decided(self, since):
        """When the daemon decided, by its log."""
        for line in (self.folder / "daemon.log").read_text().splitlines():
            if "alert.fires" in line and PAGE in line:
                at = datetime.datetime.fromisoformat(re.sub(r"\x1b\[[0-9;]*m", "", line).split()[0].replace("Z", "+00:00")).timestamp()
                if at >= since:
                    return at
        return None

    def round(self, where):
        """One outage: seconds to each webhook call, and from the decision to ours."""
        monitors = ["stagewatch"]
        if where == "before authentication" and not self.options.only_stagewatch:
            monitors += [USUAL[0], QUICK[0]]  # The prober has no token.
        time.sleep(FORGOTTEN_AFTER + random.uniform(0, 60 if self.options.target == "staging" else 15))
        began = time.time()
        self.switch([FAULTS[where]], [])
        calls = {}
        for monitor in monitors:
            calls[monitor] = until(f"{monitor}, {where}", PAGED_WITHIN, lambda who=monitor: self.pager.first(who, "firing", began))
        decided = self.decided(began)
        ended = time.time()
        self.switch([], [FAULTS[where]])
        for monitor in monitors:
            until(f"{monitor}, the end", ENDED_WITHIN, lambda who=monitor: self.pager.first(who, "resolved", ended))
        took = {monitor: at - began for monitor, at in calls.items()}
        return took, calls["stagewatch"] - decided

    def rounds(self, results):
        """All of them, in turn before and after authentication."""
        for number in range(self.options.rounds):
            for where in FAULTS:
                took, push = self.round(where)
                results.append((where, took, push))
                print(f"round {number + 1} {where}: " + ", ".join(f"{who} {seconds:.1f} s" for who, seconds in took.items()), flush=True)


def bounds(options, station):
    """What `validate` promises, in seconds, by credential."""
    said = subprocess.run([options.binary, "validate", "-c", "main.yaml"], cwd=station.folder, capture_output=True, text=True, timeout=60, check=False).stdout
    found = {}
    for shown, within in re.findall(r"upgrades of main, credential (\w+)\s+at most ((?:\d+(?:m|s|ms)\s?)+)", said):
        unit = {"m": 60.0, "s": 1.0, "ms": 0.001}
        found[shown] = sum(int(number) * unit[of] for number, of in re.findall(r"(\d+)(ms|m|s)", within))
    return found


def row(label, seconds):
    """A line of the table."""
    ordered = sorted(seconds)
    high = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return f"| {label} | {len(ordered)} | {ordered[0]:.2f} | {statistics.median(ordered):.2f} | {high:.2f} | {ordered[-1]:.2f} |"


def report(options, results, promised):
    """The table, and whether the promises were kept."""
    print(f"\n{options.target}, {options.stations} stations\n\n| monitor, where it breaks | outages | least | median | 95 % | most |\n|---|---|---|---|---|---|")
    for where in FAULTS:
        for monitor in ("stagewatch", QUICK[0], USUAL[0]):
            seconds = [took[monitor] for place, took, _ in results if place == where and monitor in took]
            if seconds:
                print(row(f"{monitor}, {where}", seconds))
    print(row("stagewatch, from the decision to the webhook", [push for _, _, push in results]))
    kept = True
    # Before authentication either watch may be first; after it only that of the valid token sees it.
    for where, bound in (("before authentication", min(promised.values())), ("after authentication", promised["valid"])):
        worst = max(took["stagewatch"] for place, took, _ in results if place == where)
        kept &= worst <= bound
        print(f"{where}: at worst {worst:.1f} s, `validate` promises at most {bound:.1f} s")
    return kept


def main():
    """Starts the stations, plays the rounds at once on all of them, and reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=("open", "staging"), default="open")
    parser.add_argument("--stations", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--only-stagewatch", action="store_true")
    parser.add_argument("binary", nargs="?", type=pathlib.Path, default=ROOT / "target/debug/stagewatch")
    options = parser.parse_args()
    options.binary = options.binary.resolve()
    results, failures = [], []
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as all_running:
        stations = [Station(pathlib.Path(name), options, place) for place in range(options.stations)]

        def play(station):
            try:
                station.up()
                station.rounds(results)
            except Exception as error:  # whatever it was, the other stations go on and the bench fails
                failures.append(error)
                print(f"error: {error!r}\n{(station.folder / 'daemon.log').read_text()[-3000:] if (station.folder / 'daemon.log').exists() else ''}", file=sys.stderr, flush=True)

        threads = [threading.Thread(target=play, args=(station,)) for station in stations]
        for station in stations:
            all_running.enter_context(station.running)
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if not results:
            return 1
        kept = report(options, results, bounds(options, stations[0]))
    return 0 if kept and not failures else 1


if __name__ == "__main__":
    sys.exit(main())
