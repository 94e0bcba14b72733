//! What the key bar calls an action, by what is on the screen.

use super::{Action, ActiveBinding};

/// What the keys of the key bar act on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyBar {
    Panels,
    /// One panel in place of all.
    Zoom,
    Overview,
    Timeline,
    /// A long text over the panels: the help or a document.
    Text,
    /// The details of a row, over the panels.
    Details,
}

impl ActiveBinding<'_> {
    /// One or two words for the key in `bar`; empty if the bar omits it.
    pub const fn label(&self, bar: KeyBar) -> &'static str {
        let binding = self.binding;
        match (bar, binding.action) {
            (KeyBar::Zoom, Action::Back) => "all panels",
            // It closes first; the bar has one key for that.
            (KeyBar::Zoom, Action::Quit) => "",
            (KeyBar::Overview, Action::Overview) => "back",
            (KeyBar::Overview, Action::Details) => "open",
            (KeyBar::Timeline, action) => in_time(action, binding.label),
            (KeyBar::Text | KeyBar::Details, action) => over_text(bar, action, binding.label),
            (KeyBar::Panels | KeyBar::Zoom | KeyBar::Overview, _) => binding.label,
        }
    }
}

impl Action {
    /// Whether its key stands at the end of the bar, however little room there is.
    pub const fn leads_out(self) -> bool {
        matches!(self, Self::Back | Self::Help | Self::Quit)
    }
}

const fn in_time(action: Action, label: &'static str) -> &'static str {
    match action {
        // Short, so that all four directions fit in 80 columns.
        Action::Stop => "stop",
        Action::Earlier => "back",
        Action::Faster => "zoom in",
        Action::Slower => "zoom out",
        Action::Pause => "pause",
        Action::Back => "close",
        Action::Play => "play",
        Action::GoTo => "go there",
        Action::Later | Action::PreviousHold | Action::NextHold | Action::Details | Action::Help => label,
        _ => "",
    }
}

const fn over_text(bar: KeyBar, action: Action, label: &'static str) -> &'static str {
    match (bar, action) {
        (KeyBar::Details, Action::Stop | Action::Help) => label,
        (KeyBar::Details, Action::Copy) => "copy",
        (_, Action::Down) => "down",
        (_, Action::Up) => "up",
        (_, Action::PageDown) => "page down",
        (_, Action::PageUp) => "page up",
        (_, Action::Filter) => "search",
        (_, Action::Back) => "close",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keymap::Keymap;

    fn labels(bar: KeyBar) -> Vec<(Action, &'static str)> {
        let keymap = Keymap::default();
        let all = keymap.bindings().map(|bound| (bound.binding.action, bound.label(bar)));
        all.filter(|(_, label)| !label.is_empty()).collect()
    }

    #[test]
    fn what_lies_over_the_panels_has_its_own_keys_and_one_that_closes_it() {
        for bar in [KeyBar::Zoom, KeyBar::Timeline, KeyBar::Text, KeyBar::Details] {
            let labels = labels(bar);
            let out = labels.iter().filter(|(action, _)| matches!(action, Action::Back | Action::Quit));
            assert_eq!(out.count(), 1, "{bar:?}: {labels:?}");
        }
        for bar in [KeyBar::Timeline, KeyBar::Text, KeyBar::Details] {
            let of_panels = [Action::Ingest, Action::Timeline, Action::Checkpoint, Action::Overview];
            assert!(labels(bar).iter().all(|(action, _)| !of_panels.contains(action)), "{bar:?}");
        }
        assert!(labels(KeyBar::Text).iter().all(|(action, _)| *action != Action::Stop));
        assert!(labels(KeyBar::Details).contains(&(Action::Stop, "stop process")));
    }
}
