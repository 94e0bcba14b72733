//! Where a replay is in its recording: at a snapshot, or in a time after it that was not watched.

use std::{cmp::Ordering, collections::VecDeque, sync::Arc};

use jiff::{SignedDuration, Timestamp};

use crate::{
    recording::{
        FramePlace, LONGEST_SILENCE, Recording, RecordingError, RecordingEvent, Stamp, UnwatchedTime,
    },
    snapshot::Severity,
};

use super::frame::PlayedFrame;

/// Frames that stay in memory: those of the last minutes, and the next one.
const KEPT: usize = 4;

/// The most frames in which one time is searched.
const MOST_MOMENTS: usize = 16;

/// A snapshot of a recording: its frame, and its index there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotPlace {
    frame: usize,
    index: usize,
    pub at: Timestamp,
}

/// A recording with a position in it.
#[derive(Debug)]
pub struct RecordingCursor {
    recording: Recording,
    places: Vec<FramePlace>,
    span: (Timestamp, Timestamp),
    kept: VecDeque<(usize, Arc<PlayedFrame>)>,
    /// `None` if the moment is before the first snapshot.
    place: Option<SnapshotPlace>,
    at: Timestamp,
    unwatched: Option<UnwatchedTime>,
}

impl RecordingCursor {
    /// At `at`, or at the end of `recording`.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    pub fn new(recording: Recording, at: Option<Timestamp>) -> Result<Self, RecordingError> {
        let places = recording.places()?;
        let span = span_of(&recording, &places);
        let (kept, place, at_end, unwatched) = (VecDeque::new(), None, span.1, None);
        let mut cursor = Self { recording, places, span, kept, place, at: at_end, unwatched };
        cursor.go_to(at.unwrap_or(at_end));
        Ok(cursor)
    }

    /// Takes what was recorded meanwhile; the moment stays. Returns whether there was anything.
    ///
    /// # Errors
    ///
    /// The recording cannot be read.
    pub fn follow(&mut self) -> Result<bool, RecordingError> {
        let Some(changed) = self.recording.follow(&mut self.places)? else { return Ok(false) };
        self.kept.retain(|(number, _)| *number < changed);
        self.span = span_of(&self.recording, &self.places);
        // What was the end may have a time behind it now that was not watched.
        self.unwatched = self.why_unwatched();
        Ok(true)
    }

    /// The first and the last time of the recording.
    pub fn span(&self) -> (Timestamp, Timestamp) {
        self.span
    }

    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// Why nothing is known of the moment; `None` if it was watched.
    pub fn unwatched(&self) -> Option<&UnwatchedTime> {
        self.unwatched.as_ref()
    }

    /// The newest snapshot that is not after the moment.
    pub fn place(&self) -> Option<SnapshotPlace> {
        self.place
    }

    pub fn recording(&self) -> &Recording {
        &self.recording
    }

    /// The frames with lines between `from` and `to`, and the one after them, which says whether the time before it was
    /// watched.
    pub fn places(&self, from: Timestamp, to: Timestamp) -> Vec<FramePlace> {
        let is_in = |place: &&FramePlace| place.first_at <= to && place.last_at >= from;
        let after = self.places.iter().find(|place| place.first_at > to);
        self.places.iter().filter(is_in).chain(after).copied().collect()
    }

    /// The frame of `place`, and the one before.
    pub fn frames(&mut self, place: SnapshotPlace) -> [Arc<PlayedFrame>; 2] {
        let before = place.frame.checked_sub(1).map_or_else(Arc::default, |before| self.frame(before));
        [before, self.frame(place.frame)]
    }

    /// The snapshot at `place`.
    pub fn snapshot(&mut self, place: SnapshotPlace) -> Option<crate::snapshot::Snapshot> {
        self.frame(place.frame).snapshot(place.index)
    }

    /// The newest snapshot that is at least `age` older than the one at `place`, within its frame and the one before.
    pub fn earlier(&mut self, place: SnapshotPlace, age: SignedDuration) -> Option<SnapshotPlace> {
        let wanted = place.at.checked_sub(age).ok()?;
        let mut found = place;
        while found.at > wanted {
            found = self.before(found)?;
            if found.frame + 1 < place.frame {
                return None;
            }
        }
        Some(found)
    }

    /// Goes to `at`, or to the end of the recording that is nearer. Of several moments with that time, to the one that was
    /// recorded last, and from there to the one before. Returns how many there are.
    pub fn go_to(&mut self, at: Timestamp) -> usize {
        let at = at.clamp(self.span.0, self.span.1.max(self.span.0));
        let moments = self.moments_at(at);
        let shown = moments.iter().position(|place| self.at == at && self.place == Some(*place));
        let next = shown.map_or(0, |shown| (shown + 1) % moments.len());
        self.place = moments.get(next).copied().or_else(|| self.newest_until(at));
        self.at = at;
        self.unwatched = self.why_unwatched();
        moments.len()
    }

    /// Goes forward to `at`, but no farther than to the next time that was not watched, or to where the clock was set
    /// back.
    pub fn advance_to(&mut self, at: Timestamp) {
        while let Some(next) = self.next().filter(|next| next.at <= at) {
            let is_back = next.at < self.at;
            self.step(true);
            if self.unwatched.is_some() || is_back {
                return;
            }
        }
        // After the clock was set back, the last line may not have the latest time.
        let has_more = self.has_more();
        let last = self.places.last().filter(|_| !has_more).map(|place| place.last_at);
        self.at = at.min(last.unwrap_or(self.span.1)).max(self.at);
        self.unwatched = self.why_unwatched();
    }

    /// Goes to the next snapshot or the one before, and between two of them to the time that was not watched. Returns
    /// whether there is one.
    pub fn step(&mut self, is_later: bool) -> bool {
        let next = self.next();
        let is_inside = self.unwatched.is_some();
        let wanted = if is_later { next } else { self.place.filter(|it| is_inside || it.at < self.at) };
        if is_later {
            let Some(next) = wanted else { return false };
            let gap = self.place.and_then(|place| self.gap_between(place, next));
            match gap.filter(|_| !is_inside) {
                Some(gap) => self.enter(gap),
                None => self.arrive(next),
            }
            return true;
        }
        if let Some(place) = wanted {
            self.arrive(place);
            return true;
        }
        let Some(place) = self.place else { return false };
        let Some(before) = self.before(place) else { return false };
        match self.gap_between(before, place) {
            Some(gap) => {
                self.place = Some(before);
                self.enter(gap);
            }
            None => self.arrive(before),
        }
        true
    }

    /// Whether there is a snapshot behind the moment.
    pub fn has_more(&mut self) -> bool {
        self.next().is_some()
    }

    fn next(&mut self) -> Option<SnapshotPlace> {
        match self.place {
            Some(place) => self.after(place),
            None => self.first_from(0),
        }
    }

    /// Goes to the beginning of the next warning or error, or of the one before, in the order in which they were recorded.
    /// `is_wanted` is asked between two frames. Returns whether there is one.
    pub fn go_to_finding(&mut self, is_later: bool, mut is_wanted: impl FnMut() -> bool) -> bool {
        let (frame, index) = self.place.map_or((0, None), |place| (place.frame, Some(place.index)));
        let here = self.frame(frame);
        let wanted = if is_later { Ordering::Greater } else { Ordering::Less };
        let now = (index, self.at);
        let is_beyond = |stamp: &Stamp| (here.last_since_boot(stamp.boot_ms), stamp.at).cmp(&now) == wanted;
        let there = 0..self.places.len();
        let numbers: Vec<_> =
            if is_later { there.skip(frame).collect() } else { there.take(frame + 1).rev().collect() };
        for number in numbers {
            if !is_wanted() {
                return false;
            }
            let found = self.recording.at(&self.places[number], |recorded| {
                let severe = recorded.findings().filter(|line| match &line.event {
                    RecordingEvent::FindingOn { finding } => finding.severity > Severity::Info,
                    _ => false,
                });
                let mut stamps = severe.map(|line| line.stamp).filter(|it| number != frame || is_beyond(it));
                if is_later { stamps.next() } else { stamps.next_back() }
            });
            // A frame that cannot be read has no finding.
            if let Ok(Some(Some(found))) = found {
                self.arrive_at(number, found);
                return true;
            }
        }
        false
    }

    // Shows the time of a line of `frame`. The clock since boot is never set, so it says which sample is before the line.
    fn arrive_at(&mut self, frame: usize, stamp: Stamp) {
        let played = self.frame(frame);
        let sample = played.last_since_boot(stamp.boot_ms);
        let sample = sample.and_then(|index| Some(SnapshotPlace { frame, index, at: played.at(index)? }));
        self.place = sample.or_else(|| self.before(SnapshotPlace { frame, index: 0, at: stamp.at }));
        self.at = stamp.at;
        self.unwatched = self.why_unwatched();
    }

    fn arrive(&mut self, place: SnapshotPlace) {
        (self.place, self.at, self.unwatched) = (Some(place), place.at, None);
    }

    fn enter(&mut self, gap: UnwatchedTime) {
        let begins = gap.from.or(self.place.map(|place| place.at)).unwrap_or(self.at);
        self.at = begins.checked_add(SignedDuration::from_micros(1)).unwrap_or(begins);
        self.unwatched = Some(gap);
    }

    fn why_unwatched(&mut self) -> Option<UnwatchedTime> {
        let Some(place) = self.place else {
            return Some(UnwatchedTime { from: None, to: Some(self.span.0), reason: None });
        };
        if place.at == self.at {
            return None;
        }
        let next = self.after(place)?;
        let gap = self.gap_between(place, next)?;
        gap.from.is_none_or(|from| from < self.at).then_some(gap)
    }

    // The time between two neighbours that was not watched.
    fn gap_between(&mut self, place: SnapshotPlace, next: SnapshotPlace) -> Option<UnwatchedTime> {
        // A gap is written when the samples begin again, before the snapshot.
        let lines = (place.frame..=next.frame).map(|number| self.frame(number)).collect::<Vec<_>>();
        let gaps = lines.iter().flat_map(|frame| &frame.lines).filter_map(|line| match &line.event {
            RecordingEvent::Gap { from, to, reason } if reason.is_blind() => Some((*from, *to, *reason)),
            _ => None,
        });
        let mut between = gaps.filter(|(from, to, _)| *to > place.at && *from < next.at && from < to);
        if let Some((from, to, reason)) = between.next() {
            return Some(UnwatchedTime {
                from: Some(from.max(place.at)),
                to: Some(to),
                reason: Some(reason),
            });
        }
        let is_silent = next.at.duration_since(place.at) > LONGEST_SILENCE;
        is_silent.then_some(UnwatchedTime { from: Some(place.at), to: Some(next.at), reason: None })
    }

    fn newest_until(&mut self, at: Timestamp) -> Option<SnapshotPlace> {
        let last = self.places.iter().rposition(|place| place.first_at <= at)?;
        (0..=last).rev().find_map(|frame| self.newest_in(frame, at))
    }

    fn newest_in(&mut self, frame: usize, at: Timestamp) -> Option<SnapshotPlace> {
        let played = self.frame(frame);
        let index = played.last_until(at)?;
        Some(SnapshotPlace { frame, index, at: played.at(index)? })
    }

    // The newest snapshot before each moment with the time `at`, the one that was recorded last first.
    fn moments_at(&mut self, at: Timestamp) -> Vec<SnapshotPlace> {
        let is_before = |last: Timestamp| at.duration_since(last) <= LONGEST_SILENCE;
        let has_it = |place: &FramePlace| place.first_at <= at && is_before(place.last_at);
        let frames = (0..self.places.len()).rev().filter(|frame| has_it(&self.places[*frame]));
        let frames: Vec<_> = frames.take(MOST_MOMENTS).collect();
        let mut moments: Vec<(SnapshotPlace, f64)> = Vec::new();
        let places = frames.into_iter().flat_map(|frame| {
            let played = self.frame(frame);
            let place = move |index| {
                Some((SnapshotPlace { frame, index, at: played.at(index)? }, played.boot_ms(index)?))
            };
            self.frame(frame).all_until(at).into_iter().filter_map(place)
        });
        for (place, boot_ms) in places {
            // Neighbouring frames overlap by a sample. The clock since boot is never set.
            let is_same = |(known, known_ms): &(SnapshotPlace, f64)| {
                let apart = known.at.duration_since(place.at).as_millis_f64();
                (known_ms - boot_ms - apart).abs() < LONGEST_SILENCE.as_millis_f64()
            };
            let is_near = at.duration_since(place.at) <= LONGEST_SILENCE;
            if is_near && !moments.iter().any(is_same) {
                moments.push((place, boot_ms));
            }
        }
        moments.into_iter().map(|(place, _)| place).collect()
    }

    fn first_from(&mut self, from: usize) -> Option<SnapshotPlace> {
        (from..self.places.len())
            .find_map(|frame| Some(SnapshotPlace { frame, index: 0, at: self.frame(frame).at(0)? }))
    }

    fn after(&mut self, place: SnapshotPlace) -> Option<SnapshotPlace> {
        let (frame, index) = (place.frame, place.index + 1);
        match self.frame(frame).at(index) {
            Some(at) => Some(SnapshotPlace { frame, index, at }),
            None => self.first_from(frame + 1),
        }
    }

    fn before(&mut self, place: SnapshotPlace) -> Option<SnapshotPlace> {
        if let Some(index) = place.index.checked_sub(1) {
            return Some(SnapshotPlace { index, at: self.frame(place.frame).at(index)?, ..place });
        }
        (0..place.frame).rev().find_map(|frame| {
            let played = self.frame(frame);
            let index = played.count().checked_sub(1)?;
            Some(SnapshotPlace { frame, index, at: played.at(index)? })
        })
    }

    // One that cannot be read is empty: its time was not watched.
    fn frame(&mut self, number: usize) -> Arc<PlayedFrame> {
        if let Some(at) = self.kept.iter().position(|(known, _)| *known == number) {
            return Arc::clone(&self.kept[at].1);
        }
        let place = self.places.get(number);
        let read = place.and_then(|place| self.recording.at(place, PlayedFrame::of).ok().flatten());
        let frame = Arc::new(read.unwrap_or_default());
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back((number, Arc::clone(&frame)));
        frame
    }
}

// The time of the frames that are still there.
fn span_of(recording: &Recording, places: &[FramePlace]) -> (Timestamp, Timestamp) {
    let there = || places.iter().filter(|place| recording.has(place));
    let first = there().map(|place| place.first_at).min().unwrap_or_default();
    let last = there().map(|place| place.last_at).max().unwrap_or_default();
    (first, last)
}
