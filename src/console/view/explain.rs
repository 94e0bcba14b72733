//! The explanation of a finding: what to do first, then its evidence and the rest of its page.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::Paragraph,
};
use serde::Deserialize;
use serde_json::Value;
use unicode_width::UnicodeWidthChar;

use crate::{
    console::{
        app::{App, FindingId, FindingRow, TextExtent},
        widgets::{framed, theme::Theme},
    },
    diagnose::pages::{FindingPage, PageBlock},
    keymap::Action,
    snapshot::{Finding, HolderActivity, RefusedWriter},
    text, units,
};

use super::{
    empty,
    labelled::{self, LabelledRows, row},
};

/// Columns by which commands to type are indented.
const INDENT: usize = 3;

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme, key: &FindingId) -> TextExtent {
    let room = usize::from(labelled::width(area)).saturating_sub(4);
    labelled::show(frame, area, app, theme, page(app, theme, key, room))
}

/// Draws the page of the selected finding beside the list.
pub fn render_beside(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let key = app.key_of(Action::Details);
    let title = Span::styled(format!(" The selected finding: {key} opens it "), theme.title);
    let inner = framed(frame, area, theme.border, title);
    let Some(finding) = app.selected_finding_id() else {
        return empty(frame, inner, theme, "No finding is selected.");
    };
    let lines = page(app, theme, &finding, usize::from(inner.width).saturating_sub(1));
    frame.render_widget(Paragraph::new(lines), inner);
}

/// What is wrong, what to do, then the evidence and the rest of the page.
fn page(app: &App, theme: &Theme, key: &FindingId, room: usize) -> Vec<Line<'static>> {
    let kind = key.kind;
    let found = app.finding_row(key);
    let (first, rest) = match found {
        Some(found) => (sentence(app, found), evidence(app, found)),
        None => (vec![row("finding", kind.as_str()), row("", "It no longer holds.")], Vec::new()),
    };
    let (to_do, others) = parts(FindingPage::of(kind));
    let mut lines = labelled::lines(first, room, theme);
    lines.push(Line::default());
    lines.extend(explanation(to_do, room, theme));
    lines.extend(labelled::lines(rest, room, theme));
    lines.push(Line::default());
    lines.extend(explanation(others, room, theme));
    lines
}

/// The section that says what to do, and the others in their order.
fn parts(page: FindingPage) -> (Vec<PageBlock>, Vec<PageBlock>) {
    let mut is_to_do = false;
    page.blocks().into_iter().partition(|block| {
        if let PageBlock::Heading(heading) = block {
            is_to_do = *heading == FindingPage::TO_DO;
        }
        is_to_do
    })
}

/// The finding in its sentence, and its remedies.
fn sentence(app: &App, found: FindingRow<'_>) -> LabelledRows {
    let Finding { kind, severity, message, remedy, .. } = found.finding();
    let mut rows = vec![row(severity.to_string().as_str(), kind.as_str()), row("", message)];
    match found {
        FindingRow::Gone(gone) => rows.push(row("state", super::findings::end(app, gone))),
        FindingRow::Now(_) => {
            rows.extend(remedy.action.filter(|_| !app.is_replay()).map(|action| {
                let key = app.key_of(action.into());
                row("key", format!("{key}: {}", super::findings::effect(action)))
            }));
            rows.extend(remedy.command.iter().map(|command| row("command", command)));
        }
    }
    rows
}

fn evidence(app: &App, found: FindingRow<'_>) -> LabelledRows {
    let who =
        |pid: i32| app.database().map_or_else(|| pid.to_string(), |database| super::who(database, Some(pid)));
    let evidence = &found.finding().evidence;
    evidence
        .iter()
        .flat_map(|(label, value)| told(label, value, who).unwrap_or_else(|| figure(label, value)))
        .collect()
}

/// Evidence that the snapshot has words for, in which `who` names a process.
fn told(label: &str, value: &Value, who: impl Fn(i32) -> String) -> Option<LabelledRows> {
    match label {
        "activity" => {
            let activity = HolderActivity::deserialize(value).ok()?;
            Some(vec![row(label, activity.to_string())])
        }
        "victims" => {
            let victims = Vec::<RefusedWriter>::deserialize(value).ok()?;
            let label = |at| if at == 0 { label } else { "" };
            Some(victims.iter().enumerate().map(|(at, it)| row(label(at), victim(it, &who))).collect())
        }
        _ => None,
    }
}

fn victim(victim: &RefusedWriter, who: impl Fn(i32) -> String) -> String {
    let by = victim.holder.map(|holder| format!(" by {}", who(holder))).unwrap_or_default();
    let gave_up = match victim.gave_up {
        0 => String::new(),
        times => format!(", gave up {}", units::plural(times.into(), "time")),
    };
    format!(
        "{}{by}: {}, {}, longest {}{gave_up}; {}",
        who(victim.pid),
        units::plural(victim.waits.into(), "wait"),
        if victim.tries == 1 {
            "1 try".to_owned()
        } else {
            format!("{} tries", units::count(victim.tries.into()))
        },
        units::duration(victim.longest_ms),
        victim.reason
    )
}

