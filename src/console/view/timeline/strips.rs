//! Under a lane: what its process did while it held a lock or pinned the log, one letter for each kind.

use ratatui::{style::Style, text::Line};

use super::{LABEL, NO_CURSOR, TimelinePanel};
use crate::{history::TimelineLane, snapshot::ActivityClass, text};

impl TimelinePanel<'_> {
    /// Whether strips are drawn: the panel of a large screen has no room for their legend.
    pub(super) fn shows_strips(&self) -> bool {
        self.cursor != NO_CURSOR && self.strips().next().is_some()
    }

    /// The lanes that have one.
    pub(super) fn strips(&self) -> impl Iterator<Item = &TimelineLane> {
        self.timeline.lanes.iter().filter(|lane| has_strip(lane))
    }

    pub(super) fn strip(&self, lane: &TimelineLane) -> Line<'static> {
        let label = format!("{:>width$} ", "doing", width = LABEL - 1);
        self.row(&label, |column| {
            let cells = lane.activities.get(self.cells(column)).unwrap_or_default();
            most(cells).map_or((' ', Style::new()), |class| (class.sign().0, self.theme.muted))
        })
    }

    /// What the letters mean: those that occur.
    pub(super) fn strip_legend(&self) -> Line<'static> {
        let occurs =
            |class: &ActivityClass| self.strips().any(|lane| lane.activities.contains(&Some(*class)));
        let words = ActivityClass::ALL.into_iter().filter(occurs).map(|class| {
            let (letter, words) = class.sign();
            format!("{letter} {words}")
        });
        let legend = format!("{:LABEL$}{}", "", words.collect::<Vec<_>>().join("  "));
        Line::styled(text::fit(&legend, self.width), self.theme.muted)
    }
}

pub(super) fn has_strip(lane: &TimelineLane) -> bool {
    !lane.activities.is_empty()
}

/// The most frequent of `cells`.
fn most(cells: &[Option<ActivityClass>]) -> Option<ActivityClass> {
    let count = |class: ActivityClass| cells.iter().filter(|cell| **cell == Some(class)).count();
    cells.iter().copied().flatten().max_by_key(|class| count(*class))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_shows_what_most_of_its_cells_do() {
        let (computing, asleep) = (Some(ActivityClass::Computing), Some(ActivityClass::Asleep));
        assert_eq!(most(&[computing, asleep, asleep, None, None, None]), asleep);
        assert_eq!(most(&[None, None, computing]), computing);
        assert_eq!(most(&[None, None]), None);
    }
}
