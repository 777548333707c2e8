"""Is staging usable now?"""

from .panels import GREEN, GREY, PURPLE, RED, YELLOW, bars, history, place, select, series, stat, steps, table, target

UID, TITLE, HAS_MODULE = "stagewatch-overview", "Overview", True
DESCRIPTION = "Is staging usable now? Verdicts of all modules, the upgrade that pages, pass rates beside their coverage, latency promises."
MODULE = 'module=~"$module"'
OUTCOMES = [{"type": "value", "options": {"0": {"text": "no HTTP answer", "color": RED, "index": 0}, "101": {"text": "101 OK", "color": GREEN, "index": 1},
                                          "500": {"text": "HTTP 500", "color": RED, "index": 2}}}]
VERDICT_NAMES = [{"type": "value", "options": {"1": {"text": "pass", "color": GREEN, "index": 0}, "2": {"text": "unknown", "color": PURPLE, "index": 1},
                                               "3": {"text": "fail", "color": RED, "index": 2}, "0": {"text": "off", "color": GREY, "index": 3}}}]


def verdict_count(verdict: str, title: str, colour: str, what: str) -> dict:
    calm = steps((None, GREY), (1, colour))
    return stat(title, what, [target(f'sum({select("stagewatch_module_checks", MODULE, verdict=verdict)})')], thresholds=calm)


# Ids are unique in their module only, so rows are joined by both; the join keeps the labels of every query, and one of each is enough.
TIDY = {
    "excludeByName": {f"{name} {number}": True for name, least in (("Time", 1), ("module", 2), ("check", 2)) for number in range(least, 6)} | {"id": True},
    "indexByName": {name: place for place, name in enumerate(("module 1", "check 1", "Value #A", "Value #B", "Value #C", "Value #D", "severity", "owner", "title"))},
    "renameByName": {"module 1": "module", "check 1": "check"},
}


def some(verdict: str) -> str:
    """By module, whether any of its checks has this verdict now."""
    return f'max by (module) ({select("stagewatch_module_checks", MODULE, verdict=verdict)} > bool 0)'


def named(expr: str) -> str:
    """With `module/check` as the label `id`."""
    return f'label_join({expr}, "id", "/", "module", "check")'


def column(name: str, **properties) -> dict:
    """How one column of the table differs; `__` in a property's name stands for a dot."""
    return {"matcher": {"id": "byName", "options": name}, "properties": [{"id": key.replace("__", "."), "value": value} for key, value in properties.items()]}


