"""Alerts about the monitor itself, about certificates, and the watchdog. Reads nothing and writes nothing."""

from rules import BLAMED, muted


def alerts(w):
    """Everything that is not a statement about the target's behaviour. None of it is muted by maintenance of the target."""
    return presence(w) + schedule(w) + delivery(w) + surroundings(w) + certificates(w) + watchdog(w)


def presence(w):
    """Is the monitor there?"""
    job, owner = w.settings["job"], w.settings["monitor_owner"]
    return [
        w.alert(
            "StagewatchMonitorDown",
            f'absent(up{{job="{job}"}} == 1)',
            wait="1m",
            severity="critical",
            owner=owner,
            # absent() of a comparison gives no labels.
            labels={"job": job},
            dashboard="stagewatch-monitor",
            summary="The monitor is gone.",
            description="Prometheus has not scraped any stagewatch for a minute. Nobody watches the target.",
        ),
        w.alert(
            "StagewatchMonitorCrashLooping",
            f'max by (job) (changes(process_start_time_seconds{{job="{job}"}}[15m])) >= 3',
            severity="warning",
            owner=owner,
            dashboard="stagewatch-monitor",
            summary="The monitor restarts again and again.",
            description="stagewatch has started {{ $value }} times in 15 minutes.",
        ),
    ]


def schedule(w):
    """Does it do what it should, when it should?"""
    job, owner = w.settings["job"], w.settings["monitor_owner"]
    interval = "max by (module, check) (stagewatch_check_interval_seconds)"
    uptime = f'scalar(time() - max(process_start_time_seconds{{job="{job}"}}))'
    return [
        w.alert(
            "StagewatchCheckStale",
            f"(2.5 * {interval} + 60 < {uptime})\n"
            "unless on (module, check) (\n"
            "  time() - max by (module, check) (stagewatch_check_last_run_timestamp_seconds)\n"
            f"    <= on (module, check) (2.5 * {interval} + 60)\n)\n"
            "unless on (module, check) (\n"
            '  max by (module, check) (max_over_time(stagewatch_check_verdict{verdict="off"}[1h])) == 1\n)',
            wait="1m",
            severity="critical",
            owner=owner,
            dashboard="stagewatch-monitor",
            summary="A check is not run any more.",
            description="Check {{ $labels.module }}/{{ $labels.check }} has no judgement newer than {{ $value | humanizeDuration }} "
            "(2.5 of its periods) although the monitor is up.",
        ),
        w.alert(
            "StagewatchMonitorSchedulerStalled",
            "time() - max(stagewatch_scheduler_last_tick_timestamp_seconds) > 120",
            wait="1m",
            severity="critical",
            owner=owner,
            dashboard="stagewatch-monitor",
            summary="The monitor's scheduler stands still.",
            description="The last tick of the scheduler was {{ $value | humanizeDuration }} ago; nothing is probed.",
        ),
        w.alert(
            "StagewatchMonitorSchedulerLate",
            '1 - sum(increase(stagewatch_scheduler_delay_seconds_bucket{le=~"1(\\\\.0)?"}[15m]))\n'
            "  / sum(increase(stagewatch_scheduler_delay_seconds_count[15m])) > 0.05\n"
            "and sum(increase(stagewatch_scheduler_delay_seconds_count[15m])) >= 20",
            wait="10m",
            severity="warning",
            owner=owner,
            dashboard="stagewatch-monitor",
            summary="The monitor starts its runs late.",
            description="{{ $value | humanizePercentage }} of the runs started more than a second late: the machine is too small or too busy.",
        ),
        w.alert(
            "StagewatchMonitorBudgetExhausted",
            "min by (budget) (stagewatch_budget_remaining_ratio) < 0.02",
            wait="15m",
            severity="warning",
            owner=owner,
            dashboard="stagewatch-monitor",
            summary="A budget of the monitor is used up.",
            description="Budget {{ $labels.budget }} has had less than 2 % left for 15 minutes: runs are left out to stay within the target's limits.",
        ),
        w.alert(
            "StagewatchMonitorFault",
            f'count(last_over_time({BLAMED}{{blame="monitor"}}[5m]) >= {w.settings["checks"]["unjudged"]}) > 0',
            severity="warning",
            owner=owner,
            dashboard="stagewatch-monitor",
            summary="The monitor's own fault keeps checks from being judged.",
            description="{{ $value }} checks could not be judged several times in a row because of the monitor itself: "
            "a credential, a budget, its network or its machine.",
        ),
    ]


