//! The keys that are active in this state, from the keymap.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
    widgets::Clear,
};

use crate::{
    console::{
        app::{App, Mode, TextExtent},
        widgets::{centred, framed, theme::Theme},
    },
    keymap::{KeyGroup, NamedKey},
    text,
};

const KEYS: usize = 11;

pub fn render(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) -> TextExtent {
    let area = centred(area, area.width.min(100), area.height);
    frame.render_widget(Clear, area);
    let title = Span::styled(
        format!(" Keys that act here and now: Esc closes, {} ", super::scrolling(app)),
        theme.title,
    );
    let inner = framed(frame, area, theme.focus, title);
    let room = usize::from(inner.width).saturating_sub(KEYS + 3);
    let mut lines = Vec::new();
    let mut groups = KeyGroup::ALL.to_vec();
    if matches!(app.mode, Mode::Timeline(_)) {
        // Its keys are the ones that act on what is on the screen.
        groups.sort_by_key(|group| *group != KeyGroup::Timeline);
    }
    let bound = groups.into_iter().flat_map(|group| {
        let of_group = app.bindings().filter(move |bound| bound.binding.action.group() == group);
        of_group.enumerate().map(move |(at, bound)| ((at == 0).then_some(group), bound))
    });
    for (heading, bound) in bound {
        if let Some(group) = heading {
            lines.push(Line::styled(format!(" {}", group.title()), theme.title));
        }
        let keys: Vec<&str> = bound.keys.iter().map(NamedKey::as_str).collect();
        let mut keys = text::wrap(&keys.join(" "), KEYS - 1).into_iter();
        let mut help = text::wrap(bound.binding.help, room).into_iter();
        while keys.len() + help.len() > 0 {
            let keys = text::pad(&keys.next().unwrap_or_default(), KEYS);
            lines.push(Line::from(vec![
                Span::styled(format!("   {keys}"), theme.accent),
                Span::raw(help.next().unwrap_or_default()),
            ]));
        }
    }
    super::scrolled(frame, inner, app, theme, lines)
}
