//! Metrics as text: Prometheus text format 0.0.4, and `OpenMetrics` 1.0.
//!
//! Written here, because the official crate writes only the second one, which `promtool check metrics` and the textfile
//! collector of `node_exporter` do not read.

use std::fmt::Write as _;

use super::hold_histogram::HoldHistogram;

/// A metric with all its series.
#[derive(Debug, Clone)]
pub struct MetricFamily {
    /// Without the suffix of its samples.
    name: &'static str,
    kind: MetricKind,
    help: &'static str,
    samples: Vec<MetricSample>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MetricKind {
    Gauge,
    Counter,
    Histogram,
}

/// The labels of a series, and their values.
pub type Labels<'a> = &'a [(&'static str, &'a str)];

#[derive(Debug, Clone)]
struct MetricSample {
    suffix: &'static str,
    labels: String,
    value: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextFormat {
    Plain,
    Open,
}

impl MetricFamily {
    pub fn gauge(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Gauge, help, samples: Vec::new() }
    }

    /// `name` ends in `_total`.
    pub fn counter(name: &'static str, help: &'static str) -> Self {
        let name = name.strip_suffix("_total").unwrap_or(name);
        Self { name, kind: MetricKind::Counter, help, samples: Vec::new() }
    }

    pub fn histogram(name: &'static str, help: &'static str) -> Self {
        Self { name, kind: MetricKind::Histogram, help, samples: Vec::new() }
    }

    /// Adds a series with `value`; none if it is not known.
    pub fn add(&mut self, labels: Labels<'_>, value: impl Into<Option<f64>>) {
        let Some(value) = value.into() else { return };
        let suffix = if self.kind == MetricKind::Counter { "_total" } else { "" };
        self.samples.push(MetricSample { suffix, labels: label_text(labels), value });
    }

    /// The family with one series, which has no labels.
    pub fn with(mut self, value: impl Into<Option<f64>>) -> Self {
        self.add(&[], value);
        self
    }

    /// Adds the series of a histogram.
    pub fn add_holds(&mut self, labels: Labels<'_>, holds: &HoldHistogram) {
        let mut push = |suffix, labels, value| self.samples.push(MetricSample { suffix, labels, value });
        for (bound, count) in holds.up_to() {
            let bound = format!("{bound:?}");
            push("_bucket", label_text(&[labels, &[("le", &bound)]].concat()), number(count));
        }
        let all = number(holds.count());
        push("_bucket", label_text(&[labels, &[("le", "+Inf")]].concat()), all);
        push("_sum", label_text(labels), holds.seconds());
        push("_count", label_text(labels), all);
    }

    // The unit is the end of the name.
    fn unit(&self) -> Option<&'static str> {
        ["seconds", "bytes"].into_iter().find(|unit| self.name.ends_with(unit))
    }

    fn write(&self, text: &mut String, format: TextFormat) {
        let is_named_total = format == TextFormat::Plain && self.kind == MetricKind::Counter;
        let name = format!("{}{}", self.name, if is_named_total { "_total" } else { "" });
        let kind = match self.kind {
            MetricKind::Gauge => "gauge",
            MetricKind::Counter => "counter",
            MetricKind::Histogram => "histogram",
        };
        let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {kind}", self.help);
        if let Some(unit) = self.unit().filter(|_| format == TextFormat::Open) {
            let _ = writeln!(text, "# UNIT {name} {unit}");
        }
        for MetricSample { suffix, labels, value } in &self.samples {
            let _ = writeln!(text, "{}{suffix}{labels} {value}", self.name);
        }
    }
}

/// `families` in the text format of Prometheus.
pub fn plain_text(families: &[MetricFamily]) -> String {
    written(families, TextFormat::Plain)
}

/// `families` in the format of `OpenMetrics`.
pub fn open_metrics_text(families: &[MetricFamily]) -> String {
    written(families, TextFormat::Open) + "# EOF\n"
}

/// A count as a value. From 2^53 on it is rounded.
#[expect(clippy::cast_precision_loss, reason = "9,007,199,254,740,992 is far away")]
pub fn number(count: u64) -> f64 {
    count as f64
}

// A family without series has no line.
fn written(families: &[MetricFamily], format: TextFormat) -> String {
    let mut text = String::new();
    families.iter().filter(|it| !it.samples.is_empty()).for_each(|it| it.write(&mut text, format));
    text
}

// Values are cleaned by those who know where they come from; here they cannot end the quotes or the line.
fn label_text(labels: Labels<'_>) -> String {
    if labels.is_empty() {
        return String::new();
    }
    let escaped = |value: &str| value.replace('\\', r"\\").replace('"', r#"\""#).replace('\n', r"\n");
    let pairs: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", pairs.join(","))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn families() -> Vec<MetricFamily> {
        let mut held = MetricFamily::counter("waltop_held_seconds_total", "Time held.");
        held.add(&[("db", "/a \"b\"\\\n.db"), ("process", "x")], 1.5);
        let mut holds = MetricFamily::histogram("waltop_hold_seconds", "Holds.");
        let mut one = HoldHistogram::default();
        one.add(Duration::from_secs(40));
        holds.add_holds(&[("db", "x")], &one);
        let none = MetricFamily::gauge("waltop_unknown", "Not known.").with(None);
        vec![MetricFamily::gauge("waltop_readers", "Readers.").with(3.0), none, held, holds]
    }

    #[test]
    fn the_plain_format_names_a_counter_with_its_suffix_and_has_no_units() {
        let text = plain_text(&families());
        let head: Vec<&str> = text.lines().take(6).collect();
        let expected = [
            "# HELP waltop_readers Readers.",
            "# TYPE waltop_readers gauge",
            "waltop_readers 3",
            "# HELP waltop_held_seconds_total Time held.",
            "# TYPE waltop_held_seconds_total counter",
            r#"waltop_held_seconds_total{db="/a \"b\"\\\n.db",process="x"} 1.5"#,
        ];
        assert_eq!(head, expected);
        assert!(!text.contains("UNIT") && !text.contains("EOF") && !text.contains("unknown"), "{text}");
    }

    #[test]
    fn the_open_format_names_the_family_without_it_has_units_and_an_end() {
        let text = open_metrics_text(&families());
        for line in [
            "# TYPE waltop_held_seconds counter",
            "# UNIT waltop_held_seconds seconds",
            "# UNIT waltop_hold_seconds seconds",
            r#"waltop_hold_seconds_bucket{db="x",le="30.0"} 0"#,
            r#"waltop_hold_seconds_bucket{db="x",le="+Inf"} 1"#,
            r#"waltop_hold_seconds_sum{db="x"} 40"#,
            r#"waltop_hold_seconds_count{db="x"} 1"#,
        ] {
            assert!(text.lines().any(|it| it == line), "{line}: {text}");
        }
        assert!(text.ends_with("\n# EOF\n"));
    }
}
