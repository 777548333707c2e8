//! Writes gathered metrics as Prometheus text 0.0.4 or OpenMetrics 1.0.0. Both spell bucket bounds the canonical way
//! (`le="1.0"`), so that series do not break when a scraper changes format (observability.md A1). Pure.

use super::metrics::exemplars::{Exemplar, Exemplars};
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

/// The families as text; `exemplars` are shown where the format has them.
pub fn encode(families: &[MetricFamily], format: Format, exemplars: &Exemplars) -> String {
    let mut text = String::with_capacity(512 * 1024);
    for family in families {
        write_family(&mut text, family, (format, exemplars));
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn write_family(text: &mut String, family: &MetricFamily, (format, exemplars): (Format, &Exemplars)) {
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
            MetricType::HISTOGRAM => {
                let shown = match format {
                    Format::Text => Vec::new(),
                    Format::OpenMetrics => exemplars.of(name, metric.get_label()),
                };
                write_histogram(text, name, (metric, &shown));
            }
            _ => sample(text, name, (metric.get_label(), None), metric.get_gauge().get_value()),
        }
    }
}

fn write_histogram(text: &mut String, name: &str, (metric, shown): (&Metric, &[Option<Exemplar>])) {
    let histogram = metric.get_histogram();
    let total = histogram.get_sample_count();
    let filled = histogram.get_bucket().iter();
    let filled = filled.map(|bucket| (number(bucket.upper_bound()), bucket.cumulative_count()));
    for (place, (bound, count)) in filled.chain([("+Inf".to_owned(), total)]).enumerate() {
        text.push_str(name);
        text.push_str("_bucket");
        write_labels(text, (metric.get_label(), Some(&bound)));
        let _ = write!(text, " {count}");
        if let Some(exemplar) = shown.get(place).and_then(Option::as_ref) {
            write_exemplar(text, exemplar);
        }
        text.push('\n');
    }
    let labels = (metric.get_label(), None);
    sample(text, &format!("{name}_sum"), labels, histogram.get_sample_sum());
    text.push_str(name);
    text.push_str("_count");
    write_labels(text, labels);
    let _ = writeln!(text, " {total}");
}

/// At most 128 characters of labels: a trace id has 32.
fn write_exemplar(text: &mut String, exemplar: &Exemplar) {
    let trace_id = escape(&exemplar.trace_id, Format::OpenMetrics);
    let value = number(exemplar.value);
    let _ = write!(text, " # {{trace_id=\"{trace_id}\"}} {value} {:.3}", exemplar.at);
}

type Labels<'a> = (&'a [LabelPair], Option<&'a str>);

fn sample(text: &mut String, name: &str, labels: Labels, value: f64) {
    text.push_str(name);
    write_labels(text, labels);
    let _ = writeln!(text, " {}", number(value));
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
            encode(&families, Format::Text, &Exemplars::default()),
            "# HELP x_runs_total Runs \"made\".\n# TYPE x_runs_total counter\nx_runs_total{check=\"a\\\"b\\\\c\\nd\"} 1.0\n\
             # HELP x_seconds Time.\n# TYPE x_seconds histogram\nx_seconds_bucket{check=\"a\",le=\"0.005\"} 0\n\
             x_seconds_bucket{check=\"a\",le=\"1.0\"} 1\nx_seconds_bucket{check=\"a\",le=\"+Inf\"} 1\n\
             x_seconds_sum{check=\"a\"} 0.5\nx_seconds_count{check=\"a\"} 1\n"
        );
        let open = encode(&families, Format::OpenMetrics, &Exemplars::default());
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