def delivery(w):
    """Do its alerts arrive?"""
    owner = w.settings["monitor_owner"]
    share = (
        "sum by (alertmanager) (rate(stagewatch_alertmanager_push_failures_total[2m]))\n"
        "  / sum by (alertmanager) (rate(stagewatch_alertmanager_pushes_total[2m]))"
    )
    return [
        w.alert(
            "StagewatchMonitorAlertPushFailing",
            f"min(\n{share}\n) > 0.5",
            wait="2m",
            severity="critical",
            owner=owner,
            dashboard="stagewatch-monitor",
            summary="The monitor cannot deliver its alerts.",
            description="{{ $value | humanizePercentage }} of the pushes fail at every Alertmanager. Prometheus' own rules still page, more slowly.",
        ),
        w.alert(
            "StagewatchMonitorAlertPushFailing",
            f"(\n{share}\n) > 0.5",
            wait="2m",
            severity="warning",
            owner=owner,
            dashboard="stagewatch-monitor",
            summary="The monitor cannot deliver its alerts to one Alertmanager.",
            description="{{ $value | humanizePercentage }} of the pushes to {{ $labels.alertmanager }} fail.",
        ),
    ]


def surroundings(w):
    """Network, configuration, disk and clock of the monitor."""
    owner = w.settings["monitor_owner"]
    return [
        w.alert(
            "StagewatchMonitorNetworkSuspect",
            "min(stagewatch_controls_reachable_ratio) < 0.5",
            wait="1m",
            severity="warning",
            owner=owner,
            dashboard="stagewatch-monitor",
            summary="The monitor's own network is suspect.",
            description="Only {{ $value | humanizePercentage }} of the unrelated control addresses answer: verdicts say unknown until that is over.",
        ),
        w.alert(
            "StagewatchMonitorConfigReloadFailed",
            "min(stagewatch_config_last_reload_successful) == 0",
            wait="5m",
            severity="warning",
            owner=owner,
            dashboard="stagewatch-monitor",
            summary="The monitor refused its new configuration.",
            description="The last reload failed; the old configuration is still in force. The log names file and line.",
        ),
        w.alert(
            "StagewatchMonitorHistoryFailing",
            "sum(increase(stagewatch_history_write_errors_total[15m])) > 0",
            severity="warning",
            owner=owner,
            dashboard="stagewatch-monitor",
            summary="The monitor cannot write its history.",
            description="{{ $value | humanize }} writes failed in 15 minutes: disk full, read-only or broken. Checks and alerts go on.",
        ),
        w.alert(
            "StagewatchMonitorClockJumped",
            "sum(increase(stagewatch_clock_jumps_total[15m])) > 0",
            severity="warning",
            owner=owner,
            dashboard="stagewatch-monitor",
            summary="The monitor's clock jumped.",
            description="{{ $value | humanize }} jumps of the wall clock in 15 minutes: look at time synchronisation.",
        ),
    ]


def certificates(w):
    """Expiry of the target's certificates."""
    left = "min by (host) (stagewatch_tls_certificate_not_after_timestamp_seconds) - time()"
    day = 24 * 3600
    tiers = [("critical", f"{left} < {3 * day}"), ("warning", f"({left} < {14 * day}) >= {3 * day}")]
    return [
        w.alert(
            "StagewatchTLSCertificateExpiring",
            f"{expr}\n{muted('')}",
            wait="1h",
            severity=severity,
            owner=w.settings["owner"],
            dashboard="stagewatch-overview",
            summary="A certificate of the target expires soon.",
            description="The certificate chain of {{ $labels.host }} expires in {{ $value | humanizeDuration }}.",
        )
        for severity, expr in tiers
    ]


def watchdog(w):
    """Always firing: its absence at the receiver shows that Prometheus or Alertmanager is dead."""
    return [
        w.alert(
            "Watchdog",
            "vector(1)",
            severity="none",
            owner=w.settings["monitor_owner"],
            dashboard="stagewatch-monitor",
            summary="Alerting works.",
            description="This alert always fires. The dead-man's-switch that receives it must page when it stops coming.",
        )
    ]
