"""Is the monitor itself well?"""

from .panels import GREEN, RED, YELLOW, bars, ours, place, select, series, stat, steps, target

UID, TITLE, HAS_MODULE = "stagewatch-monitor", "Monitor health", False
DESCRIPTION = "The daemon's own health: on time, able to push, within its budgets, not leaking."


def quantile(metric: str, by: str, legend: str) -> list[dict]:
    labels = f"{by}, le" if by else "le"
    return [target(f'histogram_quantile(0.95, sum by ({labels}) (rate({select(metric + "_bucket")}[$__rate_interval])))', legend, step="5m")]


def panels() -> list[dict]:
    return place([
        [
            (stat("Up", "Whether Prometheus reaches the daemon.", [target(f'min({ours("up")})')], thresholds=steps((None, RED), (1, GREEN)),
                  mappings=[{"type": "value", "options": {"0": {"text": "down", "index": 0}, "1": {"text": "up", "index": 1}}}]), 4, 4),
            (stat("Controls reachable", "Share of unrelated addresses reachable. Below one half our own network is suspect and nobody is paged about the target.",
                  [target(f'min({select("stagewatch_controls_reachable_ratio")})')], "percentunit", thresholds=steps((None, RED), (0.5, GREEN))), 4, 4),
            (stat("Scheduler tick", "Age of the last tick. Above 30 s the scheduler is stuck; the watchdog ends the process.",
                  [target(f'time() - max({select("stagewatch_scheduler_last_tick_timestamp_seconds")})')], "s", thresholds=steps((None, GREEN), (30, RED))), 4, 4),
            (stat("Configuration", "Whether the last reload succeeded. If not, the old one is still in force; the page shows the message.",
                  [target(f'min({select("stagewatch_config_last_reload_successful")})')], thresholds=steps((None, RED), (1, GREEN)),
                  mappings=[{"type": "value", "options": {"0": {"text": "refused", "index": 0}, "1": {"text": "in force", "index": 1}}}]), 4, 4),
            (stat("Watchdog", "The dead man's switch. No value: Prometheus does not evaluate rules.",
                  [target('count(ALERTS{alertname="Watchdog",alertstate="firing"})')], thresholds=steps((None, RED), (1, GREEN))), 4, 4),
            (stat("History write errors", "Runs that could not be stored. Checks go on; free the disk.",
                  [target(f'sum(increase({select("stagewatch_history_write_errors_total")}[1h]))')], thresholds=steps((None, GREEN), (1, RED))), 4, 4),
        ],
        [
            (series("Scheduler delay, p95", "How late runs start. Above a second the machine is too small or too busy.", quantile("stagewatch_scheduler_delay_seconds", "", "delay"), "s"), 12, 8),
            (series("Skipped runs", "Runs not started: overrun (the last one was still going), budget (limits), shutdown.",
                    [target(f'sum by (cause) (increase({select("stagewatch_scheduler_skipped_runs_total")}[$__rate_interval]))', "{{cause}}", step="5m")], "short", bars=True), 12, 8),
        ],
        [
            (series("Push duration, p95", "Time an Alertmanager takes to accept a push.", quantile("stagewatch_alertmanager_push_duration_seconds", "alertmanager", "{{alertmanager}}"), "s"), 8, 8),
            (series("Push failures", "Failing pushes. The rule path still pages; mend the connection.",
                    [target(f'sum by (alertmanager) (increase({select("stagewatch_alertmanager_push_failures_total")}[$__rate_interval]))', "{{alertmanager}}", step="5m")], "short", bars=True), 8, 8),
            (series("Time to page, p95", "From the first bad answer to each stage.", quantile("stagewatch_page_stage_seconds", "stage", "{{stage}}"), "s"), 8, 8),
        ],
        [
            (series("Memory", "Resident memory. A steady climb is a leak.", [target(ours("process_resident_memory_bytes"), "{{instance}}")], "bytes"), 6, 8),
            (series("File descriptors", "Open descriptors. At the limit probes become unknown(monitor).", [target(ours("process_open_fds"), "{{instance}}")], "short"), 6, 8),
            (series("Restarts", "Start times; a step is a restart.", [target(f'changes({select("process_start_time_seconds")}[1h]) and {ours("process_start_time_seconds")}', "{{instance}}")], "short"), 6, 8),
            (series("Log messages", "By level. Errors deserve a look at the log.",
                    [target(f'sum by (level) (increase({select("stagewatch_log_messages_total")}[$__rate_interval]))', "{{level}}", step="5m")], "short", bars=True), 6, 8),
        ],
        [
            (series("Scrape duration", "Time Prometheus takes to scrape us.", [target(ours("scrape_duration_seconds"), "{{instance}}")], "s"), 12, 7),
            (series("Refused at the listener", "Who was not let in: silent and full are about places, auth and brake about tokens and passwords, host about names.",
                    [target(f'sum by (cause) (increase({select("stagewatch_serve_refused_total")}[$__rate_interval]))', "{{cause}}", step="5m")], "short", bars=True), 12, 7),
        ],
        [(bars("Budgets left", "Our own limits. Empty: checks become unknown(budget); lengthen schedules or add users.",
               [target(f'min by (budget) ({select("stagewatch_budget_remaining_ratio")})', "{{budget}}")], "percentunit", min=0, max=1,
               thresholds=steps((None, RED), (0.1, YELLOW), (0.3, GREEN))), 24, 16)],
    ])
