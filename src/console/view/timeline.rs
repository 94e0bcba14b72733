//! The timeline, over all panels: one lane per process, and in words the values under the cursor.

use jiff::Timestamp;
use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    text::{Line, Span},
    widgets::{Clear, Paragraph},
};

use super::{empty, level};

mod lanes;
mod log_size;
mod readout;
mod strips;
use crate::{
    config::profile::Profile,
    console::{
        app::{App, TimelineContent, TimelineView},
        screen_map::{ScreenMap, ScreenTarget},
        widgets::{framed, theme::Theme},
    },
    history::Timeline,
    keymap::Action,
    snapshot::Database,
    text, units,
};

/// Columns of a lane's PID and name.
const LABEL: usize = 20;
/// Lines for the values under the cursor.
const READOUT: u16 = 4;
/// A cell in which a process waited for the lock and did not hold it.
const WAITED: char = '╌';
/// A cell in which a process may have waited for the lock.
const MAY_HAVE_WAITED: char = '?';
/// A cell in which a wait ended without the lock, or a single try was refused.
const REFUSED: char = '×';
/// A cell in which a process kept frames in the log, and did not hold the lock.
const PINNED: char = '─';
/// A cell in which a process ran a checkpoint.
const CHECKPOINTED: char = '═';
/// A cell of a recording in which nothing was watched.
pub(super) const UNWATCHED: char = '░';
/// The cursor of a timeline that has none.
const NO_CURSOR: usize = usize::MAX;

pub fn render(
    frame: &mut Frame,
    area: Rect,
    app: &App,
    theme: &Theme,
    past: &TimelineView,
    map: &mut ScreenMap,
) {
    frame.render_widget(Clear, area);
    let span = units::duration(units::milliseconds(past.span()));
    let stands = if app.is_replay() {
        format!(" ({} goes to the cursor)", app.key_of(Action::GoTo))
    } else if app.is_paused() {
        format!(" (frozen: {} goes on)", app.key_of(Action::Pause))
    } else if past.is_held() {
        format!(" (paused: {} follows again)", app.key_of(Action::Last))
    } else {
        String::new()
    };
    let [shorter, longer, close, before, next] =
        [Action::Faster, Action::Slower, Action::Timeline, Action::PreviousHold, Action::NextHold]
            .map(|action| app.key_of(action));
    let is_recorded = matches!(&past.shown, TimelineContent::Known(shown) if shown.is_recorded);
    let origin = if is_recorded && !app.is_replay() { ", recorded" } else { "" };
    let title = format!(
        " Write lock, {span}{origin}{stands}   {shorter} {longer} zoom  {before} {next} holds  {close} closes "
    );
    let inner =
        framed(frame, area, theme.focus, Span::styled(text::fit(&title, area.width.into()), theme.title));
    let Some(database) = app.database() else { return empty(frame, inner, theme, "looking…") };
    match (&past.shown, why_not(app, database)) {
        (_, Some(why)) => empty(frame, inner, theme, &why),
        (TimelineContent::Awaited, None) => empty(frame, inner, theme, "looking…"),
        (TimelineContent::Unsampled, None) => empty(
            frame,
            inner,
            theme,
            "The locks of this database are not sampled, so who held the write lock between samples is not known.",
        ),
        (TimelineContent::Known(timeline), None) => {
            let view = TimelinePanel::new(app, theme, timeline, past.cursor, inner.width.into());
            view.render(frame, inner, past.selected_hold(), map);
        }
    }
}

/// Draws the last minutes among the panels of a large screen.
pub fn render_below(frame: &mut Frame, area: Rect, app: &App, theme: &Theme) {
    let key = app.key_of(Action::Timeline);
    let title = Span::styled(format!(" Write lock, the last 5 m: {key} opens the timeline "), theme.title);
    let inner = framed(frame, area, theme.border, title);
    let why = app.database().and_then(|database| why_not(app, database));
    match (app.recent_timeline(), why) {
        (_, Some(why)) => empty(frame, inner, theme, &why),
        (None, None) => empty(frame, inner, theme, "No lock has been sampled yet."),
        (Some(timeline), None) => {
            let view = TimelinePanel::new(app, theme, timeline, NO_CURSOR, inner.width.into());
            let [lanes, curve, axis] = Layout::vertical([
                Constraint::Fill(1),
                Constraint::Length(inner.height / 3),
                Constraint::Length(1),
            ])
            .areas(inner);
            frame.render_widget(Paragraph::new(view.lanes(lanes.height.into())), lanes);
            view.curve(frame, curve);
            frame.render_widget(Paragraph::new(view.axis()), axis);
        }
    }
}

