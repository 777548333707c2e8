"""The socket: what pages."""

from .panels import GREEN, RED, YELLOW, place, select, series, stat, steps, target, timeline

UID, TITLE, HAS_MODULE = "stagewatch-websocket", "WebSocket", False
DESCRIPTION = "Upgrades by outcome, who refused them, the sessions behind a 101, and whether push and rule agree about the alert."


PUSHED = 'alertname=~"StagewatchWebSocket.*"'


def short(expr: str) -> str:
    """With the label `what`: the alert's name without what all of them begin with."""
    return f'label_replace({expr}, "what", "$1", "alertname", "StagewatchWebSocket(.*)")'


def panels() -> list[dict]:
    upgrades = select("stagewatch_websocket_upgrades_total")
    failing = select("stagewatch_websocket_upgrade_failing")
    phase = select("stagewatch_phase_duration_seconds_bucket")

    def share(title: str, matcher: str, what: str) -> tuple[dict, int, int]:
        return (stat(title, what, [target(f'sum(increase({select("stagewatch_websocket_upgrades_total", matcher)}[1h]))')],
                     thresholds=steps((None, GREEN), (1, RED)), decimals=0), 6, 4)

    return place([
        [
            share("HTTP 500 in 1 h", 'outcome="http_500"', "Upgrades refused with 500. The service dies inside the upgrade: runbook StagewatchWebSocketUpgradeHTTP500."),
            share("HTTP 401 or 403 in 1 h", 'outcome=~"http_401|http_403"', "A valid token was refused. Compare with the API's answer to the same token."),
            share("Other 5xx in 1 h", 'outcome=~"http_502|http_503|http_504"', "Answers of the edge, mostly. Is the service up at all?"),
            share("No HTTP answer in 1 h", 'outcome=~"timeout|refused|reset|dns|tls"', "Network, DNS or TLS. Check Monitor health before blaming the target."),
        ],
        [(timeline("Confirmed state", "Each socket and credential, and the outcome that a burst has confirmed while it fails.",
                   [target(f'max by (socket, credential, outcome) ({failing}) == 1 or max by (socket, credential) ({failing})', "{{socket}} {{credential}} {{outcome}}")],
                   mappings=[{"type": "value", "options": {"0": {"text": "fine", "color": GREEN, "index": 0}, "1": {"text": "failing", "color": RED, "index": 1}}}],
                   thresholds=steps((None, GREEN), (1, RED))), 24, 8)],
        [
            (series("Upgrades by outcome", "Every attempt with no or a valid token. ok for no token means: properly refused.",
                    [target(f"sum by (credential, outcome) (increase({upgrades}[$__rate_interval])) > 0", "{{credential}} {{outcome}}", step="5m")], "short", bars=True), 12, 9),
            (series("Who refused", "Unexpected answers by fingerprint. app: the service itself. edge: in front of it.",
                    [target(f'sum by (layer) (increase({select("stagewatch_websocket_upgrade_layer_total")}[$__rate_interval]))', "{{layer}}", step="5m")], "short", bars=True), 12, 9),
        ],
        [
            (series("Phases, p95", "Where the time goes. connect and tls: the path. upgrade and welcome: the service.",
                    [target(f"histogram_quantile(0.95, sum by (phase, le) (rate({phase}[$__rate_interval])))", "{{phase}}", step="5m")], "s"), 12, 9),
            (series("After the 101", "What followed an accepted upgrade. no_welcome and auth_error_frame page.",
                    [target(f'sum by (outcome) (increase({select("stagewatch_websocket_sessions_total")}[$__rate_interval]))', "{{outcome}}", step="5m")], "short", bars=True), 12, 9),
        ],
        [
            (series("Sessions held", "How long resident sockets were held until they were rotated or broke, median. Shorter than the rotation: something closes them, see Closes by code.",
                    [target(f'histogram_quantile(0.5, sum by (socket, le) (rate({select("stagewatch_websocket_session_duration_seconds_bucket")}[$__rate_interval])))', "{{socket}}", step="5m")], "s"), 8, 8),
            (series("Closes by code", "How sockets ended. 1012: a restart of the target. 1006: cut without a close.",
                    [target(f'sum by (code_class) (increase({select("stagewatch_websocket_closes_total")}[$__rate_interval]))', "{{code_class}}", step="5m")], "short", bars=True), 8, 8),
            (series("Network floor", "TCP connect and protocol ping. A rise here explains a rise of every latency.",
                    [target(f'max by (socket, phase) ({select("stagewatch_network_floor_seconds")})', "{{socket}} {{phase}}")], "s"), 8, 8),
        ],
        [(timeline("Push and rule", "The daemon's own view and the rule's. They should overlap; a gap is a missed hand-over.",
                   [target(short(f'clamp_max(max by (alertname) ({select("stagewatch_alerts_active", PUSHED)}), 1)'), "push {{what}}", ref="A"),
                    target(short(f'max by (alertname) (ALERTS{{{PUSHED},alertstate="firing"}})'), "rule {{what}}", ref="B")],
                   mappings=[{"type": "value", "options": {"0": {"text": "quiet", "color": GREEN, "index": 0}, "1": {"text": "firing", "color": RED, "index": 1}}}],
                   thresholds=steps((None, GREEN), (1, YELLOW))), 24, 7)],
    ])
