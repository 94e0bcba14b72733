//! The cells and steps of a timeline.

use std::time::Duration;

use jiff::Timestamp;

use super::{HoldPiece, Micros, Timeline, TimelineLane, TimelineStep, milliseconds};

/// Maps microseconds to cells and steps.
pub(super) struct TimelineGrid<F> {
    pub from: Micros,
    pub span: Micros,
    pub at: F,
}

impl<F: Fn(Micros) -> Timestamp> TimelineGrid<F> {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "a share between 0 and 1"
    )]
    pub fn draw(&self, lane: &mut TimelineLane, piece: &HoldPiece<'_>) {
        let (start, end) = (piece.start.max(self.from), piece.end.min(self.from + self.span));
        // A coarse piece is spread over its second.
        let density = piece.held as f64 / ((end - start).max(1) as f64);
        for cell in self.range(start, end, Timeline::CELLS) {
            let left = self.edge(cell, Timeline::CELLS);
            let right = self.edge(cell + 1, Timeline::CELLS);
            let inside = (end.min(right) - start.max(left)).max(0) as f64;
            let share = &mut lane.shares[cell];
            *share = (*share + (inside * density / (right - left).max(1) as f64) as f32).min(1.0);
        }
        for step in self.range(start, end, Timeline::STEPS) {
            let longest_ms = milliseconds(piece.longest);
            let known = lane.moments[step].get_or_insert(TimelineStep {
                count: 0,
                longest_ms: 0.0,
                began: None,
                goes_on: false,
            });
            known.count += piece.count;
            if longest_ms >= known.longest_ms {
                known.longest_ms = longest_ms;
                known.began = piece.began.map(&self.at);
                known.goes_on = piece.goes_on;
            }
        }
    }

    pub fn mark(&self, marks: &mut Vec<bool>, start: Micros, end: Micros) {
        self.fill(marks, (start, end), true);
    }

    pub fn fill<T: Copy + Default>(&self, values: &mut Vec<T>, (start, end): (Micros, Micros), value: T) {
        values.resize(Timeline::CELLS, T::default());
        let end = end.min(self.from + self.span);
        for cell in self.range(start.max(self.from), end, Timeline::CELLS) {
            values[cell] = value;
        }
    }

    fn edge(&self, index: usize, of: usize) -> Micros {
        self.from + self.span * Micros::try_from(index).unwrap_or(0) / Micros::try_from(of).unwrap_or(1)
    }

    // Which of `of` equal parts overlap `start` to `end`; a hold of no length overlaps one.
    pub fn range(&self, start: Micros, end: Micros, of: usize) -> std::ops::Range<usize> {
        let scale = Micros::try_from(of).unwrap_or(1);
        let part = |at: Micros| (at - self.from).max(0).saturating_mul(scale) / self.span.max(1);
        let first = usize::try_from(part(start)).unwrap_or(0).min(of - 1);
        let last = usize::try_from(part((end - 1).max(start))).unwrap_or(0).min(of - 1);
        first..last + 1
    }
}

pub(super) fn earlier(at: Timestamp, by: Duration) -> Timestamp {
    // Not by a `jiff::Span`: a timeline needs this for each of its holds, and that takes several times as long.
    Timestamp::from_nanosecond(at.as_nanosecond() - by.as_nanos().cast_signed()).unwrap_or(Timestamp::MIN)
}
