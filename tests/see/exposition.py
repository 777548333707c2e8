"""Both expositions, read by the reference parser and by a real Prometheus."""

import pathlib
import sys
import time

import daemons

sys.path.append(str(daemons.ROOT / "target/third-party/python"))

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics  # noqa: E402
from prometheus_client.parser import text_string_to_metric_families as text_format  # noqa: E402

OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0"}
SERIES_MAX = 4_500
EXEMPLAR_CHARS_MAX = 128


def bounds(families) -> set:
    """Every `le` with its series name."""
    samples = (sample for family in families for sample in family.samples)
    return {(sample.name, sample.labels["le"]) for sample in samples if "le" in sample.labels}


def looked_at(demo: daemons.Demo, prometheus: daemons.Prometheus) -> list[str]:
    problems = []
    plain = daemons.get(f"{demo.url}/metrics").decode()
    opened = daemons.get(f"{demo.url}/metrics", OPENMETRICS).decode()
    old, new = list(text_format(plain)), list(openmetrics(opened))
    if bounds(old) != bounds(new):
        problems.append(f"bounds differ: {sorted(bounds(old) ^ bounds(new))[:5]}")
    series = sum(len(family.samples) for family in new)
    if not 1_000 < series <= SERIES_MAX:
        problems.append(f"{series} series")
    shown = [sample.exemplar for family in new for sample in family.samples if sample.exemplar]
    if not shown or any(len(exemplar.labels.get("trace_id", "")) != 32 for exemplar in shown):
        problems.append(f"{len(shown)} exemplars, or one without a trace id")
    if any(sum(len(k) + len(v) for k, v in exemplar.labels.items()) > EXEMPLAR_CHARS_MAX for exemplar in shown):
        problems.append("an exemplar is longer than OpenMetrics allows")
    if "# {" in plain:
        problems.append("an exemplar in the old text format")
    kept = prometheus.ask("query_exemplars", query="stagewatch_check_duration_seconds_bucket", start=time.time() - 600, end=time.time())
    traces = [exemplar["labels"]["trace_id"] for found in kept for exemplar in found["exemplars"]]
    if not traces:
        problems.append("Prometheus kept no exemplar")
    print(f"      {series} series, {len(shown)} exemplars, {len(traces)} of them kept by Prometheus", flush=True)
    return problems
