//! The last lines: the filter being typed or the keys, and above them the notice.

use log::Level;
use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::{Clear, Paragraph},
};
use unicode_width::UnicodeWidthStr;

use super::theme::Theme;
use crate::{
    console::{
        app::{App, FilterTarget, Mode},
        screen_map::{ScreenMap, ScreenTarget},
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
            let keys = "   n next match, N the one before, Esc closes";
            Line::styled(text::fit(&format!(" search: {}{keys}", app.search.query), room), theme.muted)
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
        _ => keys(app, theme, area, map),
    };
    frame.render_widget(Paragraph::new(line), area);
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

/// Draws the notice over the last line of `area`, so that no panel moves when the notice appears or disappears.
pub fn render_notice(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let Some(notice) = app.notice() else { return };
    let room = usize::from(area.width);
    let (sign, style) = match notice.level() {
        Level::Error => ("✖", theme.danger),
        Level::Warn => ("▲", theme.warning),
        _ => ("✔", theme.good),
    };
    let whole = format!(" {sign} {notice}");
    // The log shows the part that does not fit.
    let pointer = format!("  {} shows it all", app.key_of(Action::Zoom(Panel::Log)));
    let pointer = if whole.width() > room { pointer.as_str() } else { "" };
    let line = Line::styled(text::fit(&whole, room.saturating_sub(pointer.width())) + pointer, style);
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(line), area);
}

/// As many of the active keys as fit; help and quit always.
fn keys(app: &App, theme: &Theme, area: Rect, map: &mut ScreenMap) -> Line<'static> {
    let labelled: Vec<_> = app.bindings().filter(|bound| !bound.binding.label.is_empty()).collect();
    let key = |bound: &ActiveBinding<'_>| bound.keys.first().map_or_else(String::new, ToString::to_string);
    let width = |bound: &ActiveBinding<'_>| key(bound).width() + bound.binding.label.width() + 3;
    let (rest, always) = labelled.split_at(labelled.len().saturating_sub(2));
    let mut left = usize::from(area.width).saturating_sub(always.iter().map(width).sum());
    let shown = rest.iter().take_while(|bound| {
        let fits = left >= width(bound);
        left = left.saturating_sub(width(bound));
        fits
    });
    let mut place = Rect { width: 0, ..area };
    let spans = shown.chain(always).flat_map(|bound| {
        place.x += place.width;
        place.width = u16::try_from(width(bound)).unwrap_or(u16::MAX);
        map.add(place.intersection(area), ScreenTarget::Key(bound.binding.action));
        [
            Span::styled(format!(" {}", key(bound)), theme.accent),
            Span::raw(format!(" {} ", bound.binding.label)),
        ]
    });
    spans.collect()
}
