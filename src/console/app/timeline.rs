//! The timeline: which period it shows, and the position of its cursor.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;

use crate::{
    act::Effect,
    history::{LockOwner, TimeWindow, Timeline, TimelineHold},
    snapshot::Process,
};

use super::{App, Mode};

/// The periods that `+` and `-` step through.
const SPANS: [Duration; 9] = [
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_hours(1),
    Duration::from_hours(4),
    Duration::from_hours(24),
    Duration::from_hours(24 * 7),
];
/// How many of them the history of a running console has.
const LIVE: usize = 7;
/// The period among the panels of a large screen.
const RECENT: Duration = Duration::from_mins(5);
const MINUTE: usize = 2;
/// The newest step, the rightmost cursor position.
const NEWEST: usize = Timeline::STEPS - 1;

#[derive(Debug, Clone)]
pub struct TimelineView {
    span: usize,
    /// The newer edge, if the timeline is fixed.
    end: Option<Instant>,
    /// The step under the cursor.
    pub cursor: usize,
    /// The hold that a key selected, by its start.
    hold: Option<i64>,
    zoomed: Option<ZoomedMoment>,
    /// Whether it belongs to a recording: its newest edge is no present that it would follow.
    is_recorded: bool,
    pub shown: TimelineContent,
}

/// The moment around which the last zoom happened, and the view that it led to.
#[derive(Debug, Clone, Copy)]
struct ZoomedMoment {
    at: Instant,
    end: Instant,
    cursor: usize,
}

/// What an open timeline shows.
#[derive(Debug, Clone)]
pub enum TimelineContent {
    Awaited,
    Unsampled,
    Known(Arc<Timeline>),
}

impl TimelineView {
    /// The length of the period shown.
    pub fn span(&self) -> Duration {
        SPANS[self.span]
    }

    fn window(&self) -> TimeWindow {
        TimeWindow { end: self.end, span: self.span() }
    }

    /// Whether it is fixed at a point in the past.
    pub fn is_held(&self) -> bool {
        self.end.is_some()
    }

    /// The index of the selected hold: the one that a key selected, or else the longest one under the cursor.
    pub fn selected_hold(&self) -> Option<usize> {
        let holds = &self.known()?.holds;
        if let Some(at) = self.hold.and_then(|start| holds.iter().position(|hold| hold.start == start)) {
            return Some(at);
        }
        let step = Timeline::cells(self.cursor);
        let is_under = |hold: &TimelineHold| hold.cells.start < step.end && step.start < hold.cells.end;
        let under = holds.iter().enumerate().filter(|(_, hold)| is_under(hold));
        under.max_by(|a, b| a.1.length_ms.total_cmp(&b.1.length_ms)).map(|(at, _)| at)
    }

    /// Moves from hold to hold; from a cursor on none, to the nearest one on that side.
    fn jump(&mut self, is_later: bool) {
        let Some(timeline) = self.known() else { return };
        let step = Timeline::cells(self.cursor);
        let holds = &timeline.holds;
        let to = match (self.selected_hold(), is_later) {
            (Some(at), true) => Some(at + 1),
            (Some(at), false) => at.checked_sub(1),
            (None, true) => holds.iter().position(|hold| hold.cells.start >= step.end),
            (None, false) => holds.iter().rposition(|hold| hold.cells.end <= step.start),
        };
        if let Some(at) = to {
            self.select_hold(at);
        }
    }

    /// Selects the hold `at`, if there is one.
    pub(super) fn select_hold(&mut self, at: usize) {
        let Some(timeline) = self.known() else { return };
        let Some(hold) = timeline.holds.get(at) else { return };
        let (start, cursor) = (hold.start, hold.cells.start * Timeline::STEPS / Timeline::CELLS);
        let end = timeline.end;
        self.end.get_or_insert(end);
        (self.hold, self.cursor) = (Some(start), cursor.min(NEWEST));
    }

    fn known(&self) -> Option<&Timeline> {
        if let TimelineContent::Known(timeline) = &self.shown { Some(timeline) } else { None }
    }

    /// Changes the period to `SPANS[span]`; the moment under the cursor of a fixed timeline stays under it.
    fn zoom(&mut self, span: usize) {
        if let (Some(end), Some((oldest, newest))) =
            (self.end, self.known().map(|timeline| (timeline.oldest, timeline.newest)))
            && let Some(at) = self.moment(end)
        {
            let length = SPANS[span];
            // The moment keeps its column, unless the period would reach past what is known.
            let wanted = at + before_edge(length, self.cursor);
            let end = wanted.max(oldest + length).min(newest);
            let after = end.saturating_duration_since(at).as_nanos();
            let steps = after * Timeline::STEPS as u128 / length.as_nanos();
            let cursor = NEWEST.saturating_sub(usize::try_from(steps).unwrap_or(NEWEST));
            self.end = Some(end);
            self.cursor = cursor;
            self.zoomed = Some(ZoomedMoment { at, end, cursor });
        }
        self.span = span;
    }