def panels() -> list[dict]:
    ratio = steps((None, RED), (0.9, YELLOW), (0.99, GREEN))
    check = select("stagewatch_check_info", MODULE)
    by = "(module, check)"
    current = " or ".join(
        f'max by {by} ({select("stagewatch_check_verdict", MODULE, verdict=name)} == 1) * {code}'
        for name, code in (("fail", 3), ("unknown", 2), ("pass", 1), ("off", 0)))
    rows = [
        target(named(f"max by (module, check, severity, owner, title) ({check}) * 0 + on {by} group_left () max by {by} ({current})"), kind="instant", ref="A"),
        target(named(f'time() - (max by {by} ({select("stagewatch_check_last_success_timestamp_seconds", MODULE)}) > 0)'), kind="instant", ref="B"),
        target(named(f'max by {by} ({select("stagewatch_check_consecutive_failures", MODULE)})'), kind="instant", ref="C"),
        target(named(f'histogram_quantile(0.95, sum by (module, check, le) (rate({select("stagewatch_check_duration_seconds_bucket", MODULE)}[$__rate_interval]))) > 0'),
               kind="instant", ref="D", step="5m"),
    ]
    return place([
        [
            (verdict_count("pass", "Passing", GREEN, "Checks whose latest verdict is pass. Compare with failing and unknown: unknown is not green."), 3, 4),
            (verdict_count("fail", "Failing", RED, "Checks whose latest verdict is fail. Open the table below, then the module."), 3, 4),
            (verdict_count("unknown", "Unknown", PURPLE, "Checks that could not be judged. The reason stands in the module dashboard; blocked_by names the cause."), 3, 4),
            (stat("Pass rate", "Mean pass rate of the modules over their latest verdicts. Never read it without the coverage beside it.",
                  [target(f'avg({select("stagewatch_module_pass_ratio", MODULE)})')], "percentunit", thresholds=ratio, max=1, min=0), 3, 4),
            (stat("Coverage", "Share of checks that could be judged. Low coverage: the pass rate says little; see unknown reasons.",
                  [target(f'avg({select("stagewatch_module_coverage_ratio", MODULE)})')], "percentunit", thresholds=ratio, max=1, min=0), 3, 4),
            (stat("WebSocket upgrade", "Last HTTP status of an upgrade with a valid token. Anything but 101: open the WebSocket dashboard, then the runbook.",
                  [target(f'max by (socket) ({select("stagewatch_websocket_upgrade_status_code", credential="valid")})', "{{socket}}")],
                  "none", mappings=OUTCOMES, thresholds=steps((None, RED), (101, GREEN), (102, RED))), 4, 4),
            (stat("Alerts", "Alerts that the daemon believes are firing. Compare with Alertmanager.",
                  [target(f'sum({select("stagewatch_alerts_active")}) or vector(0)')], thresholds=steps((None, GREEN), (1, RED))), 2, 4),
            (stat("Last verdict", "Age of the newest verdict. Grows when the daemon is stuck: see Monitor health.",
                  [target(f'time() - max({select("stagewatch_check_last_run_timestamp_seconds")})')], "s", thresholds=steps((None, GREEN), (120, YELLOW), (300, RED))), 3, 4),
        ],
        [(history("Worst verdict by module", "Each cell is the worst verdict of the module in five minutes. FAIL: open the module. UNKNOWN: something was not measured.",
                  [target(f"clamp_max(2 * {some('fail')} + {some('unknown')}, 2)", "{{module}}", step="5m")]), 24, 9)],
        [
            (series("Pass rate by module", "Averaged over the window; the dashed line is the objective. Below it the error budget burns: see SLO.",
                    [target(f'avg by (module) (avg_over_time({select("stagewatch_module_pass_ratio", MODULE)}[$__rate_interval]))', "{{module}}", step="5m")],
                    "percentunit", line=True, thresholds=steps((None, RED), (0.99, GREEN)), max=1, min=0), 14, 9),
            (bars("Within the promised latency", "Share of answers within each promise, exact from bucket counts. Below 95 %: open Latency targets.",
                  [target(f'sum(rate({select("stagewatch_latency_target_seconds_bucket", latency_target=name, le=bound)}[$__rate_interval])) / '
                          f'sum(rate({select("stagewatch_latency_target_seconds_count", latency_target=name)}[$__rate_interval]))', title, step="15m", ref=ref)
                   for name, bound, title, ref in (("api_response", "0.1", "API response 100 ms", "A"), ("websocket_latency", "0.05", "WebSocket latency 50 ms", "B"),
                                                   ("agent_startup", "0.5", "Agent startup 500 ms", "C"), ("message_processing", "0.2", "Message processing 200 ms", "D"),
                                                   ("total_request", "1.0", "Total request 1 s", "E"))],
                  "percentunit", min=0, max=1, thresholds=steps((None, RED), (0.95, GREEN))), 10, 9),
        ],
        [(table("Checks", "All checks with their latest verdict. Follow a row to its module.", rows, mappings=[],
                transformations=[{"id": "joinByField", "options": {"byField": "id", "mode": "outer"}}, {"id": "organize", "options": TIDY}],
                sort=[{"displayName": "verdict", "desc": True}],
                overrides=[
                    column("Value #A", displayName="verdict", mappings=VERDICT_NAMES, custom__width=100, custom__cellOptions={"type": "color-text"}),
                    column("Value #B", displayName="since last pass", unit="s", noValue="never", custom__width=130),
                    column("Value #C", displayName="failures in a row", custom__width=130),
                    column("Value #D", displayName="p95", unit="s", noValue="no pass", custom__width=100),
                    column("check", custom__width=270),
                    column("title", custom__minWidth=380),
                    column("module", custom__width=170, links=[
                        {"title": "Open the module", "url": "/d/stagewatch-module?var-module=${__data.fields.module}&${__url_time_range}"}]),
                ]), 24, 14)],
    ])
