"""Panels as functions: each returns the classic JSON of one panel. No dashboard knowledge in here.

Every panel has a title, a description that says what to do, a unit, explicit colours and a text for "no data".
"""

from __future__ import annotations

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
SELECTOR = 'job=~"$job",instance=~"$instance"'
NO_DATA = "no data: see Monitor health"
# In the legend and on the axis of a line there is room for no more.
NO_SAMPLE = "no data"

GREEN, RED, PURPLE, GREY, YELLOW = "green", "red", "purple", "#8e8e8e", "#e0b400"

# Nothing measured is neither good nor bad: grey, not the colour of the lowest threshold.
NOTHING = {"type": "special", "options": {"match": "null+nan", "result": {"text": NO_DATA, "color": GREY, "index": 9}}}

VERDICTS = [
    {"type": "value", "options": {
        "0": {"text": "PASS", "color": GREEN, "index": 0},
        "1": {"text": "UNKNOWN", "color": PURPLE, "index": 1},
        "2": {"text": "FAIL", "color": RED, "index": 2},
    }},
]


def select(metric: str, *matchers: str, **labels: str) -> str:
    """A selector that carries the dashboard's job and instance; `matchers` as written, `labels` by equality."""
    equal = [f'{name}="{value}"' for name, value in labels.items()]
    return metric + "{" + ",".join([SELECTOR, *matchers, *equal]) + "}"


def ours(metric: str) -> str:
    """A metric that every target has, of targets that were a stagewatch within a day: a job `All` means more than ours."""
    return f'({select(metric)} and on (job, instance) max_over_time({select("stagewatch_build_info")}[1d]))'


def target(expr: str, legend: str = "", *, step: str = "", kind: str = "range", ref: str = "A", heatmap: bool = False) -> dict:
    """One query. `step` is the minimal step; pass-rate queries give the check period, or the window has no samples."""
    query = {"refId": ref, "datasource": DATASOURCE, "expr": expr, "legendFormat": legend, "range": kind == "range",
             "instant": kind == "instant"}
    if step:
        query["interval"] = step
    if heatmap:
        query["format"] = "heatmap"
    elif kind == "instant":
        query["format"] = "table"
    return query


def steps(*pairs: tuple[float | None, str]) -> dict:
    """Absolute thresholds, lowest first; the first has no value."""
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in pairs]}


def panel(kind: str, title: str, description: str, targets: list[dict], unit: str, **more) -> dict:
    """What all panels share."""
    defaults = {"unit": unit, "noValue": more.get("no_value", NO_DATA), "color": {"mode": more.get("color", "palette-classic")},
                "thresholds": more.get("thresholds", steps((None, GREEN)))}
    for key in ("min", "max", "decimals", "mappings"):
        if key in more:
            defaults[key] = more[key]
    if "custom" in more:
        defaults["custom"] = more["custom"]
    result = {"type": kind, "title": title, "description": description, "datasource": DATASOURCE, "targets": targets,
              "fieldConfig": {"defaults": defaults, "overrides": more.get("overrides", [])}, "options": more.get("options", {})}
    for key in ("repeat", "repeatDirection", "maxPerRow", "transformations", "links"):
        if key in more:
            result[key] = more[key]
    return result


def stat(title: str, description: str, targets: list[dict], unit: str = "short", **more) -> dict:
    """One number."""
    more.setdefault("color", "thresholds")
    more["mappings"] = [*more.get("mappings", []), NOTHING]
    options = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": more.pop("color_mode", "background"),
               "graphMode": "none", "textMode": "auto", "justifyMode": "auto", "orientation": "auto"}
    return panel("stat", title, description, targets, unit, options=options, **more)


def series(title: str, description: str, targets: list[dict], unit: str, **more) -> dict:
    """Lines over time. `line` draws a dashed threshold."""
    custom = {"lineWidth": 2, "fillOpacity": 0, "showPoints": "auto", "spanNulls": True, "axisSoftMin": 0,
              "stacking": {"mode": "none", "group": "A"}}
    if more.pop("line", False):
        custom["thresholdsStyle"] = {"mode": "dashed"}
    if more.pop("bars", False):
        custom.update({"drawStyle": "bars", "fillOpacity": 70, "stacking": {"mode": "normal", "group": "A"}})
    options = {"legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]},
               "tooltip": {"mode": "multi", "sort": "desc"}}
    return panel("timeseries", title, description, targets, unit, custom=custom, options=options, no_value=NO_SAMPLE, **more)


def history(title: str, description: str, targets: list[dict], **more) -> dict:
    """One cell per sample: verdicts."""
    options = {"showValue": "auto", "rowHeight": 0.9, "colWidth": 0.9, "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
               "tooltip": {"mode": "single", "sort": "none"}}
    return panel("status-history", title, description, targets, "none", color="thresholds", mappings=VERDICTS, options=options,
                 thresholds=steps((None, GREEN), (1, PURPLE), (2, RED)), custom={"fillOpacity": 85, "lineWidth": 1}, **more)


def timeline(title: str, description: str, targets: list[dict], **more) -> dict:
    """States with their duration."""
    options = {"mergeValues": True, "showValue": "auto", "alignValue": "left", "rowHeight": 0.9,
               "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True}, "tooltip": {"mode": "single", "sort": "none"}}
    return panel("state-timeline", title, description, targets, "none", color="thresholds", options=options,
                 custom={"fillOpacity": 80, "lineWidth": 0}, **more)


def bars(title: str, description: str, targets: list[dict], unit: str, **more) -> dict:
    """A gauge for each series."""
    options = {"displayMode": "basic", "orientation": "horizontal", "showUnfilled": True, "valueMode": "color",
               "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "minVizWidth": 8, "minVizHeight": 16}
    return panel("bargauge", title, description, targets, unit, color="thresholds", options=options, **more)


def table(title: str, description: str, targets: list[dict], **more) -> dict:
    """Rows."""
    options = {"showHeader": True, "cellHeight": "sm", "sortBy": more.pop("sort", [])}
    return panel("table", title, description, targets, more.pop("unit", "short"), options=options, custom={"align": "auto", "filterable": True}, **more)


def heat(title: str, description: str, expr: str, unit: str = "s") -> dict:
    """A classic histogram as a heat map."""
    options = {"calculate": False, "color": {"mode": "scheme", "scheme": "Blues", "steps": 64, "exponent": 0.5, "reverse": False, "fill": "dark-blue", "scale": "exponential"},
               "yAxis": {"unit": unit, "axisPlacement": "left"}, "cellGap": 1, "tooltip": {"mode": "single", "yHistogram": False, "showColorScale": False},
               "legend": {"show": True}, "rowsFrame": {"layout": "auto"}, "exemplars": {"color": "rgba(255,0,255,0.7)"},
               "filterValues": {"le": 1e-9}, "showValue": "never"}
    return panel("heatmap", title, description, [target(expr, "{{le}}", step="5m", heatmap=True)], unit, color="continuous-blues", options=options)


def row(title: str) -> dict:
    """A heading."""
    return {"type": "row", "title": title, "collapsed": False, "panels": []}


def place(rows: list[list[tuple[dict, int, int]]]) -> list[dict]:
    """Gives ids and places: rows of (panel, width of 24, height)."""
    placed, y = [], 0
    for line in rows:
        x = 0
        for item, width, height in line:
            placed.append({**item, "id": len(placed) + 1, "gridPos": {"x": x, "y": y, "w": width, "h": height}})
            x += width
        y += max(height for _, _, height in line)
    return placed