    /// The moment in the middle of the step under the cursor. After a zoom it is the one from before the zoom, because a
    /// step of a long period covers many of a short one.
    fn moment(&self, end: Instant) -> Option<Instant> {
        let is_same = |zoomed: &ZoomedMoment| zoomed.end == end && zoomed.cursor == self.cursor;
        match self.zoomed.filter(is_same) {
            Some(zoomed) => Some(zoomed.at),
            None => end.checked_sub(before_edge(self.span(), self.cursor)),
        }
    }

    /// Fixes the timeline with its newer edge moved by `steps`.
    fn scroll(&mut self, steps: i32) {
        let Some(timeline) = self.known() else { return };
        let by = part(self.span(), steps.unsigned_abs());
        let oldest = timeline.oldest + self.span();
        let end = if steps < 0 { timeline.end.checked_sub(by) } else { timeline.end.checked_add(by) };
        let end = end.unwrap_or(oldest).max(oldest);
        // At the newest step it follows the present again.
        self.end = if self.is_recorded {
            Some(end.min(timeline.newest))
        } else {
            (end < timeline.newest).then_some(end)
        };
    }
}

/// The duration of this many steps of `span`.
fn part(span: Duration, steps: u32) -> Duration {
    span * steps / u32::try_from(Timeline::STEPS).unwrap_or(1)
}

/// The duration from the middle of the step `cursor` to the newer edge of `span`.
fn before_edge(span: Duration, cursor: usize) -> Duration {
    part(span, u32::try_from(NEWEST.saturating_sub(cursor)).unwrap_or(0)) + part(span, 1) / 2
}

impl App {
    /// Opens the timeline on the last minute, or closes it.
    #[must_use]
    pub(super) fn toggle_timeline(&mut self) -> Vec<Effect> {
        self.close_overlay();
        self.scroll = 0;
        let is_recorded = self.is_replay();
        if !self.close_timeline() {
            self.mode = Mode::Timeline(TimelineView {
                span: MINUTE,
                end: None,
                cursor: NEWEST,
                hold: None,
                zoomed: None,
                is_recorded,
                shown: TimelineContent::Awaited,
            });
        }
        self.ask_timeline()
    }

    /// Requests what the timeline shows, if one is open without an overlay.
    #[must_use]
    pub(super) fn ask_timeline(&self) -> Vec<Effect> {
        let Some(past) = self.timeline() else { return Vec::new() };
        vec![Effect::Timeline { index: self.current(), window: past.window() }]
    }

    /// The same after a sample; a fixed timeline is not requested again.
    #[must_use]
    pub(super) fn follow_timeline(&self) -> Vec<Effect> {
        let moves = self.timeline().is_some_and(|past| !past.is_held() && !self.is_paused());
        if moves { self.ask_timeline() } else { Vec::new() }
    }

    /// Requests the last minutes for the panel of a large screen, if the last frame showed it.
    #[must_use]
    pub(super) fn ask_recent(&self) -> Vec<Effect> {
        if !self.extent.shows_recent || self.timeline().is_some() || self.is_paused() {
            return Vec::new();
        }
        let window = TimeWindow { end: None, span: RECENT };
        vec![Effect::Timeline { index: self.current(), window }]
    }

    /// The last minutes of the database on the screen.
    pub fn recent_timeline(&self) -> Option<&Timeline> {
        self.recent.as_ref().filter(|(index, _)| *index == self.current()).map(|(_, timeline)| &**timeline)
    }

    /// Takes the part `window` of the past. What is no longer asked for is dropped.
    pub(super) fn timeline_arrived(
        &mut self,
        index: usize,
        window: TimeWindow,
        timeline: Option<Arc<Timeline>>,
    ) {
        let is_shown = index == self.current();
        if self.timeline().is_none() {
            if window.span == RECENT {
                self.recent = timeline.filter(|_| is_shown).map(|timeline| (index, timeline));
            }
            return;
        }
        let is_asked = |past: &&mut TimelineView| is_shown && window == past.window();
        if let Some(past) = self.timeline_mut().filter(is_asked) {
            past.shown = timeline.map_or(TimelineContent::Unsampled, TimelineContent::Known);
        }
    }

