"""The error budget of each module."""

from .panels import GREEN, RED, YELLOW, bars, place, select, series, stat, steps, target

UID, TITLE, HAS_MODULE = "stagewatch-slo", "SLO", True
DESCRIPTION = "Objective, error budget left, and how fast it burns. Slow by nature: the fast path is the upgrade watch."
MODULE = 'module=~"$module"'
OBJECTIVE = 0.99


def burn(window: str) -> str:
    return f'(1 - avg by (module) (avg_over_time({select("stagewatch_module_pass_ratio", MODULE)}[{window}]))) / {1 - OBJECTIVE:g}'


def panels() -> list[dict]:
    judged = select("stagewatch_check_runs_total", MODULE, 'verdict=~"pass|fail"')
    return place([
        [
            (stat("Objective", "The pass ratio that the burn rates below are measured against.", [target(f"vector({OBJECTIVE})")], "percentunit", decimals=1), 4, 9),
            (bars("Error budget left, 30 days", "Share of the budget not yet spent. Empty: no risky deploys; fix what burns it.",
                  [target(f'1 - ((1 - avg by (module) (avg_over_time({select("stagewatch_module_pass_ratio", MODULE)}[30d]))) / {1 - OBJECTIVE:g})', "{{module}}")],
                  "percentunit", min=0, max=1, thresholds=steps((None, RED), (0.2, YELLOW), (0.5, GREEN))), 20, 9),
        ],
        [(series(f"Burn rate over {window}", f"Pages above {factor} when the short window agrees (StagewatchModuleErrorBudgetBurn).", [target(burn(window), "{{module}}")], "short",
                 line=True, thresholds=steps((None, GREEN), (factor, RED))), 8, 9) for window, factor in (("1h", 14.4), ("6h", 6), ("3d", 1))],
        [
            (series("Judged runs an hour", "Fewer samples than expected make the burn rate blind: see Coverage.",
                    [target(f"sum by (module) (increase({judged}[1h]))", "{{module}}", step="5m")], "short"), 12, 8),
            (series("Coverage", "Below 80 % no burn rate alert fires; StagewatchModuleBlind does.",
                    [target(f'avg by (module) (avg_over_time({select("stagewatch_module_coverage_ratio", MODULE)}[$__rate_interval]))', "{{module}}", step="5m")],
                    "percentunit", line=True, thresholds=steps((None, RED), (0.8, GREEN)), min=0, max=1), 12, 8),
        ],
    ])
