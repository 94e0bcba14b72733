//! How a dialog is drawn: what will happen, what it costs, and two buttons.

use log::Level;
use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::{Clear, Paragraph},
};
use unicode_width::UnicodeWidthStr;

use super::{Dialog, DialogField, DialogFocus, DialogScene};
use crate::{
    console::{
        screen_map::{DialogButton, RowList, ScreenMap, ScreenTarget},
        widgets::{around_cursor, centred, framed, theme::Theme, typed},
    },
    text,
};

/// What typing does while a field shows its default.
const SELECTED: &str = "  typing replaces it, → edits it";

/// The inputs for drawing the body of a dialog.
#[derive(Debug, Clone, Copy)]
pub struct DialogPage<'a> {
    pub theme: &'a Theme,
    /// Columns for text.
    pub room: usize,
    /// Lines for the whole dialog, including its frame.
    pub height: usize,
    /// What is wrong with the answer, shown below the fields.
    pub complaint: Option<&'a str>,
}

/// Where a body shows the rows of a list.
#[derive(Debug, Clone, Copy)]
pub struct DialogRows {
    /// The line of the first row.
    pub line: usize,
    /// The index of the first row.
    pub first: usize,
    pub shown: usize,
}

/// Draws `dialog`, and adds to `map` what a click can hit. Whatever lies beside the dialog cannot be hit.
pub fn render(
    frame: &mut Frame,
    area: Rect,
    scene: DialogScene<'_>,
    theme: &Theme,
    dialog: &Dialog,
    map: &mut ScreenMap,
) {
    let content = dialog.kind.content();
    let width = content.width().min(area.width);
    let room = usize::from(width).saturating_sub(4);
    let page = DialogPage { theme, room, height: area.height.into(), complaint: dialog.complaint.as_deref() };
    let mut lines = content.body(scene, page);
    lines.push(Line::default());
    lines.extend(fields(dialog, theme, room));
    if let Some(complaint) = &dialog.complaint {
        lines.extend(page.sentence(Level::Error, &format!("✖ {complaint}")));
    }
    let (line, buttons) = buttons(dialog, theme);
    lines.push(line);
    let height = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX).min(area.height);
    let area = centred(area, width, height);
    frame.render_widget(Clear, area);
    let inner = framed(frame, area, theme.focus, Span::styled(format!(" {} ", content.title()), theme.title));
    let inner = Rect { x: inner.x + 1, width: inner.width.saturating_sub(2), ..inner };
    // The buttons are the last line. If the space is too small, the body is cut.
    let scroll = lines.len().saturating_sub(inner.height.into());
    let count = lines.len();
    frame.render_widget(Paragraph::new(lines).scroll((u16::try_from(scroll).unwrap_or(0), 0)), inner);
    map.dialog = Some(dialog.number);
    map.add(frame.area(), ScreenTarget::Nothing);
    if let Some(rows) = content.rows(page) {
        add_rows(map, inner, rows, scroll);
    }
    let last = Rect { y: inner.y + row(count.saturating_sub(1 + scroll)), height: 1, ..inner };
    for (button, from, width) in buttons {
        let area = Rect { x: last.x + row(from), width: row(width), ..last };
        map.add(area.intersection(inner), ScreenTarget::Button(button));
    }
}

/// Adds the rows of a list in a dialog of which the first `scroll` lines are cut.
fn add_rows(map: &mut ScreenMap, inner: Rect, rows: DialogRows, scroll: usize) {
    let cut = scroll.saturating_sub(rows.line).min(rows.shown);
    let top = row(rows.line.saturating_sub(scroll));
    let area = Rect { y: inner.y + top, height: row(rows.shown - cut), ..inner }.intersection(inner);
    let first = rows.first + cut;
    map.add_rows(area, RowList::Dialog, (first, first + usize::from(area.height)), 1);
    // `[x]` or `[ ]`.
    map.add_ticks(Rect { width: area.width.min(3), ..area }, first);
}

fn row(at: usize) -> u16 {
    u16::try_from(at).unwrap_or(u16::MAX)
}

