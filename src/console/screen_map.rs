//! Where a frame drew what a click or the wheel acts on.

use ratatui::layout::{Position, Rect};

use crate::{
    history::Timeline,
    keymap::{Action, Panel},
};

/// Rows of which one is selected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowList {
    Panel(Panel),
    /// The databases of the overview.
    Databases,
    /// The holds of the timeline.
    Holds,
    Palette,
    /// The documents that a search found.
    Documents,
    /// The processes of a dialog.
    Dialog,
}

/// The buttons of every dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DialogButton {
    /// Changes nothing.
    No,
    Yes,
}

/// What lies under the pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScreenTarget {
    /// Neither a click nor the wheel does anything here.
    Nothing,
    /// A list beside its rows.
    List(RowList),
    Row(RowList, usize),
    /// The box of a row of a dialog.
    Tick(usize),
    /// The heading of this column of the processes.
    Heading(usize),
    /// A key of the footer.
    Key(Action),
    Button(DialogButton),
    /// A long text.
    Text,
    /// A step of the timeline.
    Moment(usize),
    /// The names of the lanes.
    Lanes,
}

/// What the cells of a region are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RegionKind {
    Whole(ScreenTarget),
    /// Rows of `each` lines, the first one with the index `first`.
    Rows {
        list: RowList,
        first: usize,
        each: u16,
    },
    /// The boxes of rows, the first one with this index.
    Ticks(usize),
    /// The columns of the timeline.
    Moments,
}

/// The regions of one frame. Later ones lie over earlier ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScreenMap {
    regions: Vec<(Rect, RegionKind)>,
    /// The number of the dialog in the frame.
    pub dialog: Option<u64>,
}

impl ScreenMap {
    pub fn add(&mut self, area: Rect, target: ScreenTarget) {
        self.regions.push((area, RegionKind::Whole(target)));
    }

    /// Adds the rows of `list` that `area` shows, `each` lines high, from the index `first` on; there are `count`.
    pub fn add_rows(&mut self, area: Rect, list: RowList, (first, count): (usize, usize), each: u16) {
        let shown = u16::try_from(count.saturating_sub(first)).unwrap_or(u16::MAX);
        let area = Rect { height: area.height.min(shown.saturating_mul(each)), ..area };
        self.regions.push((area, RegionKind::Rows { list, first, each }));
    }

    /// Adds the boxes of the rows of a dialog, the first one with the index `first`.
    pub fn add_ticks(&mut self, area: Rect, first: usize) {
        self.regions.push((area, RegionKind::Ticks(first)));
    }

    /// Adds the cells of a timeline.
    pub fn add_moments(&mut self, area: Rect) {
        self.regions.push((area, RegionKind::Moments));
    }

    /// What the frame drew in this cell of the terminal.
    pub fn at(&self, column: u16, row: u16) -> ScreenTarget {
        let is_here = |(area, _): &&(Rect, RegionKind)| area.contains(Position { x: column, y: row });
        let Some((area, kind)) = self.regions.iter().rev().find(is_here) else {
            return ScreenTarget::Nothing;
        };
        let line = usize::from(row - area.y);
        match *kind {
            RegionKind::Whole(target) => target,
            RegionKind::Rows { list, first, each } => {
                ScreenTarget::Row(list, first + line / usize::from(each.max(1)))
            }
            RegionKind::Ticks(first) => ScreenTarget::Tick(first + line),
            RegionKind::Moments => {
                let cell = (usize::from(column - area.x) * 2 + 1) * Timeline::CELLS;
                let cell = cell / (2 * usize::from(area.width.max(1)));
                ScreenTarget::Moment((cell * Timeline::STEPS / Timeline::CELLS).min(Timeline::STEPS - 1))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_on_top_is_hit_and_rows_end_with_the_list() {
        let mut map = ScreenMap::default();
        let list = RowList::Panel(Panel::Findings);
        map.add(Rect::new(0, 0, 10, 10), ScreenTarget::List(list));
        map.add_rows(Rect::new(1, 1, 8, 8), list, (3, 5), 2);
        map.add(Rect::new(4, 0, 2, 3), ScreenTarget::Nothing);
        assert_eq!(map.at(1, 2), ScreenTarget::Row(list, 3));
        assert_eq!(map.at(1, 3), ScreenTarget::Row(list, 4));
        assert_eq!(map.at(1, 5), ScreenTarget::List(list), "there is no sixth row");
        assert_eq!(map.at(4, 1), ScreenTarget::Nothing);
        assert_eq!(map.at(10, 0), ScreenTarget::Nothing);
    }

    #[test]
    fn the_columns_of_a_timeline_cover_all_its_steps() {
        for width in [1, 30, 60, 100, 240] {
            let mut map = ScreenMap::default();
            map.add_moments(Rect::new(5, 0, width, 1));
            let steps: Vec<usize> = (0..width)
                .map(|column| match map.at(5 + column, 0) {
                    ScreenTarget::Moment(step) => step,
                    other => panic!("{other:?} is no moment"),
                })
                .collect();
            assert!(steps.is_sorted() && steps.iter().all(|&step| step < Timeline::STEPS));
            assert!(width < 60 || steps[0] == 0 && steps[steps.len() - 1] == Timeline::STEPS - 1);
        }
    }
}