/// One figure of the evidence, in the unit that the end of its name states; a list of objects has one row per object.
fn figure(label: &str, value: &Value) -> LabelledRows {
    let (bare, unit) = match label.rsplit_once('_') {
        Some((bare, unit @ ("ms" | "bytes"))) => (bare, unit),
        _ => (label, ""),
    };
    let shown = bare.replace('_', " ");
    match value {
        Value::Array(items) if items.iter().any(Value::is_object) => {
            let label = |at| if at == 0 { shown.as_str() } else { "" };
            items.iter().enumerate().map(|(at, item)| row(label(at), plain(item, unit))).collect()
        }
        _ => vec![row(&shown, plain(value, unit))],
    }
}

fn plain(value: &Value, unit: &str) -> String {
    match value {
        Value::Null => "unknown".to_owned(),
        Value::Bool(it) => if *it { "yes" } else { "no" }.to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) => match (unit, number.as_f64(), number.as_u64()) {
            ("ms", Some(ms), _) => units::duration(ms),
            ("bytes", _, Some(bytes)) => units::bytes(bytes),
            _ => number.to_string(),
        },
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(|item| plain(item, unit)).collect::<Vec<_>>().join(", "),
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| format!("{name} {}", plain(value, ""));
            fields.iter().map(field).collect::<Vec<_>>().join(", ")
        }
    }
}

fn explanation(blocks: Vec<PageBlock>, width: usize, theme: &Theme) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for block in blocks {
        match block {
            PageBlock::Heading(heading) => lines.push(Line::styled(format!(" {heading}"), theme.title)),
            PageBlock::Text(paragraph) => {
                let wrapped = text::wrap(&paragraph, width.saturating_sub(1));
                lines.extend(wrapped.into_iter().map(|line| Line::raw(format!(" {line}"))));
            }
            PageBlock::Code(code) => {
                let parts = folded(code, width.saturating_sub(INDENT));
                let indented =
                    |part| Line::from(vec![Span::raw(" ".repeat(INDENT)), Span::styled(part, theme.accent)]);
                lines.extend(parts.into_iter().map(indented));
            }
            PageBlock::Gap => lines.push(Line::default()),
        }
    }
    lines
}

/// `code` in lines of at most `width` columns; all spaces are kept.
fn folded(code: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut columns = 0;
    for character in code.chars() {
        let wide = character.width().unwrap_or(0);
        if columns + wide > width.max(1) {
            lines.push(String::new());
            columns = 0;
        }
        columns += wide;
        if let Some(line) = lines.last_mut() {
            line.push(character);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        config::Palette,
        snapshot::{Activity, FindingKind},
    };

    #[test]
    fn figures_have_the_unit_of_their_name() {
        for (label, value, shown) in [
            ("held_ms", json!(331_200_000.0), row("held", "3 d 20 h")),
            ("pinned_bytes", json!(75_100_000), row("pinned", "75.1 MB")),
            ("pinned_frames", json!(18_219), row("pinned frames", "18219")),
            ("frame", json!(null), row("frame", "unknown")),
            ("holds", json!(["read:2", "write"]), row("holds", "read:2, write")),
            ("index_read_only", json!(false), row("index read only", "no")),
            ("files", json!([]), row("files", "none")),
            ("growth_ms", json!({"p50": 1}), row("growth", "p50 1")),
        ] {
            assert_eq!(figure(label, &value), [shown]);
        }
    }

    #[test]
    fn refused_writers_and_activities_are_told_in_words() {
        let victim = json!({
            "pid": 3512, "thread": 3512, "holder": 3511, "reason": "waited", "waits": 2, "tries": 174,
            "gave_up": 1, "longest_ms": 8000.0, "total_ms": 9000.0
        });
        let who = |pid| format!("{pid} (name)");
        let [shown] = &told("victims", &json!([victim]), who).expect("it is one")[..] else {
            panic!("one row per writer")
        };
        for part in ["3512 (name) by 3511 (name)", "2 waits", "174 tries", "longest 8 s", "gave up 1 time"] {
            assert!(shown.1.contains(part), "{part}: {shown:?}");
        }
        let asleep = [const { &Activity::Asleep }; 20];
        let activity = HolderActivity::of(asleep.into_iter(), 2000.0).expect("samples");
        let value = serde_json::to_value(&activity).expect("plain data");
        assert_eq!(told("activity", &value, who), Some(vec![row("activity", activity.to_string())]));
        assert_eq!(told("activity", &json!("other"), who), None);
        assert_eq!(told("held_ms", &json!(1), who), None);
    }

    #[test]
    fn a_list_of_files_is_a_row_each() {
        let failures = json!([{"path": "a.md", "reason": "no text"}, {"path": "b.md", "reason": "gone"}]);
        let rows = [row("failures", "path a.md, reason no text"), row("", "path b.md, reason gone")];
        assert_eq!(figure("failures", &failures), rows);
    }

    #[test]
    fn what_is_to_be_typed_keeps_its_spaces() {
        assert_eq!(folded("a  b c", 4), ["a  b", " c"]);
        assert_eq!(folded("", 4), [""]);
        assert_eq!(folded("日本語", 4), ["日本", "語"]);
    }

    #[test]
    fn every_page_fits_every_width() {
        for page in FindingKind::ALL.iter().map(|kind| FindingPage::of(*kind)) {
            for width in [40, 76, 106] {
                for line in explanation(page.blocks(), width, &Theme::of(Palette::None)) {
                    assert!(line.width() <= width, "{}: {line}", page.kind);
                }
            }
        }
    }
}