impl DialogPage<'_> {
    /// `text` as wrapped lines, in the style of `level`.
    pub fn sentence(self, level: Level, text: &str) -> Vec<Line<'static>> {
        let style = match level {
            Level::Error => self.theme.danger,
            Level::Warn => self.theme.warning,
            _ => Style::new(),
        };
        text::wrap(text, self.room).into_iter().map(|line| Line::styled(line, style)).collect()
    }

    pub fn muted(self, text: &str) -> Vec<Line<'static>> {
        text::wrap(text, self.room).into_iter().map(|line| Line::styled(line, self.theme.muted)).collect()
    }

    pub fn plain(self, text: &str) -> Vec<Line<'static>> {
        self.sentence(Level::Info, text)
    }
}

fn fields(dialog: &Dialog, theme: &Theme, room: usize) -> Vec<Line<'static>> {
    let draw = |(index, field): (usize, DialogField)| {
        let focused = dialog.focus == DialogFocus::Field(index);
        let mark = if focused { "▸ " } else { "  " };
        let mut spans = vec![Span::styled(mark, theme.accent)];
        match field {
            DialogField::Text { label, input } => {
                spans.push(Span::styled(format!("{label:<8}"), theme.title));
                let room = room.saturating_sub(12);
                if focused && dialog.is_proposal && !input.value().is_empty() {
                    let (before, after) = around_cursor(&input, room);
                    let value = before + &after;
                    let left = room.saturating_sub(value.width());
                    spans.push(Span::styled(value, theme.selected));
                    spans.extend((left > SELECTED.width()).then(|| Span::styled(SELECTED, theme.muted)));
                } else if focused {
                    spans.extend(typed(&input, room, Style::new(), theme));
                } else {
                    let (before, after) = around_cursor(&input, room);
                    spans.extend([Span::raw(before), Span::raw(after)]);
                }
            }
            DialogField::Choice { label, options, chosen, letters } => {
                spans.push(Span::styled(format!("{label:<8}"), theme.title));
                for (at, option) in options.into_iter().enumerate() {
                    // Only what has the focus is highlighted.
                    spans.push(if at == chosen {
                        let style = if focused { theme.selected } else { theme.title };
                        Span::styled(format!("[{option}]"), style)
                    } else {
                        Span::styled(format!(" {option} "), theme.muted)
                    });
                }
                let hint = match (focused, letters) {
                    (true, _) => "← →",
                    (false, "") => "Tab, then ← →",
                    (false, letters) => letters,
                };
                spans.push(Span::styled(format!("  {hint}"), theme.muted));
            }
        }
        Line::from(spans)
    };
    dialog.kind.content().fields().into_iter().enumerate().map(draw).collect()
}

/// The line of the buttons; of each button the first column and the width.
fn buttons(dialog: &Dialog, theme: &Theme) -> (Line<'static>, Vec<(DialogButton, usize, usize)>) {
    if let Some(hint) = dialog.kind.content().hint() {
        return (Line::styled(format!("  {hint}"), theme.muted), Vec::new());
    }
    let fields = dialog.kind.content().fields();
    // While a text field has the focus, `n` and `y` are typed into it.
    let is_typing = matches!(dialog.focus, DialogFocus::Field(at) if matches!(fields.get(at), Some(DialogField::Text { .. })));
    let button = |letter: char, label: &str, button: DialogButton| {
        let style = if dialog.focus == DialogFocus::Button(button) { theme.selected } else { theme.accent };
        let text = if is_typing { format!("[ {label} ]") } else { format!("[ {letter} {label} ]") };
        Span::styled(text, style)
    };
    let no = button('n', "No", DialogButton::No);
    let yes = button('y', "Yes", DialogButton::Yes);
    let (left, between) = (Span::raw("  "), Span::raw("   "));
    let before_yes = left.width() + no.width() + between.width();
    let places =
        vec![(DialogButton::No, left.width(), no.width()), (DialogButton::Yes, before_yes, yes.width())];
    let hint = Span::styled("    Tab moves, Esc leaves", theme.muted);
    (Line::from(vec![left, no, between, yes, hint]), places)
}
