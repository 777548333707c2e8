"""Every query of every dashboard, asked of a Prometheus that scraped the daemon during an incident."""

import json
import math
import os
import pathlib
import re
import subprocess
import time

import daemons

# Panels that may have nothing to show in a short incident on loopback, each with its reason.
EMPTY = json.loads((daemons.ROOT / "dashboards/check/may-be-empty.json").read_text())
# Panels that must show the incident: title and a value that only the incident makes.
SHOWS = {
    "Failing": lambda values: max(values) >= 1,
    "Failing checks": lambda values: max(values) >= 1,
    "HTTP 500 in 1 h": lambda values: max(values) > 0,
    "WebSocket upgrade": lambda values: 500 in values,
    "Worst verdict by module": lambda values: max(values) == 2,
    "Verdict of each check": lambda values: max(values) == 2,
    "Pass rate by module": lambda values: min(values) < 1,
    "Failures in a row": lambda values: max(values) >= 1,
    "Upgrades by outcome": lambda values: max(values) > 0,
    "Confirmed state": lambda values: max(values) == 1,
    "Push and rule": lambda values: max(values) >= 1,
    "Time to page, p95": lambda values: max(values) > 0,
}
STEP = 5
# Counters need a few scrapes with the incident in them.
SETTLE = 20


def boards():
    for path in sorted((daemons.ROOT / "dashboards").glob("*.json")):
        yield path.name, json.loads(path.read_text())


def targets(panels):
    for panel in panels:
        yield from ((panel, target) for target in panel.get("targets", []))
        yield from targets(panel.get("panels", []))


def filled_in(expr: str) -> str:
    """As Grafana would ask: every variable at `All`, the shortest rate interval that holds two checks of the rehearsal."""
    expr = expr.replace("$__rate_interval", "1m").replace("$__interval", f"{STEP}s").replace("$__range", "5m")
    return re.sub(r"\$\{?(job|instance|module|check)\}?", ".+", expr)


def values(prometheus: daemons.Prometheus, expr: str, begun: float) -> list[float]:
    found = prometheus.ask("query_range", query=expr, start=begun, end=time.time(), step=STEP)["result"]
    numbers = [float(value) for series in found for _, value in series["values"]]
    return [number for number in numbers if not math.isnan(number)]


def rendered(prometheus: daemons.Prometheus, folder: pathlib.Path) -> list[str]:
    """Every dashboard drawn by Grafana's component libraries; opt-in, see `dashboards/render/run.sh`."""
    time.sleep(SETTLE)
    ran = subprocess.run([daemons.ROOT / "dashboards/render/run.sh", folder], env=os.environ | {"PROMETHEUS": prometheus.url}, capture_output=True, text=True)
    print("".join(f"      {line}\n" for line in ran.stdout.splitlines()), end="", flush=True)
    return [] if ran.returncode == 0 else [ran.stderr[-1000:] or "it ended badly"]


def during(prometheus: daemons.Prometheus, demo: daemons.Demo) -> list[str]:
    time.sleep(SETTLE)
    begun = time.time() - 240
    known = set(prometheus.ask("label/__name__/values"))
    problems, asked, shown, empty = [], 0, set(), set()
    for board, dashboard in boards():
        annotations = [({"title": f"annotation {mark['name']}"}, mark) for mark in dashboard["annotations"]["list"]]
        for panel, target in [*targets(dashboard["panels"]), *annotations]:
            title, expr = panel["title"], filled_in(target["expr"])
            asked += 1
            try:
                found = values(prometheus, expr, begun)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is this query's
                problems.append(f"{board}: {title}: {error}")
                continue
            if not found and title not in EMPTY:
                missing = sorted(name for name in set(re.findall(r"\b(?:stagewatch|process)_\w+", expr)) if name not in known)
                problems.append(f"{board}: {title}: no data from {expr[:160]}{f'; there is no {missing}' if missing else ''}")
            if not found:
                empty.add(title)
            if title in SHOWS and found and SHOWS[title](found):
                shown.add(title)
    problems += [f"{title}: does not show the incident" for title in sorted(SHOWS.keys() - shown)]
    print(f"      {asked} queries, {len(empty)} panels empty for a stated reason, {len(shown)} show the incident", flush=True)
    for name in sorted(empty):
        print(f"      empty: {name}: {EMPTY.get(name, 'NO REASON')}", flush=True)
    up = prometheus.ask("query", query='up{job="stagewatch"}')["result"]
    if [sample["value"][1] for sample in up] != ["1"]:
        problems.append(f"the scrape is not up: {up}")
    wrong = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"] if rule["health"] != "ok"]
    problems += [f"rule {rule['name']}: {rule.get('lastError')}" for rule in wrong]
    return problems
