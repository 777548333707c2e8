"""Every query of every dashboard, asked of a Prometheus that scraped the daemon during an incident."""

import json
import math
import re
import time

import daemons

# Panels that must show the incident: title and a value that only the incident makes.
SHOWS = {
    "Failing": lambda values: max(values) >= 1,
    "Failing checks": lambda values: max(values) >= 1,
    "HTTP 500 in 1 h": lambda values: max(values) > 0,
    "WebSocket upgrade": lambda values: 500 in values,
    # What a socket is needed for is unknown, and never green beside what fails.
    "Worst verdict by module": lambda values: {1, 2} <= set(values) <= {0, 1, 2},
    "Verdict of each check": lambda values: max(values) == 2,
    "Pass rate by module": lambda values: min(values) < 1,
    "Failures in a row": lambda values: max(values) >= 1,
    "Upgrades by outcome": lambda values: max(values) > 0,
    "Confirmed state": lambda values: max(values) == 1,
    "Push and rule": lambda values: max(values) == 1,
    "Time to page, p95": lambda values: max(values) > 0,
}
STEP = 5
# Counters need a few scrapes with the incident in them.
SETTLE = 20


def boards():
    for path in sorted((daemons.ROOT / "dashboards/grafana").glob("*.json")):
        yield path.name, json.loads(path.read_text())


def targets(panels):
    for panel in panels:
        yield from ((panel, target) for target in panel.get("targets", []))
        yield from targets(panel.get("panels", []))


def filled_in(expr: str) -> str:
    """As Grafana would ask: every variable at `All`, the shortest rate interval that holds two checks of the rehearsal."""
    expr = expr.replace("$__rate_interval", "1m").replace("$__interval", f"{STEP}s").replace("$__range", "5m")
    return re.sub(r"\$\{?(job|instance|module|check)\}?", ".+", expr)


def asked(prometheus: daemons.Prometheus, expr: str, begun: float) -> tuple[int, list[float]]:
    """How many series a query finds from `begun` to now, and their values."""
    found = prometheus.ask("query_range", query=expr, start=begun, end=time.time(), step=STEP)["result"]
    numbers = [float(value) for series in found for _, value in series["values"]]
    return len(found), [number for number in numbers if not math.isnan(number)]


def queries():
    """Dashboard, title and PromQL of every query that Grafana would ask, annotations included."""
    for board, dashboard in boards():
        for panel, target in targets(dashboard["panels"]):
            yield board, panel["title"], filled_in(target["expr"])
        for mark in dashboard["annotations"]["list"]:
            yield board, f"annotation {mark['name']}", filled_in(mark["expr"])


def during(prometheus: daemons.Prometheus, begun: float, excused: dict[str, str], every: bool = False) -> list[str]:
    """What is wrong with the answers since `begun`; an excuse for what has data is wrong as well. `every` prints each answer's count."""
    time.sleep(SETTLE)
    known = set(prometheus.ask("label/__name__/values"))
    problems, number, shown, empty = [], 0, set(), set()
    for board, title, expr in queries():
        number += 1
        try:
            series, found = asked(prometheus, expr, begun)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this query's
            problems.append(f"{board}: {title}: {error}")
            continue
        shows = bool(found) and title in SHOWS and SHOWS[title](found)
        if shows:
            shown.add(title)
        if not found:
            empty.add(title)
            if title not in excused:
                missing = sorted(name for name in set(re.findall(r"\b(?:stagewatch|process)_\w+", expr)) if name not in known)
                problems.append(f"{board}: {title}: no data from {expr[:160]}{f'; there is no {missing}' if missing else ''}")
        elif title in excused:
            problems.append(f"{board}: {title}: has data and needs no excuse")
        if every:
            print(f"      {board.removesuffix('.json')}: {title}: {series} series, {len(found)} samples{', the incident' if shows else ''}", flush=True)
    problems += [f"{title}: does not show the incident" for title in sorted(SHOWS.keys() - shown)]
    print(f"      {number} queries, {len(empty)} panels empty for a stated reason, {len(shown)} show the incident", flush=True)
    for name in sorted(empty):
        print(f"      empty: {name}: {excused.get(name, 'NO REASON')}", flush=True)
    return problems + scraped(prometheus)


def scraped(prometheus: daemons.Prometheus) -> list[str]:
    """What is wrong with the scrape and the rules."""
    up = prometheus.ask("query", query='up{job="stagewatch"}')["result"]
    problems = [f"the scrape is not up: {up}"] if [sample["value"][1] for sample in up] != ["1"] else []
    wrong = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"] if rule["health"] != "ok"]
    return problems + [f"rule {rule['name']}: {rule.get('lastError')}" for rule in wrong]
