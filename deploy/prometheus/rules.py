"""The recording rules and what every alert has in common, as Python data. Reads nothing and writes nothing.

Three habits hold everywhere:
* An alert reads recording rules without instance labels, so that it does not care which replica or which restarted
  process said something, and so that "the last thing that was said" is well defined.
* An alert about the target goes on for `hold` when all samples stop (the monitor died in an incident), and is
  released by the first fresh sample. Only evidence ends it.
* An alert about the target is muted by `stagewatch_alert_suppressed`, with which the daemon mutes itself.
"""

BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0]
CRITICAL_OUTCOMES = "http_502|http_503|http_504|timeout|refused|reset|dns|tls"
REFUSED_OUTCOMES = "http_401|http_403"

FAILING = "socket_credential_outcome:stagewatch_websocket_upgrade_failing:max"
SESSION = "socket_outcome:stagewatch_websocket_session_failing:max"
INFO = "module_check:stagewatch_check_info:one"
FAILURES = "module_check:stagewatch_check_consecutive_failures:max"
UNJUDGED = "module_check:stagewatch_check_consecutive_unjudged:max"
BLAMED = "module_check_blame:stagewatch_check_consecutive_unjudged:max"
DOWN = "module:stagewatch_checks_failing:count"
PASSING = "module:stagewatch_checks_passing:count"
EXPLAINED = "module:stagewatch_alert_suppressed:dependency"
OBJECTIVE = "module:stagewatch_objective:ratio"
WITHIN = "latency_target:stagewatch_latency_target_within:ratio_increase30m"
SAMPLES = "latency_target:stagewatch_latency_target_seconds:count_increase30m"


def pass_ratio(window):
    """Name of the recorded pass ratio over a window."""
    return f"module:stagewatch_module_pass_ratio:avg_over_time{window}"


def explained(window):
    """Name of the recorded share of a window in which a broken socket explained what failed in a module."""
    return f"{EXPLAINED}_avg_over_time{window}"


def coverage(window):
    """Name of the recorded coverage over a window."""
    return f"module:stagewatch_module_coverage_ratio:avg_over_time{window}"


def judged(window):
    """Name of the recorded number of judgements over a window."""
    return f"module:stagewatch_check_runs:increase{window}"


def muted(scope):
    """The `unless` clause that mutes an alert of a scope: `socket`, `module, check`, `module` or the whole target (``)."""
    level = scope.replace(", ", "_") or "target"
    return f"unless on ({scope}) (last_over_time({level}:stagewatch_alert_suppressed:max[5m]) == 1)"


class Writer:
    """Makes rules with what every alert of ours carries."""

    def __init__(self, settings):
        self.settings = settings

    def record(self, name, expr, labels=None):
        """A recording rule."""
        return {"record": name, "expr": expr, "labels": labels or {}}

    def alert(self, name, expr, *, severity, summary, description, dashboard, wait=None, owner=None, labels=None):
        """An alert. `severity` or `owner` None: the expression's own label counts."""
        own = {"origin": "prometheus", "environment": self.settings["environment"]}
        if severity:
            own["severity"] = severity
        if owner:
            own["owner"] = owner
        own.update(labels or {})
        annotations = {
            "summary": summary,
            "description": description,
            "runbook_url": f"{self.settings['runbooks']}#{name.lower()}",
            "dashboard_url": f"{self.settings['dashboards']}/{dashboard}",
        }
        return {"alert": name, "expr": expr, "for": wait, "labels": own, "annotations": annotations}

    def held(self, name, selector, condition, known_by):
        """The condition on a recorded series, or on its last value while nothing at all is fresh for the same `known_by`."""
        return (
            f"(\n  {name}{selector} {condition}\nor\n"
            f"  (last_over_time({name}{selector}[{self.settings['hold']}]) {condition})\n"
            f"    unless on ({known_by}) {name}\n)"
        )


def suppression(w):
    """What the daemon mutes, by scope."""
    metric = "stagewatch_alert_suppressed"
    return [
        w.record(f"target:{metric}:max", f'max without (cause, job, instance) ({metric}{{module="",check="",socket=""}})'),
        w.record(f"socket:{metric}:max", f'max by (socket) ({metric}{{socket!=""}})'),
        w.record(f"module:{metric}:max", f'max by (module) ({metric}{{module!="",check=""}})'),
        w.record(f"module_check:{metric}:max", f'max by (module, check) ({metric}{{check!=""}})'),
    ]