    /// While the screen is frozen the timeline is fixed at what it shows; after that it follows again.
    #[must_use]
    pub(super) fn freeze_timeline(&mut self) -> Vec<Effect> {
        let is_paused = self.is_paused();
        let Some(past) = self.timeline_mut() else { return Vec::new() };
        past.end = if is_paused { past.known().map(|timeline| timeline.end) } else { None };
        if !is_paused {
            past.cursor = NEWEST;
        }
        self.ask_timeline()
    }

    /// Moves the cursor by `steps`; at an edge the period moves instead.
    #[must_use]
    pub(super) fn move_in_time(&mut self, steps: isize) -> Vec<Effect> {
        let Some(past) = self.timeline_mut() else { return Vec::new() };
        past.hold = None;
        let wanted = past.cursor.checked_add_signed(steps);
        if let Some(cursor) = wanted.filter(|&cursor| cursor <= NEWEST) {
            // The row being read must not move under the cursor.
            if past.end.is_none() {
                past.end = past.known().map(|timeline| timeline.end);
            }
            past.cursor = cursor;
            return Vec::new();
        }
        past.scroll(i32::try_from(steps).unwrap_or(0));
        self.ask_timeline()
    }

    /// Selects the hold before the selected one, or the next.
    pub(super) fn jump_in_time(&mut self, is_later: bool) {
        if let Some(past) = self.timeline_mut() {
            past.jump(is_later);
        }
    }

    /// Who had the lock in the selected hold, or else longest in the step under the cursor: short holds are not listed.
    pub(super) fn lock_owner(&self) -> Option<&LockOwner> {
        if let Some(hold) = self.selected_hold() {
            return Some(&hold.who);
        }
        let past = self.timeline()?;
        let held = past.known()?.lanes.iter().filter_map(|lane| {
            let step = lane.moments.get(past.cursor)?.as_ref()?;
            Some((lane, step.longest_ms))
        });
        held.max_by(|a, b| a.1.total_cmp(&b.1)).map(|(lane, _)| &lane.who)
    }

    /// The process of that, if that very process is still there.
    pub(super) fn hold_process(&self) -> Option<&Process> {
        let LockOwner { pid, start_ticks, .. } = self.lock_owner()?;
        let process = self.database()?.process((*pid)?)?;
        (start_ticks.is_some() && process.start_ticks == *start_ticks).then_some(process)
    }

    /// The selected hold of an open timeline.
    pub(super) fn selected_hold(&self) -> Option<&TimelineHold> {
        let past = self.timeline()?;
        past.known()?.holds.get(past.selected_hold()?)
    }

    /// The beginning of the selected hold, or the middle of the step under the cursor.
    pub(super) fn moment_under_cursor(&self) -> Option<Timestamp> {
        let past = self.timeline()?;
        let timeline = past.known()?;
        if let Some(hold) = past.hold.and(self.selected_hold()) {
            return Some(hold.began);
        }
        #[expect(clippy::cast_precision_loss, reason = "one of sixty")]
        Some(timeline.at((past.cursor as f64 + 0.5) / Timeline::STEPS as f64))
    }

    /// Moves by whole periods, backward or forward.
    #[must_use]
    pub(super) fn page_in_time(&mut self, pages: i32) -> Vec<Effect> {
        let Some(past) = self.timeline_mut() else { return Vec::new() };
        past.scroll(pages * i32::try_from(Timeline::STEPS).unwrap_or(0));
        self.ask_timeline()
    }

    /// Moves to the oldest known moment, or to the present.
    #[must_use]
    pub(super) fn end_of_time(&mut self, is_oldest: bool) -> Vec<Effect> {
        let is_paused = self.is_paused();
        let Some(past) = self.timeline_mut() else { return Vec::new() };
        past.hold = None;
        let Some(timeline) = past.known() else { return Vec::new() };
        (past.end, past.cursor) = if is_oldest {
            let edge = timeline.oldest + past.span();
            ((edge < timeline.newest).then_some(edge).or(Some(timeline.newest)), 0)
        } else {
            let is_fixed = is_paused || past.is_recorded;
            (is_fixed.then_some(timeline.newest), NEWEST)
        };
        self.ask_timeline()
    }

    /// Lengthens or shortens the period around the step under the cursor.
    #[must_use]
    pub(super) fn zoom_in_time(&mut self, by: isize) -> Vec<Effect> {
        let Some(past) = self.timeline_mut() else { return Vec::new() };
        let is_long =
            |known: &Timeline| known.newest.saturating_duration_since(known.oldest) > SPANS[LIVE - 1];
        let is_recorded = past.is_recorded || past.known().is_some_and(is_long);
        let longest = if is_recorded { SPANS.len() } else { LIVE };
        past.zoom(past.span.saturating_add_signed(by).min(longest - 1));
        self.ask_timeline()
    }
}
