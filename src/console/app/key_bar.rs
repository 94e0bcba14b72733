//! Which keys the key bar lists: those of what is on top.

use super::{App, DetailsSubject, Mode, Overlay};
use crate::keymap::{Action, ActiveBinding, KeyBar};

impl App {
    /// The keys of the key bar, in the order of the keymap, each with its label.
    pub fn key_bar(&self) -> impl Iterator<Item = (ActiveBinding<'_>, &'static str)> {
        let bar = self.kind_of_bar();
        let remedy = self.remedy_of_details();
        let stops_watch = self.watch_to_stop().is_some();
        let labelled = self.bindings().filter_map(move |bound| {
            let label = match remedy == Some(bound.binding.action) {
                true => bound.binding.label,
                false if stops_watch && bound.binding.action == Action::Stop => "stop watch",
                false => bound.label(bar),
            };
            (!label.is_empty()).then_some((bound, label))
        });
        let mut keys: Vec<_> = labelled.collect();
        // Where there is little room the first ones are shown: those that act on the selected row.
        let can_stop = keys.iter().any(|(bound, _)| bound.binding.action == Action::Stop);
        if can_stop && bar != KeyBar::Timeline {
            keys.sort_by_key(|(bound, _)| urgency(bound.binding.action));
        }
        keys.into_iter()
    }

    fn kind_of_bar(&self) -> KeyBar {
        match (&self.overlay, &self.mode) {
            (Some(Overlay::Details(_)), _) => KeyBar::Details,
            (Some(_), _) => KeyBar::Text,
            (None, Mode::Timeline(_)) => KeyBar::Timeline,
            (None, _) if self.overview().is_some() => KeyBar::Overview,
            (None, _) if self.zoomed => KeyBar::Zoom,
            (None, _) => KeyBar::Panels,
        }
    }

    /// What the open page of a finding proposes.
    fn remedy_of_details(&self) -> Option<Action> {
        let Some(Overlay::Details(DetailsSubject::Finding(id))) = &self.overlay else { return None };
        self.finding_row(id)?.finding().remedy.action.map(Action::from)
    }
}

/// The place in the key bar of what acts on a row that can be stopped.
fn urgency(action: Action) -> usize {
    const FIRST: [Action; 3] = [Action::Stop, Action::Details, Action::Timeline];
    FIRST.iter().position(|it| *it == action).unwrap_or(FIRST.len())
}
