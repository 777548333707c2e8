"""One module, check by check."""

from .panels import GREEN, PURPLE, RED, heat, history, place, row, select, series, stat, steps, target

UID, TITLE, HAS_MODULE, HAS_CHECK = "stagewatch-module", "Module", True, True
DESCRIPTION = "The checks of a module: verdicts, failures by class, unknown reasons, latencies."
MODULE, CHECK = 'module=~"$module"', 'check=~"$check"'


def panels() -> list[dict]:
    ratio = steps((None, RED), (0.99, GREEN))
    verdict = {name: select("stagewatch_check_verdict", MODULE, CHECK, verdict=name) for name in ("fail", "unknown")}
    # A check's id is unique in its module only.
    by, name = "(module, check)", "{{module}}/{{check}}"
    duration = select("stagewatch_check_duration_seconds_bucket", MODULE, CHECK)
    quantiles = [target(f"histogram_quantile({q}, sum by (module, check, le) (rate({duration}[$__rate_interval])))", f"p{int(q * 100)} {name}", step="5m", ref=ref)
                 for q, ref in ((0.5, "A"), (0.95, "B"), (0.99, "C"))]
    return place([
        [
            (stat("Pass rate", "Pass rate of the module over its latest verdicts.", [target(f'avg({select("stagewatch_module_pass_ratio", MODULE)})')],
                  "percentunit", thresholds=ratio, min=0, max=1), 6, 4),
            (stat("Coverage", "Share of its checks that could be judged.", [target(f'avg({select("stagewatch_module_coverage_ratio", MODULE)})')],
                  "percentunit", thresholds=ratio, min=0, max=1), 6, 4),
            (stat("Failing checks", "Checks now failing. Read their messages on the daemon's page.",
                  [target(f'sum({select("stagewatch_module_checks", MODULE, verdict="fail")})')], thresholds=steps((None, GREEN), (1, RED))), 6, 4),
            (stat("Unknown checks", "Checks that could not be judged. See the reasons below.",
                  [target(f'sum({select("stagewatch_module_checks", MODULE, verdict="unknown")})')],
                  thresholds=steps((None, GREEN), (1, PURPLE))), 6, 4),
        ],
        [(history("Verdict of each check", "One row a check. FAIL: the daemon's page shows the values compared. UNKNOWN: see the reasons.",
                  [target(f"max by {by} (2 * ({verdict['fail']}) or {verdict['unknown']})", name, step="5m")]), 24, 10)],
        [
            (series("Failures by class", "What failed: class of the first broken expectation. http_status and upgrade_status: look at the target's logs.",
                    [target(f'sum by (module, check, reason) (increase({select("stagewatch_check_failures_total", MODULE, CHECK)}[$__rate_interval])) > 0', f"{name} {{{{reason}}}}", step="5m")],
                    "short", bars=True), 12, 9),
            (series("Unknown reasons", "Why checks could not be judged. monitor: our own fault, see Monitor health. blocked_by: mend the prerequisite first.",
                    [target(f'sum by (module, reason) (increase({select("stagewatch_check_unknowns_total", MODULE)}[$__rate_interval])) > 0', "{{module}} {{reason}}", step="5m")],
                    "short", bars=True), 12, 9),
        ],
        [
            (series("Duration of passing checks", "Wire time of the scenarios a check judged. A rise without failures is an early sign.", quantiles, "s"), 12, 9),
            (heat("Duration", "All passing runs. Two bands: a cold and a warm path.", f"sum by (le) (increase({duration}[$__rate_interval]))"), 12, 9),
        ],
        [(row("Each check"), 24, 1)],
        [(history("$check", "Verdicts of this check alone.",
                  [target(f"max by {by} (2 * ({verdict['fail']}) or {verdict['unknown']})", "{{module}}", step="5m")],
                  repeat="check", repeatDirection="h", maxPerRow=3), 8, 5)],
        [
            (series("Age of the last run", "Sawtooth up to the check's period. Beyond 2.5 periods StagewatchCheckStale fires.",
                    [target(f'time() - (max by {by} ({select("stagewatch_check_last_run_timestamp_seconds", MODULE, CHECK)}) > 0)', name)], "s"), 12, 8),
            (series("Failures in a row", "Two in a row page for critical modules; only a pass resets.",
                    [target(f'max by {by} ({select("stagewatch_check_consecutive_failures", MODULE, CHECK)})', name)], "short"), 12, 8),
        ],
    ])
