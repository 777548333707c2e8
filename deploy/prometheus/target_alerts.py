"""Alerts about the target: sockets, checks, modules, error budgets, latency. Reads nothing and writes nothing."""

from rules import (
    BLAMED,
    CRITICAL_OUTCOMES,
    DOWN,
    FAILING,
    FAILURES,
    INFO,
    OBJECTIVE,
    PASSING,
    REFUSED_OUTCOMES,
    SAMPLES,
    SESSION,
    UNJUDGED,
    WITHIN,
    coverage,
    explained,
    judged,
    muted,
    pass_ratio,
)

WHO = '{{ if eq $labels.credential "valid" }}with a valid token{{ else }}without a token{{ end }}'


def sockets(w):
    """Upgrades and sessions."""
    owner = w.settings["owner"]
    http500 = w.held(FAILING, '{outcome="http_500"}', "== 1", "socket, credential")
    named = f"WebSocket upgrades of socket {{{{ $labels.socket }}}} {WHO}"
    rules = [
        w.alert(
            "StagewatchWebSocketUpgradeHTTP500",
            f"max by (socket, credential) (\n{http500}\n)\n{muted('socket')}",
            severity="critical",
            owner=owner,
            dashboard="stagewatch-websocket?var-socket={{ $labels.socket }}",
            summary="WebSocket upgrades return HTTP 500.",
            description=f"{named} are answered with HTTP 500, confirmed by the monitor's burst of attempts. "
            "This is the slower path; the page pushed by the monitor itself carries the diagnosis.",
        ),
        w.alert(
            "StagewatchWebSocketUpgradeHTTP500",
            f'max by (socket, credential, job) (probe_success{{job="ws-http500"}}) == 1\n{muted("socket")}',
            wait="1m",
            severity="critical",
            owner=owner,
            # Another identity than the rule above: of two alerts with the same labels, the one that ends would end both.
            labels={"job": "ws-http500"},
            dashboard="stagewatch-websocket?var-socket={{ $labels.socket }}",
            summary="WebSocket upgrades return HTTP 500.",
            description=f"{named} are answered with HTTP 500, seen by blackbox_exporter and not by the monitor.",
        ),
    ]
    failing = [
        (
            "critical",
            f'{{outcome=~"{CRITICAL_OUTCOMES}"}}',
            f'{{credential="valid",outcome=~"{REFUSED_OUTCOMES}"}}',
        ),
        (
            "warning",
            f'{{outcome!~"http_500|{CRITICAL_OUTCOMES}|{REFUSED_OUTCOMES}"}}',
            f'{{credential!="valid",outcome=~"{REFUSED_OUTCOMES}"}}',
        ),
    ]
    for severity, first, second in failing:
        either = " or\n".join(w.held(FAILING, selector, "== 1", "socket, credential") for selector in (first, second))
        rules.append(
            w.alert(
                "StagewatchWebSocketUpgradeFailing",
                f"max by (socket, credential, outcome) (\n{either}\n)\n{muted('socket')}",
                wait="1m",
                severity=severity,
                owner=owner,
                dashboard="stagewatch-websocket?var-socket={{ $labels.socket }}",
                summary="WebSocket upgrades fail.",
                description=f"{named} fail with {{{{ $labels.outcome }}}}, confirmed by the monitor's burst of attempts.",
            )
        )
    return rules + sessions(w, owner)


def sessions(w, owner):
    """What follows a 101, and single answers that were not confirmed."""
    broken = w.held(SESSION, "", "== 1", "socket")
    recent = "max by (socket, credential) (max_over_time(" + FAILING + '{outcome="http_500"}[35m])) == 1'
    return [
        w.alert(
            "StagewatchWebSocketSessionBroken",
            f"max by (socket) (\n{broken}\n)\n{muted('socket')}",
            severity="critical",
            owner=owner,
            dashboard="stagewatch-websocket?var-socket={{ $labels.socket }}",
            summary="WebSocket upgrades succeed, but no session follows.",
            description="Socket {{ $labels.socket }} answers a valid token with 101 and then sends no welcome, an error or a close.",
        ),
        w.alert(
            "StagewatchWebSocketUpgradeFlaky",
            'sum by (socket, credential) (increase(stagewatch_websocket_upgrades_total{outcome="http_500"}[30m])) > 2\n'
            f"unless on (socket, credential) ({recent})\n"
            "unless on (socket) (max_over_time(socket:stagewatch_alert_suppressed:max[30m]) == 1)",
            severity="warning",
            owner=owner,
            dashboard="stagewatch-websocket?var-socket={{ $labels.socket }}",
            summary="Some WebSocket upgrades return HTTP 500.",
            description="Socket {{ $labels.socket }}: {{ $value | humanize }} upgrades in 30 minutes were answered with HTTP 500, "
            "but repeated attempts were not: some instances or moments are bad.",
        ),
    ]