/// Why `database` has no timeline, if it has none.
fn why_not(app: &App, database: &Database) -> Option<String> {
    if database.files.db.is_none() {
        let sentence = if app.has_gone(app.current()) {
            "The database is gone from its path: it was moved or removed."
        } else {
            "The database does not exist yet."
        };
        return Some(sentence.to_owned());
    }
    if database.is_wal() == Some(false) {
        return Some(
            "In rollback mode the write lock cannot be sampled: there is no -shm whose bytes could be asked for. \
             Panel 2 shows which process holds it in each sample."
                .to_owned(),
        );
    }
    let exclusive = database.locks.exclusive.as_ref()?;
    let who = super::who(database, exclusive.pid);
    Some(format!(
        "{who} has the whole file to itself (locking_mode=EXCLUSIVE) and takes no locks that could be sampled."
    ))
}

struct TimelinePanel<'a> {
    app: &'a App,
    theme: &'a Theme,
    timeline: &'a Timeline,
    cursor: usize,
    width: usize,
    /// The longest hold that a client waits for, in ms.
    budget_ms: Option<f64>,
}

impl<'a> TimelinePanel<'a> {
    fn new(app: &'a App, theme: &'a Theme, timeline: &'a Timeline, cursor: usize, width: usize) -> Self {
        let budget_ms = app.profile().and_then(Profile::busy_timeout_ms).map(f64::from);
        Self { app, theme, timeline, cursor, width, budget_ms }
    }

    fn render(&self, frame: &mut Frame, area: Rect, selected: Option<usize>, map: &mut ScreenMap) {
        let (curve, list) = match area.height {
            0..16 => (0, 0),
            16..26 => (3, 3),
            height => (height / 6, height / 5),
        };
        let [top, marks, lanes, legend, curve, axis, readout, list] = Layout::vertical([
            Constraint::Length(2),
            Constraint::Length(u16::from(self.budget_ms.is_some() && area.height >= 12)),
            Constraint::Fill(1),
            Constraint::Length(u16::from(self.shows_strips())),
            Constraint::Length(curve),
            Constraint::Length(2),
            Constraint::Length(if area.height < 14 { 2 } else { READOUT }),
            Constraint::Length(list),
        ])
        .areas(area);
        frame.render_widget(Paragraph::new(self.figures()), top);
        frame.render_widget(Paragraph::new(self.over_budget()), marks);
        frame.render_widget(Paragraph::new(self.lanes(lanes.height.into())), lanes);
        frame.render_widget(Paragraph::new(self.strip_legend()), legend);
        self.curve(frame, curve);
        frame.render_widget(Paragraph::new(vec![self.marker(), self.axis()]), axis);
        frame.render_widget(Paragraph::new(self.readout(selected)), readout);
        self.holds(frame, list, selected, map);
        // The marks, the lanes, the curve and the axis have the same columns.
        let rows = marks.union(lanes).union(legend).union(curve).union(axis);
        let [label, columns] = [LABEL, self.columns()].map(|it| u16::try_from(it).unwrap_or(u16::MAX));
        let cells = Rect { x: rows.x.saturating_add(label), width: columns, ..rows }.intersection(rows);
        map.add(rows, ScreenTarget::Lanes);
        map.add_moments(cells);
    }

