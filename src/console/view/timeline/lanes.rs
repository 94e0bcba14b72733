//! The lanes of a timeline, as tall as the room allows, and the list of its holds.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    text::{Line, Span},
};

use super::{
    CHECKPOINTED, LABEL, MAY_HAVE_WAITED, PINNED, REFUSED, TimelinePanel, UNWATCHED, WAITED, level,
    strips::has_strip,
};
use crate::{
    console::{
        screen_map::{RowList, ScreenMap, ScreenTarget},
        view::{scrolling, table::SelectableTable},
    },
    history::{LockOwner, TimelineHold, TimelineLane},
    text, units,
};

/// The most rows of a lane.
const TALLEST: usize = 4;

impl TimelinePanel<'_> {
    /// The lanes in `height` rows; if not all fit, the last row says how many are left out.
    pub(super) fn lanes(&self, height: usize) -> Vec<Line<'static>> {
        let lanes = &self.timeline.lanes;
        if lanes.is_empty() {
            let unknown = self.timeline.unknown_cells();
            let known = self.timeline.unwatched.get(unknown..).unwrap_or_default();
            let is_unwatched = !known.is_empty() && known.iter().all(|is| *is);
            let sentence = if is_unwatched { "not watched" } else { "no process held the write lock" };
            let sentence = format!("{:LABEL$}{sentence}", "");
            return vec![Line::styled(text::fit(&sentence, self.width), self.theme.muted)];
        }
        let strips = if self.shows_strips() { self.strips().count() } else { 0 };
        let strips = if lanes.len() + strips <= height { strips } else { 0 };
        let tall = ((height - strips.min(height)) / lanes.len()).clamp(1, TALLEST);
        let scroll = usize::from(self.app.scroll).min(lanes.len().saturating_sub(height));
        let hidden = lanes.len() - scroll;
        let rows = lanes.iter().skip(scroll).flat_map(|lane| {
            let strip = (strips > 0 && has_strip(lane)).then(|| self.strip(lane));
            self.lane(lane, tall).into_iter().chain(strip)
        });
        let mut rows: Vec<_> = rows.collect();
        if hidden > height && height > 0 {
            rows.truncate(height - 1);
            let more = format!("{:LABEL$}{} more: {}", "", hidden + 1 - height, scrolling(self.app));
            rows.push(Line::styled(text::fit(&more, self.width), self.theme.muted));
        }
        // The line of the cursor goes through the empty rows too.
        let empty = height.saturating_sub(rows.len());
        rows.extend((0..empty).map(|_| self.row("", |_| (' ', Style::new()))));
        rows
    }

    /// The columns in which a process held the lock for longer than a client waits.
    pub(super) fn over_budget(&self) -> Line<'static> {
        let Some(budget) = self.budget_ms else { return Line::default() };
        let over: Vec<_> = self.timeline.holds.iter().filter(|hold| hold.length_ms >= budget).collect();
        let label = text::pad(
            &format!("{:>width$}", format!("over {}", units::duration(budget)), width = LABEL - 1),
            LABEL,
        );
        self.row(&label, |column| {
            let cells = self.cells(column);
            let is_over =
                over.iter().any(|hold| hold.cells.start < cells.end && cells.start < hold.cells.end);
            if is_over { ('!', self.theme.danger) } else { (' ', Style::new()) }
        })
    }

    /// One lane in `tall` rows, the lowest with its label.
    fn lane(&self, lane: &TimelineLane, tall: usize) -> Vec<Line<'static>> {
        (0..tall)
            .rev()
            .map(|above| {
                let label = if above == 0 { label(&lane.who) } else { String::new() };
                self.row(&label, |column| self.cell(lane, column, above, tall))
            })
            .collect()
    }

    /// The part of a cell that is `above` rows over the lowest one.
    #[expect(clippy::cast_precision_loss, reason = "a few hundred cells, and four rows")]
    fn cell(&self, lane: &TimelineLane, column: usize, above: usize, tall: usize) -> (char, Style) {
        let cells = self.cells(column);
        let held =
            lane.shares[cells.clone()].iter().copied().map(f64::from).sum::<f64>() / cells.len() as f64;
        let is_marked = |marks: &[bool]| marks.get(cells.clone()).is_some_and(|marks| marks.contains(&true));
        let filled = held * tall as f64 - above as f64;
        if cells.end <= self.timeline.unknown_cells() {
            (' ', self.theme.muted)
        } else if self.is_unwatched(&cells) && held == 0.0 {
            (UNWATCHED, self.theme.muted)
        } else if above == 0 && is_marked(&lane.refused) {
            // Rarer than a hold, and more important.
            (REFUSED, self.theme.danger)
        } else if held > 0.0 {
            // The lowest level is for zero, so every hold is visible.
            let sign = if above == 0 || filled > 0.0 { level(filled.max(0.01)) } else { ' ' };
            (sign, self.theme.warning)
        } else if above > 0 {
            (' ', self.theme.muted)
        } else if is_marked(&lane.checkpointed) {
            (CHECKPOINTED, self.theme.accent)
        } else if is_marked(&lane.waited) {
            (WAITED, self.theme.accent)
        } else if is_marked(&lane.may_have_waited) {
            (MAY_HAVE_WAITED, self.theme.accent)
        } else if is_marked(&lane.pinned) {
            (PINNED, self.theme.warning)
        } else {
            ('·', self.theme.muted)
        }
    }

    /// Whether nothing was watched in all of `cells`.
    pub(super) fn is_unwatched(&self, cells: &std::ops::Range<usize>) -> bool {
        let unwatched = self.timeline.unwatched.get(cells.clone());
        unwatched.is_some_and(|cells| !cells.is_empty() && cells.iter().all(|is| *is))
    }

    /// `label`, then a cell for each column; under the cursor an empty one is a line.
    pub(super) fn row(&self, label: &str, cell: impl Fn(usize) -> (char, Style)) -> Line<'static> {
        let mut spans = vec![Span::raw(text::pad(label, LABEL))];
        for column in 0..self.columns() {
            let (sign, style) = cell(column);
            let (sign, style) = match (self.is_under_cursor(column), sign) {
                (true, ' ' | '·') => ('│', self.theme.accent),
                (true, sign) => (sign, style.patch(self.theme.selected)),
                (false, sign) => (sign, style),
            };
            match spans.last_mut().filter(|last| last.style == style) {
                Some(last) => last.content.to_mut().push(sign),
                None => spans.push(Span::styled(sign.to_string(), style)),
            }
        }
        Line::from(spans)
    }

    /// The holds in view, the selected one always among them.
    pub(super) fn holds(&self, frame: &mut Frame, area: Rect, selected: Option<usize>, map: &mut ScreenMap) {
        let holds = &self.timeline.holds;
        let mark = |at: usize| if Some(at) == selected { "▸" } else { " " };
        let rows = holds.iter().enumerate().map(|(at, hold)| self.hold(mark(at), hold));
        let all = self.timeline.figures.count;
        let more = if all > holds.len() as u64 {
            let shown = if holds.len() == 1 { String::new() } else { format!("{} ", holds.len()) };
            format!("the {shown}longest of {}", units::count(all))
        } else {
            String::new()
        };
        let heading = ["", "HOLD FROM", "FOR", "PROCESS", &more].map(|it| Line::from(it.to_owned()));
        let table = SelectableTable {
            widths: vec![2, 14, 10, 26, self.width.saturating_sub(52)],
            heading: Some(heading.to_vec()),
            rows: rows.collect(),
            selected: selected.unwrap_or(holds.len().saturating_sub(1)),
            has_focus: selected.is_some(),
        };
        let (first, body) = table.render(frame, area, self.theme);
        map.add(area, ScreenTarget::List(RowList::Holds));
        map.add_rows(body, RowList::Holds, (first, holds.len()), 1);
    }

    fn hold(&self, mark: &str, hold: &TimelineHold) -> Vec<Line<'static>> {
        let is_over = self.budget_ms.is_some_and(|budget| hold.length_ms >= budget);
        let notes = [(is_over, "! over the budget"), (hold.goes_on, "goes on")];
        let notes: Vec<&str> = notes.into_iter().filter(|(holds, _)| *holds).map(|(_, note)| note).collect();
        let style = if is_over { self.theme.danger } else { Style::new() };
        vec![
            mark.to_owned().into(),
            self.clock(hold.began, true).into(),
            Line::styled(units::duration(hold.length_ms), style),
            text::fit(label(&hold.who).trim(), 25).into(),
            Line::styled(notes.join(", "), style),
        ]
    }
}

fn label(who: &LockOwner) -> String {
    let name = match who.pid {
        None if who.name.is_empty() => "not visible",
        _ => &who.name,
    };
    let pid = who.pid.map_or_else(String::new, |pid| pid.to_string());
    format!("{pid:>8} {} ", text::pad(name, LABEL - 10))
}