def checks(w):
    """Single checks."""
    failures = w.settings["checks"]["failures"]
    unjudged = w.settings["checks"]["unjudged"]
    dashboard = "stagewatch-module?var-module={{ $labels.module }}"
    rules = [
        w.alert(
            "StagewatchCheckFailing",
            f"{w.held(FAILURES, '', f'>= {failures}', 'module, check')}\n{muted('module, check')}\n{muted('module')}",
            severity=None,
            dashboard=dashboard,
            summary="A check fails repeatedly.",
            description="Check {{ $labels.module }}/{{ $labels.check }} has failed {{ $value }} times without a pass in between.",
        )
    ]
    for blame, severity in (("target", "critical"), ("path", "warning")):
        held = (
            f'(\n  {BLAMED}{{severity="critical",blame="{blame}"}} >= {unjudged}\nor\n'
            f'  (last_over_time({BLAMED}{{severity="critical",blame="{blame}"}}[{w.settings["hold"]}]) >= {unjudged})\n'
            f"    unless on (module, check) {UNJUDGED}\n)"
        )
        rules.append(
            w.alert(
                "StagewatchCheckUnjudged",
                f"{held}\n{muted('module, check')}\n{muted('module')}",
                severity=severity,
                dashboard=dashboard,
                summary="A critical check could not be judged for several periods.",
                description="Check {{ $labels.module }}/{{ $labels.check }} could not be judged {{ $value }} times in a row; "
                f"the cause lies with the {blame}.",
            )
        )
    return rules


def modules(w):
    """Whole modules."""
    down = (
        f"(\n  {DOWN} >= 2\n    unless on (module) ({PASSING} > 0)\nor\n"
        f"  (last_over_time({DOWN}[{w.settings['hold']}]) >= 2)\n"
        f"    unless on (module) (last_over_time({PASSING}[{w.settings['hold']}]) > 0)\n"
        f"    unless on (module) {DOWN}\n)"
    )
    owned = f"\n* on (module) group_left (owner) topk by (module) (1, max by (module, owner) (last_over_time({INFO}[{w.settings['hold']}])))"
    others = (
        f"(sum by (module) (last_over_time({FAILURES}{{needs_socket!=\"true\"}}[{w.settings['hold']}])"
        f" >= bool {w.settings['checks']['failures']}) > 0)"
    )
    # What a broken socket excuses in a module says nothing of the module, as long as the daemon says so.
    excused = (
        f"unless on (module) (\n  {FAILURES} > 0\n"
        "    and on (module, check) (last_over_time(module_check:stagewatch_alert_suppressed:max[5m]) == 1)\n)"
    )
    rules = []
    for needs, join in (("true", "unless"), ("false", "and")):
        rules.append(
            w.alert(
                "StagewatchModuleDown",
                f"(\n{down}\n{join} on (module) {others}\n){owned}\n{excused}\n{muted('module')}",
                severity="critical",
                labels={"needs_socket": needs},
                dashboard="stagewatch-module?var-module={{ $labels.module }}",
                summary="Every judged check of a module fails.",
                description="Module {{ $labels.module }}: {{ $value }} checks fail and none passes.",
            )
        )
    rules.append(
        w.alert(
            "StagewatchModuleBlind",
            "avg by (module) (avg_over_time(stagewatch_module_coverage_ratio[1h])) < 0.8\n" + muted("module"),
            wait="30m",
            severity="warning",
            owner=w.settings["owner"],
            dashboard="stagewatch-module?var-module={{ $labels.module }}",
            summary="Too many checks of a module cannot be judged.",
            description="Module {{ $labels.module }}: only {{ $value | humanizePercentage }} of its checks could be judged in the last hour.",
        )
    )
    return rules


def budgets(w):
    """Slow burn of the error budget, by objective, beside what a broken socket explains, which pages by itself. Guards: coverage,
    the number of judgements, and that the windows are filled, for the first minutes of a monitor are no hour."""
    tiers = [
        ("1h", "30m", 14.4, None, "critical", 6),
        ("6h", "30m", 6, "15m", "critical", 12),
        ("3d", "6h", 1, "3h", "warning", 48),
    ]
    def burns(window, factor):
        return f"1 - {pass_ratio(window)} - on (module) {explained(window)} > on (module) ({factor} * (1 - {OBJECTIVE}))"

    rules = []
    for long, short, factor, wait, severity, least in tiers:
        rules.append(
            w.alert(
                "StagewatchModuleErrorBudgetBurn",
                f"{burns(long, factor)}\n"
                f"and on (module) ({burns(short, factor)})\n"
                f"and on (module) last_over_time({pass_ratio(short)}[{short}] offset {short})\n"
                f"and on (module) ({coverage(long)} >= 0.8)\n"
                f"and on (module) ({judged(long)} >= {least})\n"
                f"{muted('module')}",
                wait=wait,
                severity=severity,
                owner=w.settings["owner"],
                labels={"window": long},
                dashboard="stagewatch-slo?var-module={{ $labels.module }}",
                summary="A module burns its error budget too fast.",
                description=f"Module {{{{ $labels.module }}}}: {{{{ $value | humanizePercentage }}}} of its checks did not pass over {long}, "
                f"more than {factor} times what its objective allows.",
            )
        )
    return rules


def latency(w):
    """Promises about latency."""
    rules = []
    for name, target in w.settings.get("latency_targets", {}).items():
        rules.append(
            w.alert(
                "StagewatchLatencyTargetMissed",
                f'{WITHIN}{{latency_target="{name}"}} < 0.95\n'
                f"and on (latency_target) ({SAMPLES} >= {target['samples']})\n{muted('')}",
                wait="15m",
                severity="warning",
                owner=w.settings["owner"],
                labels={"latency_target": name},
                dashboard="stagewatch-latency?var-latency_target={{ $labels.latency_target }}",
                summary="A latency target is missed.",
                description=f"{{{{ $labels.latency_target }}}}: only {{{{ $value | humanizePercentage }}}} of the measurements of 30 minutes "
                f"were within {target['seconds']:g} s; 95 % are promised.",
            )
        )
    return rules