    fn figures(&self) -> Vec<Line<'static>> {
        let figures = &self.timeline.figures;
        let mut holds = format!(
            "held {:.0} % of {}   {}",
            figures.held_ratio * 100.0,
            self.watched(),
            units::plural(figures.count, "hold")
        );
        if figures.count > 0 {
            if let Some((p50, p99)) = figures.p50_ms.zip(figures.p99_ms) {
                holds.push_str(&format!("   p50 {}  p99 {}", units::duration(p50), units::duration(p99)));
            }
            holds.push_str(&format!("  longest {}", units::duration(figures.max_ms)));
        }
        let waits = self.timeline.waits.map_or_else(String::new, |waits| {
            let [p50, p99, max] = [waits.spread.p50, waits.spread.p99, waits.spread.max].map(units::duration);
            let count = units::plural(waits.count, "time");
            format!("writers waited {count}   p50 {p50}  p99 {p99}  longest {max}   ")
        });
        vec![
            Line::styled(text::fit(&holds, self.width), self.theme.title),
            Line::raw(text::fit(&(waits + &self.rates()), self.width)),
        ]
    }

    /// The time that the figures are about: the period, or the part of it that was watched.
    fn watched(&self) -> String {
        let span = self.timeline.span;
        let known = self.timeline.end.saturating_duration_since(self.timeline.oldest).min(span);
        #[expect(clippy::cast_precision_loss, reason = "a few hundred")]
        let share = self.timeline.unwatched.iter().filter(|is| **is).count() as f64 / Timeline::CELLS as f64;
        let known = known.saturating_sub(span.mul_f64(share));
        if known < span {
            format!("the {} watched", units::duration(known.as_secs_f64().round() * 1e3))
        } else {
            "it".to_owned()
        }
    }

    /// How the log grew in a period of the past, or its trend at the time of the sample.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive rates, shown rounded"
    )]
    fn rates(&self) -> String {
        if self.app.timeline().is_some_and(TimelineView::is_held) {
            // After a truncation it may have grown again.
            let sizes: Vec<u64> = self.timeline.log.iter().copied().flatten().collect();
            let grown: u64 = sizes.windows(2).map(|pair| pair[1].saturating_sub(pair[0])).sum();
            return if grown > 0 {
                format!("-wal grew {} in it", units::bytes(grown))
            } else {
                String::new()
            };
        }
        let trend = self.app.sample().and_then(|look| look.trends.get(self.app.current()));
        let written = trend.and_then(|trend| trend.wal_bytes_per_second).filter(|&rate| rate >= 1.0);
        let moved = trend.and_then(|trend| trend.frames_moved_per_second).filter(|&rate| rate >= 1.0);
        let written = written.map(|rate| format!("-wal grows {}/s", units::bytes(rate as u64)));
        let moved = moved.map(|rate| format!("{} frames/s moved", units::count(rate as u64)));
        written.into_iter().chain(moved).collect::<Vec<_>>().join(", ")
    }

    /// The cursor, with how long ago it is.
    fn marker(&self) -> Line<'static> {
        let column = (0..self.columns()).find(|&column| self.is_under_cursor(column)).unwrap_or(0);
        #[expect(clippy::cast_precision_loss, reason = "one of sixty")]
        let share = (self.cursor + 1) as f64 / Timeline::STEPS as f64;
        let ago = self.app.now.duration_since(self.timeline.at(share)).as_millis_f64();
        let ago = match units::duration(ago.abs()) {
            _ if ago.abs() < 1000.0 => "now".to_owned(),
            // In a replay.
            length if ago < 0.0 => format!("{length} later"),
            length => format!("{length} ago"),
        };
        let before = LABEL + column;
        let line = if before + ago.len() + 2 <= self.width {
            format!("{:before$}▲ {ago}", "")
        } else {
            format!("{:>before$}▲", format!("{ago} "))
        };
        Line::styled(line, self.theme.accent)
    }

    /// The time at the left edge, in the middle and at the right edge.
    fn axis(&self) -> Line<'static> {
        let exact = self.timeline.span.as_secs() <= 10;
        let times = [0.0, 0.5, 1.0].map(|share| self.clock(self.timeline.at(share), exact));
        let room = self.columns().saturating_sub(times.iter().map(String::len).sum());
        let [left, right] = [room / 2, room - room / 2];
        let [first, middle, last] = times;
        let axis = format!("{:LABEL$}{first}{:left$}{middle}{:right$}{last}", "", "", "");
        Line::styled(text::fit(&axis, self.width), self.theme.muted)
    }

    fn clock(&self, at: Timestamp, exact: bool) -> String {
        let format = if exact { "%H:%M:%S%.3f" } else { "%H:%M:%S" };
        at.to_zoned(self.app.setup.time_zone.clone()).strftime(format).to_string()
    }

    fn columns(&self) -> usize {
        self.width.saturating_sub(LABEL).clamp(1, Timeline::CELLS)
    }

    /// The cells that `column` shows.
    fn cells(&self, column: usize) -> std::ops::Range<usize> {
        let columns = self.columns();
        column * Timeline::CELLS / columns..(column + 1) * Timeline::CELLS / columns
    }

    fn is_under_cursor(&self, column: usize) -> bool {
        if self.cursor == NO_CURSOR {
            return false;
        }
        let (cells, step) = (self.cells(column), Timeline::cells(self.cursor));
        let middle = usize::midpoint(cells.start, cells.end - 1);
        // On a narrow screen a column covers several steps.
        step.contains(&middle) || cells.contains(&usize::midpoint(step.start, step.end))
    }
}