def states(w):
    """Confirmed states and verdicts without instance labels."""
    failures = w.settings["checks"]["failures"]
    joined = f"\n* on (module, check) group_left (severity, owner, needs_socket)\n{INFO}"
    return suppression(w) + [
        w.record(FAILING, "max by (socket, credential, outcome) (stagewatch_websocket_upgrade_failing)"),
        w.record(SESSION, "max by (socket, outcome) (stagewatch_websocket_session_failing)"),
        w.record(
            "module:stagewatch_check_verdict:worst",
            "(\n"
            '  max by (module) (2 * stagewatch_check_verdict{verdict="fail"})\n'
            '    >= max by (module) (stagewatch_check_verdict{verdict="unknown"})\n'
            'or\n  max by (module) (stagewatch_check_verdict{verdict="unknown"})\n)\n'
            'and on (module) (max by (module) (stagewatch_check_verdict{verdict!="off"}) == 1)',
        ),
        w.record(
            INFO,
            "topk by (module, check) (1, max by (module, check, severity, owner, needs_socket) (stagewatch_check_info))",
        ),
        w.record(FAILURES, f"max by (module, check) (stagewatch_check_consecutive_failures){joined}"),
        w.record(UNJUDGED, f"max by (module, check) (stagewatch_check_consecutive_unjudged){joined}"),
        w.record(
            BLAMED,
            f"{UNJUDGED}\n* on (module, check) group_left (blame)\n"
            "topk by (module, check) (1, max by (module, check, blame) (stagewatch_check_blame == 1))",
        ),
        w.record(DOWN, f"sum by (module) ({FAILURES} >= bool {failures})"),
        w.record(
            PASSING,
            'sum by (module) (max by (module, check) (stagewatch_check_verdict{verdict="pass"}))',
        ),
    ]


def objectives(w):
    """Windows for the burn alerts, and the objectives themselves for the dashboards."""
    rules = [
        w.record(OBJECTIVE, f"vector({objective})", {"module": module})
        for module, objective in w.settings["objectives"].items()
    ]
    # 1 while a broken socket explains what fails in a module: the page about the socket is the one that counts.
    rules.append(
        w.record(
            EXPLAINED,
            'max by (module) (stagewatch_alert_suppressed{check!="",cause="dependency"})\n'
            "or on (module) (0 * max by (module) (stagewatch_module_pass_ratio))",
        )
    )
    for window in ("30m", "1h", "6h", "3d"):
        rules += [
            w.record(explained(window), f"avg_over_time({EXPLAINED}[{window}])"),
            w.record(pass_ratio(window), f"avg by (module) (avg_over_time(stagewatch_module_pass_ratio[{window}]))"),
            w.record(coverage(window), f"avg by (module) (avg_over_time(stagewatch_module_coverage_ratio[{window}]))"),
            w.record(
                judged(window),
                f'sum by (module) (increase(stagewatch_check_runs_total{{verdict=~"pass|fail"}}[{window}]))',
            ),
        ]
    return rules


def latencies(w):
    """Share of measurements within each promise, exact because each promise is a bucket boundary."""
    rules = []
    for name, target in w.settings.get("latency_targets", {}).items():
        seconds = target["seconds"]
        # A whole number of seconds is written `1` or `1.0`, depending on the exposition format.
        le = f"{seconds:g}" if seconds % 1 else f"{seconds:g}(\\\\.0)?"
        bucket = f'stagewatch_latency_target_seconds_bucket{{latency_target="{name}",le=~"{le}"}}'
        count = f'stagewatch_latency_target_seconds_count{{latency_target="{name}"}}'
        rules += [
            w.record(
                WITHIN,
                f"sum(increase({bucket}[30m])) / sum(increase({count}[30m]))",
                {"latency_target": name},
            ),
            w.record(SAMPLES, f"sum(increase({count}[30m]))", {"latency_target": name}),
        ]
    return rules
