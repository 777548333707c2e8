//! Writes gathered metrics as Prometheus text 0.0.4 or OpenMetrics 1.0.0. Both spell bucket bounds the canonical way
//! (`le="1.0"`), so that series do not break when a scraper changes format (observability.md A1). Pure.

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};
use std::fmt::Write as _;

/// An exposition format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`.
    Text,
    /// `application/openmetrics-text; version=1.0.0`.
    OpenMetrics,
}

impl Format {
    /// The one to use for this `Accept` header.
    pub fn accepted(accept: &str) -> Self {
        if accept.contains("application/openmetrics-text") {
            Self::OpenMetrics
        } else {
            Self::Text
        }
    }

    /// Value of `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The families as text.
pub fn encode(families: &[MetricFamily], format: Format) -> String {
    let mut text = String::with_capacity(512 * 1024);
    for family in families {
        write_family(&mut text, family, format);
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn write_family(text: &mut String, family: &MetricFamily, format: Format) {
    let name = family.name();
    let (kind, base) = match (family.get_field_type(), format) {
        (MetricType::COUNTER, Format::OpenMetrics) => ("counter", name.strip_suffix("_total").unwrap_or(name)),
        (MetricType::COUNTER, Format::Text) => ("counter", name),
        (MetricType::HISTOGRAM, _) => ("histogram", name),
        _ => ("gauge", name),
    };
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# HELP {base} {}", escape(family.help(), format));
    let _ = writeln!(text, "# TYPE {base} {kind}");
    for metric in family.get_metric() {
        match family.get_field_type() {
            MetricType::COUNTER => sample(text, name, (metric.get_label(), None), metric.get_counter().get_value()),
            MetricType::HISTOGRAM => write_histogram(text, name, metric),
            _ => sample(text, name, (metric.get_label(), None), metric.get_gauge().get_value()),
        }
    }
}

fn write_histogram(text: &mut String, name: &str, metric: &Metric) {
    let histogram = metric.get_histogram();
    let bucket = format!("{name}_bucket");
    for filled in histogram.get_bucket() {
        let bound = number(filled.upper_bound());
        count(
            text,
            &bucket,
            (metric.get_label(), Some(&bound)),
            filled.cumulative_count(),
        );
    }
    let total = histogram.get_sample_count();
    count(text, &bucket, (metric.get_label(), Some("+Inf")), total);
    sample(
        text,
        &format!("{name}_sum"),
        (metric.get_label(), None),
        histogram.get_sample_sum(),
    );
    count(text, &format!("{name}_count"), (metric.get_label(), None), total);
}

type Labels<'a> = (&'a [LabelPair], Option<&'a str>);

fn sample(text: &mut String, name: &str, labels: Labels, value: f64) {
    text.push_str(name);
    write_labels(text, labels);
    let _ = writeln!(text, " {}", number(value));
}

fn count(text: &mut String, name: &str, labels: Labels, value: u64) {
    text.push_str(name);
    write_labels(text, labels);
    let _ = writeln!(text, " {value}");
}

fn write_labels(text: &mut String, (labels, le): Labels) {
    if labels.is_empty() && le.is_none() {
        return;
    }
    text.push('{');
    let mut first = true;
    let pairs = labels.iter().map(|pair| (pair.name(), pair.value()));
    for (name, value) in pairs.chain(le.map(|bound| ("le", bound))) {
        if !first {
            text.push(',');
        }
        first = false;
        let _ = write!(text, "{name}=\"{}\"", escape(value, Format::OpenMetrics));
    }
    text.push('}');
}

/// Backslash and newline are escaped everywhere, the quote only where a value stands in quotes or OpenMetrics asks for it.
fn escape(value: &str, format: Format) -> String {
    let escaped = value.replace('\\', "\\\\").replace('\n', "\\n");
    match format {
        Format::Text => escaped,
        Format::OpenMetrics => escaped.replace('"', "\\\""),
    }
}

/// A float in its canonical spelling: `1.0`, `0.005`, `+Inf`, `NaN`.
fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_owned()
    } else if value.is_infinite() {
        if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned()
    } else {
        format!("{value:?}")
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should say where")]
mod tests {
    use super::*;
    use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

    fn registry() -> Registry {
        let registry = Registry::new();
        let runs = IntCounterVec::new(Opts::new("x_runs_total", "Runs \"made\"."), &["check"]).unwrap();
        runs.with_label_values(&["a\"b\\c\nd"]).inc();
        let seconds = HistogramVec::new(
            HistogramOpts::new("x_seconds", "Time.").buckets(vec![0.005, 1.0]),
            &["check"],
        )
        .unwrap();
        seconds.with_label_values(&["a"]).observe(0.5);
        registry.register(Box::new(runs)).unwrap();
        registry.register(Box::new(seconds)).unwrap();
        registry
    }

    #[test]
    fn text_and_openmetrics_spell_bounds_alike() {
        let families = registry().gather();
        assert_eq!(
            encode(&families, Format::Text),
            "# HELP x_runs_total Runs \"made\".\n# TYPE x_runs_total counter\nx_runs_total{check=\"a\\\"b\\\\c\\nd\"} 1.0\n\
             # HELP x_seconds Time.\n# TYPE x_seconds histogram\nx_seconds_bucket{check=\"a\",le=\"0.005\"} 0\n\
             x_seconds_bucket{check=\"a\",le=\"1.0\"} 1\nx_seconds_bucket{check=\"a\",le=\"+Inf\"} 1\n\
             x_seconds_sum{check=\"a\"} 0.5\nx_seconds_count{check=\"a\"} 1\n"
        );
        let open = encode(&families, Format::OpenMetrics);
        assert!(open.starts_with("# HELP x_runs Runs \\\"made\\\".\n# TYPE x_runs counter\nx_runs_total{"));
        assert!(open.ends_with("# EOF\n"));
        assert!(open.contains("le=\"1.0\""));
    }

    #[test]
    fn the_accept_header_decides() {
        assert_eq!(Format::accepted("*/*"), Format::Text);
        assert_eq!(
            Format::accepted("application/openmetrics-text;version=1.0.0,text/plain;q=0.5"),
            Format::OpenMetrics
        );
    }
}
