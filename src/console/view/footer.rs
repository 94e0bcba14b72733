//! The last lines: the filter being typed or the keys, and above them the notice.

use log::Level;
use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
    widgets::{Clear, Paragraph},
};
use unicode_width::UnicodeWidthStr;

use crate::{
    console::{
        app::{App, FilterTarget, Mode, Overlay},
        screen_map::{ScreenMap, ScreenTarget},
        widgets::theme::Theme,
    },
    keymap::{Action, ActiveBinding, Panel},
    text,
};

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme, map: &mut ScreenMap) {
    let room = usize::from(area.width);
    let line = match app.mode {
        _ if app.search.is_typed => {
            prompt(" search: ", &app.search.query, "  Enter keeps it, n N next, Esc ends", theme, room)
        }
        _ if !app.search.query.is_empty() => {
            let found = match app.search_matches() {
                (_, 0) => "not found, Esc closes".to_owned(),
                (selected, count) => {
                    format!("{} of {count}, n next match, N the one before, Esc closes", selected + 1)
                }
            };
            Line::styled(text::fit(&format!(" search: {}   {found}", app.search.query), room), theme.muted)
        }
        Mode::GoTo(ref typed) => {
            let hint = "  03:12:07 or 10 min ago: Enter goes there, Esc ends";
            prompt(" go to: ", typed.value(), hint, theme, room)
        }
        Mode::Filter(target) => {
            let label = match target {
                FilterTarget::Processes => " filter processes: ",
                FilterTarget::Findings => " filter findings: ",
                FilterTarget::Log => " filter log: ",
                FilterTarget::Databases(_) => " filter databases: ",
            };
            prompt(label, app.filter(target), "  Enter keeps it, Esc clears it", theme, room)
        }
        _ => match overlay_keys(app) {
            Some(keys) => Line::styled(text::fit(&format!(" {keys}"), room), theme.muted),
            None => keys(app, theme, area, map),
        },
    };
    frame.render_widget(Paragraph::new(line), area);
}

/// The keys of what lies over the panels; `None` if nothing does, or the keys of the panels act there too.
fn overlay_keys(app: &App) -> Option<&'static str> {
    if app.palette.is_some() {
        return Some("Enter runs it   ↑ ↓ move   Esc closes   letters filter");
    }
    match app.overlay.as_ref()? {
        Overlay::Documents(search) if search.open.is_none() => {
            Some("Enter searches, then opens   ↑ ↓ move   Esc closes   letters are typed")
        }
        Overlay::Dialog(dialog) => {
            let content = dialog.kind.content();
            // The dialog itself names its only key.
            Some(if content.hint().is_some() {
                "Esc leaves"
            } else if dialog.is_typed_into() {
                "Enter confirms   Tab completes or moves   ↑ ↓ move   Esc leaves"
            } else if dialog.is_on_choice() {
                "← → choose   Enter goes on   Esc leaves"
            } else {
                "Enter presses   Tab ← → move   Esc leaves"
            })
        }
        Overlay::Help | Overlay::Details(_) | Overlay::Documents(_) => None,
    }
}

fn prompt(label: &str, typed: &str, hint: &str, theme: &Theme, room: usize) -> Line<'static> {
    let left = room.saturating_sub(label.width() + hint.width() + 1);
    Line::from(vec![
        Span::styled(label.to_owned(), theme.accent),
        Span::raw(text::fit(typed, left)),
        Span::styled("▏", theme.accent),
        Span::styled(hint.to_owned(), theme.muted),
    ])
}

/// Draws the notice over the last line of `area`, so that no panel moves when the notice appears or disappears; over two
/// lines if it is longer than one.
pub fn render_notice(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let Some(notice) = app.notice() else { return };
    let room = usize::from(area.width);
    let (sign, style) = match notice.level() {
        Level::Error => (" ✖ ", theme.danger),
        Level::Warn => (" ▲ ", theme.warning),
        _ if notice.is_success() => (" ✔ ", theme.good),
        _ => (" ", Style::new()),
    };
    let mut parts = text::wrap(&notice.to_string(), room.saturating_sub(sign.width())).into_iter();
    let mut lines = vec![format!("{sign}{}", parts.next().unwrap_or_default())];
    let rest: Vec<String> = parts.collect();
    if !rest.is_empty() {
        // The log shows the part that does not fit.
        let pointer = format!("  {} shows it all", app.key_of(Action::Zoom(Panel::Log)));
        let pointer = if rest.len() > 1 { pointer.as_str() } else { "" };
        let second = format!("{}{}", " ".repeat(sign.width()), rest.join(" "));
        lines.push(text::fit(&second, room.saturating_sub(pointer.width())) + pointer);
    }
    let height = u16::try_from(lines.len()).unwrap_or(1);
    let area = Rect { y: area.bottom().saturating_sub(height), height, ..area };
    let lines: Vec<Line> = lines.into_iter().map(|line| Line::styled(line, style)).collect();
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(lines), area);
}

/// As many of the keys as fit; those that lead out of here always.
fn keys(app: &App, theme: &Theme, area: Rect, map: &mut ScreenMap) -> Line<'static> {
    let key = |bound: &ActiveBinding<'_>| bound.keys.first().map_or_else(String::new, ToString::to_string);
    let width = |(bound, label): &(ActiveBinding<'_>, &str)| key(bound).width() + label.width() + 3;
    let (always, rest): (Vec<_>, Vec<_>) = app
        .key_bar()
        .partition(|(bound, _)| bound.binding.action.leads_out() || bound.binding.action == Action::Overview);
    let mut left = usize::from(area.width).saturating_sub(always.iter().map(width).sum());
    let shown = rest.into_iter().take_while(|entry| {
        let fits = left >= width(entry);
        left = left.saturating_sub(width(entry));
        fits
    });
    let mut place = Rect { width: 0, ..area };
    let spans = shown.chain(always).flat_map(|entry| {
        place.x += place.width;
        place.width = u16::try_from(width(&entry)).unwrap_or(u16::MAX);
        let (bound, label) = entry;
        map.add(place.intersection(area), ScreenTarget::Key(bound.binding.action));
        [Span::styled(format!(" {}", key(&bound)), theme.accent), Span::raw(format!(" {label} "))]
    });
    spans.collect()
}
