//! `waltop report --html`: one page without scripts and without links to anything.

use std::fmt::{self, Write as _};

use super::{
    strip::HeldStrips,
    summary::{DatabaseSummary, LogSummary, RecordingSummary},
    summary_text::local_time,
    who::{LONGEST_SILENCE, PastHold},
};
use crate::{text, units};

/// Columns of the drawing.
const WIDTH: usize = HeldStrips::CELLS;
/// Rows of one strip, and of the curve of the log.
const STRIP: usize = 18;
const CURVE: usize = 60;
/// Columns for the names.
const NAMES: usize = 180;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em;\
color:#1b1f24;background:#fff}h1{font-size:1.4em}h2{font-size:1.15em;margin-top:2em;overflow-wrap:anywhere}\
table{border-collapse:collapse;margin:.6em 0;width:100%}th,td{text-align:left;padding:.25em .8em .25em 0;\
border-bottom:1px solid #d8dee4;vertical-align:top}td.n,th.n{text-align:right;white-space:nowrap}\
.error+td,.warning+td,.info+td{white-space:nowrap}\
svg{width:100%;height:auto}.error{color:#b42318;font-weight:600}.warning{color:#9a6700;font-weight:600}\
text{font:11px system-ui,sans-serif;fill:currentColor}.held{fill:#2563eb}.gap{fill:#d8dee4}\
.log{fill:none;stroke:#9a6700;stroke-width:1.5}\
@media(prefers-color-scheme:dark){body{color:#e6edf3;background:#0d1117}th,td{border-color:#30363d}\
.held{fill:#58a6ff}.gap{fill:#30363d}.error{color:#ff7b72}.warning,.log{color:#e3b341;stroke:#e3b341}}";

/// The page of a summary.
pub struct SummaryPage<'a>(pub &'a RecordingSummary);

impl fmt::Display for SummaryPage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let summary = self.0;
        let (from, to) = (local_time(summary.from), local_time(summary.to));
        write!(
            f,
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>waltop report</title>\
             <style>{STYLE}</style></head>\n<body><h1>Locks from {from} to {to}</h1>\n\
             <p>Watched for {}.</p>\n",
            units::duration(summary.watched_ms())
        )?;
        for database in &summary.databases {
            self.write_database(f, database)?;
        }
        let gaps =
            summary.gaps.iter().map(|gap| [local_time(gap.from), local_time(gap.to), gap.reason.to_string()]);
        table(f, "Not watched", &["from", "to", "reason"], &[], gaps)?;
        f.write_str("</body></html>\n")
    }
}

impl SummaryPage<'_> {
    fn write_database(&self, f: &mut fmt::Formatter<'_>, database: &DatabaseSummary) -> fmt::Result {
        let watched = self.0.watched_ms();
        let share = if watched > 0.0 { 100.0 * database.held_ms / watched } else { 0.0 };
        writeln!(
            f,
            "<h2>{}</h2>\n<p>The write lock was held {} times, {} in all: {share:.1} % of the time. The {}.</p>",
            escaped(&database.path),
            units::count(database.holds),
            units::duration(database.held_ms),
            escaped(&database.log.to_string()),
        )?;
        self.write_drawing(f, database)?;
        let rows = database.by_process.iter().map(|it| {
            let times = [units::count(it.holds), units::duration(it.held_ms), units::duration(it.longest_ms)];
            let [holds, held, longest] = times;
            [it.name.clone(), units::count(it.processes), holds, held, longest]
        });
        let heads = ["process", "processes", "holds", "time", "longest"];
        table(f, "Holds by process", &heads, &[1, 2, 3, 4], rows)?;
        let rows = database.longest.iter().map(PastHold::row);
        table(f, "Longest holds", &["began", "process", "held"], &[2], rows)?;
        let rows = database.waits.iter().map(|it| {
            let holder = it.holder.clone().unwrap_or_else(|| "unknown".to_owned());
            let (waited, longest) = (units::duration(it.waited_ms), units::duration(it.longest_ms));
            [it.victim.clone(), holder, units::count(it.waits), waited, longest, units::count(it.gave_up)]
        });
        let heads = ["waited", "for", "waits", "time", "longest", "without the lock"];
        table(f, "Waits for the write lock", &heads, &[2, 3, 4, 5], rows)?;
        let rows = database.findings.iter().map(|it| {
            let total = units::duration(it.total_ms);
            [it.severity.to_string(), it.kind.to_string(), units::count(it.times), total, it.message.clone()]
        });
        table(f, "Findings", &["severity", "finding", "times", "time", "longest"], &[2, 3], rows)
    }

    // A strip for each process, the gaps through all of them, and the size of the log below.
    fn write_drawing(&self, f: &mut fmt::Formatter<'_>, database: &DatabaseSummary) -> fmt::Result {
        let strips = database.strips.by_time();
        let strips = &strips[..strips.len().min(12)];
        let height = strips.len() * STRIP + CURVE + 2 * STRIP;
        let (width, strips_height) = (NAMES + WIDTH, strips.len() * STRIP);
        writeln!(
            f,
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"Holds of the write lock over time\">"
        )?;
        self.write_gaps(f, strips_height + CURVE)?;
        for (row, (name, cells)) in strips.iter().enumerate() {
            let y = row * STRIP;
            writeln!(f, "<text x=\"0\" y=\"{}\">{}</text>", y + 13, escaped(&text::fit(name, 26)))?;
            for (index, share) in cells.iter().enumerate().filter(|(_, share)| **share > 0.0) {
                let opacity = 0.25 + 0.75 * share;
                writeln!(
                    f,
                    "<rect class=\"held\" x=\"{}\" y=\"{y}\" width=\"1\" height=\"{}\" opacity=\"{opacity:.2}\"/>",
                    NAMES + index,
                    STRIP - 2
                )?;
            }
        }
        self.write_curve(f, &database.log, strips_height)?;
        let y = strips_height + CURVE + STRIP;
        writeln!(f, "<text x=\"{NAMES}\" y=\"{y}\">{}</text>", local_time(self.0.from))?;
        let to = local_time(self.0.to);
        writeln!(f, "<text x=\"{width}\" y=\"{y}\" text-anchor=\"end\">{to}</text>\n</svg>")
    }

    // The times that were not watched, with those before and behind the recording.
    fn write_gaps(&self, f: &mut fmt::Formatter<'_>, height: usize) -> fmt::Result {
        let Some((first, last)) = self.0.recorded else { return Ok(()) };
        let gaps = self.0.gaps.iter().map(|gap| (gap.from, gap.to, gap.to_string()));
        let outside = [(self.0.from, first), (last, self.0.to)].into_iter();
        let outside = outside.filter(|(from, to)| to.duration_since(*from) > LONGEST_SILENCE);
        let outside = outside.map(|(from, to)| (from, to, "not recorded".to_owned()));
        for (from, to, title) in gaps.chain(outside) {
            let (from, to) = (self.column(from), self.column(to));
            let (width, title) = ((to - from).max(0.5), escaped(&title));
            writeln!(
                f,
                "<rect class=\"gap\" x=\"{from:.1}\" y=\"0\" width=\"{width:.1}\" height=\"{height}\"><title>{title}</title></rect>"
            )?;
        }
        Ok(())
    }

    #[expect(clippy::cast_precision_loss, reason = "a curve is drawn")]
    fn write_curve(&self, f: &mut fmt::Formatter<'_>, log: &LogSummary, top: usize) -> fmt::Result {
        let Some(largest) = log.largest_bytes.filter(|largest| *largest > 0) else { return Ok(()) };
        let mut points = String::new();
        for (at, bytes) in &log.sizes {
            let y = (top + CURVE) as f64 - *bytes as f64 / largest as f64 * (CURVE as f64 - 8.0);
            write!(points, "{:.1},{y:.1} ", self.column(*at))?;
        }
        writeln!(f, "<text x=\"0\" y=\"{}\">log, up to {}</text>", top + CURVE / 2, units::bytes(largest))?;
        writeln!(f, "<polyline class=\"log\" points=\"{}\"/>", points.trim_end())
    }

    #[expect(clippy::cast_precision_loss, reason = "a column is drawn")]
    fn column(&self, at: jiff::Timestamp) -> f64 {
        let (from, to) = (self.0.from.as_microsecond(), self.0.to.as_microsecond());
        let share = (at.as_microsecond() - from) as f64 / (to - from).max(1) as f64;
        NAMES as f64 + share.clamp(0.0, 1.0) * WIDTH as f64
    }
}

/// A table with `heads`, the columns `numbers` to the right; nothing without rows.
fn table<const N: usize>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    heads: &[&str; N],
    numbers: &[usize],
    rows: impl Iterator<Item = [String; N]>,
) -> fmt::Result {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    let class = |column: usize| if numbers.contains(&column) { " class=\"n\"" } else { "" };
    writeln!(f, "<h3>{title}</h3>\n<table><tr>")?;
    for (column, head) in heads.iter().enumerate() {
        write!(f, "<th{}>{head}</th>", class(column))?;
    }
    f.write_str("</tr>\n")?;
    for row in rows {
        f.write_str("<tr>")?;
        for (column, cell) in row.iter().enumerate() {
            let class = match cell.as_str() {
                "error" => " class=\"error\"",
                "warning" => " class=\"warning\"",
                // The name of a finding stands beside it, and is not broken at its hyphens.
                "info" => " class=\"info\"",
                _ => class(column),
            };
            write!(f, "<td{class}>{}</td>", escaped(cell))?;
        }
        f.write_str("</tr>\n")?;
    }
    f.write_str("</table>\n")
}

/// Text from outside, for an element or an attribute.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text::clean(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_stays_text() {
        assert_eq!(escaped("<b a=\"x\" b='y'>&\u{1b}"), "&lt;b a=&quot;x&quot; b=&#39;y&#39;&gt;&amp; ");
    }
}
