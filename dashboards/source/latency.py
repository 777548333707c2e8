"""The promises about latency."""

from .panels import GREEN, RED, heat, place, row, select, series, stat, steps, target

UID, TITLE, HAS_MODULE = "stagewatch-latency", "Latency targets", False
DESCRIPTION = "Each promise: distribution, share within it, percentile, and the network floor beside it."
TARGETS = (("api_response", 0.1, "API response"), ("websocket_latency", 0.05, "WebSocket latency"), ("agent_startup", 0.5, "Agent startup"),
           ("message_processing", 0.2, "Message processing"), ("total_request", 1.0, "Total request"))


def bound_label(seconds: float) -> str:
    """As both expositions write it: 1.0, not 1."""
    return repr(float(seconds))


def one(name: str, seconds: float, title: str) -> list[list[tuple[dict, int, int]]]:
    matcher = f'latency_target="{name}"'
    bucket = select("stagewatch_latency_target_seconds_bucket", matcher)
    within = select("stagewatch_latency_target_seconds_bucket", matcher, f'le="{bound_label(seconds)}"')
    count = select("stagewatch_latency_target_seconds_count", matcher)
    return [
        [(row(f"{title}: {seconds * 1000:g} ms"), 24, 1)],
        [
            (stat(f"{title}: within", "Share of samples within the promise in the last 15 minutes. Below 95 %: compare with the floor, then look at the target.",
                  [target(f"sum(increase({within}[15m])) / sum(increase({count}[15m]))")], "percentunit", thresholds=steps((None, RED), (0.95, GREEN)), min=0, max=1), 4, 8),
            (series(f"{title}: percentiles", "The dashed line is the promise.",
                    [target(f"histogram_quantile({q}, sum by (le) (rate({bucket}[$__rate_interval])))", f"p{int(q * 100)}", step="5m", ref=ref) for q, ref in ((0.5, "A"), (0.95, "B"))],
                    "s", line=True, thresholds=steps((None, GREEN), (seconds, RED))), 10, 8),
            (heat(f"{title}: distribution", "Samples by bucket.", f"sum by (le) (increase({bucket}[$__rate_interval]))"), 10, 8),
        ],
    ]


def panels() -> list[dict]:
    rows = [line for name, seconds, title in TARGETS for line in one(name, seconds, title)]
    floor = [(series("Network floor", "What the network alone takes. Value minus floor is the service's part.",
                     [target(f'max by (socket, phase) ({select("stagewatch_network_floor_seconds")})', "{{socket}} {{phase}}")], "s"), 24, 8)]
    return place([*rows, floor])
