#!/usr/bin/env python3
"""Writes the Grafana dashboards, `grafana/*.json`: `python3 dashboards/generate.py`, or `--check` to see that they are up to date."""

import json
import pathlib
import sys

from source import latency, module, monitor, overview, slo, websocket

INTO = pathlib.Path(__file__).parent / "grafana"
BOARDS = [overview, module, websocket, latency, slo, monitor]


def variable(name: str, label: str, metric: str, *, multi: bool = True) -> dict:
    """A query variable over the label of a metric."""
    query = f'label_values({metric}, {name})'
    return {"name": name, "label": label, "type": "query", "datasource": {"type": "prometheus", "uid": "${datasource}"},
            "query": {"query": query, "refId": f"variable-{name}"}, "definition": query, "refresh": 2, "sort": 1, "multi": multi, "includeAll": True,
            "allValue": ".+", "current": {"text": "All", "value": "$__all"}}


def annotation(name: str, expr: str, colour: str, title: str) -> dict:
    """Marks drawn over every panel."""
    return {"name": name, "datasource": {"type": "prometheus", "uid": "${datasource}"}, "enable": True, "expr": expr, "iconColor": colour, "titleFormat": title,
            "step": "60s"}


def dashboard(board) -> dict:
    """One dashboard: what all of them share, around the panels of `board`."""
    selector = 'job=~"$job",instance=~"$instance"'
    names = [{"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "refresh": 1, "current": {}},
             variable("job", "Job", "stagewatch_build_info"),
             variable("instance", "Instance", 'stagewatch_build_info{job=~"$job"}')]
    if board.HAS_MODULE:
        names.append(variable("module", "Module", f'stagewatch_check_info{{{selector}}}'))
    if getattr(board, "HAS_CHECK", False):
        names.append(variable("check", "Check", f'stagewatch_check_info{{{selector},module=~"$module"}}'))
    return {
        "uid": board.UID, "title": f"Stagewatch / {board.TITLE}", "description": board.DESCRIPTION, "tags": ["stagewatch"], "timezone": "utc",
        "refresh": "1m", "graphTooltip": 1, "editable": False, "schemaVersion": 39, "time": {"from": "now-3h", "to": "now"},
        "links": [{"title": "Stagewatch", "type": "dashboards", "tags": ["stagewatch"], "asDropdown": True, "includeVars": True, "keepTime": True,
                   "icon": "external link", "targetBlank": False, "tooltip": "", "url": ""}],
        "templating": {"list": names},
        "annotations": {"list": [
            annotation("Alerts", 'ALERTS{alertname=~"Stagewatch.*",alertstate="firing"}', "red", "{{alertname}} {{socket}} {{module}} {{check}}"),
            annotation("Restarts", f'changes(process_start_time_seconds{{{selector}}}[2m]) > 0', "blue", "stagewatch restarted"),
            annotation("Versions", f'count by (version) (stagewatch_build_info{{{selector}}}) unless count by (version) (stagewatch_build_info{{{selector}}} offset 5m)', "purple", "stagewatch {{version}}"),
        ]},
        "panels": board.panels(),
    }


def main() -> int:
    stale = []
    for board in BOARDS:
        path = INTO / f"{board.UID}.json"
        text = json.dumps(dashboard(board), indent=1) + "\n"
        if "--check" in sys.argv:
            if not path.exists() or path.read_text() != text:
                stale.append(path.name)
        else:
            path.write_text(text)
            print(path.name)
    if stale:
        print("not up to date, run python3 dashboards/generate.py:", ", ".join(stale))
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
