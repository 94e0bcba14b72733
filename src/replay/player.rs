//! The thread of a replay: it takes commands, advances the moment while it plays, and publishes samples.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{mpsc, watch};

use crate::{
    history::{DatabaseTrend, TimeBase, TimeWindow},
    recording::{LONGEST_SILENCE, PlayedMoment, RecordedNote, ReplayRemark},
    sampler::Sample,
    snapshot::Snapshot,
};

use super::{
    Replay, ReplayCommand, ReplayedTimeline,
    cursor::{RecordingCursor, SnapshotPlace},
    past::{self, PastPart},
};

/// Time between two samples while it plays.
const FRAME: Duration = Duration::from_millis(200);
/// How long a time that was not watched is shown before it is skipped.
const GAP: Duration = Duration::from_secs(1);
/// How often a player that waits for commands follows a recording that is still written.
const FOLLOWED: Duration = Duration::from_secs(2);
/// The notes that a sample carries.
const NOTES: usize = 200;
/// The growth of the log is measured over at least this time.
const GROWTH: SignedDuration = SignedDuration::from_secs(2);

/// Since when it plays, and from which moment on.
#[derive(Debug, Clone, Copy)]
struct Playing {
    since: Instant,
    from: Timestamp,
}

/// A player, on its own thread.
#[derive(Debug)]
pub struct Player {
    cursor: RecordingCursor,
    base: TimeBase,
    speed: f64,
    playing: Option<Playing>,
    /// When the time on the screen that was not watched was reached by playing.
    in_gap_since: Option<Instant>,
    /// The request for a part of the past that is not answered yet.
    asked: Option<(usize, TimeWindow)>,
    /// Commands that arrived during a search.
    pending: VecDeque<ReplayCommand>,
    /// The clock by which a recording counts as still written.
    now: fn() -> Timestamp,
    shown: Option<(SnapshotPlace, Arc<Sample>)>,
    publish: watch::Sender<Option<Arc<Sample>>>,
    outbox: mpsc::UnboundedSender<ReplayedTimeline>,
}

impl Player {
    pub fn new(
        cursor: RecordingCursor,
        speed: f64,
        now: fn() -> Timestamp,
        publish: watch::Sender<Option<Arc<Sample>>>,
        outbox: mpsc::UnboundedSender<ReplayedTimeline>,
    ) -> Self {
        let base = TimeBase { instant: Instant::now(), at: cursor.span().0 };
        let (playing, asked, shown, in_gap_since) = (None, None, None, None);
        let pending = VecDeque::new();
        Self { cursor, base, speed, playing, in_gap_since, asked, pending, now, shown, publish, outbox }
    }

    /// Plays until the sender of commands is gone.
    pub fn run(mut self, inbox: &Receiver<ReplayCommand>) {
        self.show(false, None);
        loop {
            self.answer(inbox);
            let patience = if self.playing.is_some() { FRAME } else { FOLLOWED };
            let command = match self.pending.pop_front() {
                Some(command) => Ok(command),
                None => inbox.recv_timeout(patience),
            };
            match command {
                Ok(command) => self.obey(command, inbox),
                Err(RecvTimeoutError::Timeout) if self.playing.is_some() => self.advance(),
                Err(RecvTimeoutError::Timeout) => {
                    if self.follow() {
                        self.show(true, None);
                    }
                }
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    // Takes what a recorder has written meanwhile. A recording that cannot be read any more stays as it is.
    fn follow(&mut self) -> bool {
        self.cursor.follow().unwrap_or(false)
    }

    fn obey(&mut self, command: ReplayCommand, inbox: &Receiver<ReplayCommand>) {
        // It is answered once no other command waits.
        if let ReplayCommand::Timeline { index, window } = command {
            return self.asked = Some((index, window));
        }
        self.follow();
        let (mut follows, mut remark) = (true, None);
        match command {
            ReplayCommand::Step { is_later } => {
                self.playing = None;
                follows = is_later && self.cursor.unwatched().is_none();
                self.cursor.step(is_later);
            }
            ReplayCommand::GoTo(at) => {
                follows = false;
                let is_repeated = self.cursor.go_to(at) > 1;
                remark = is_repeated.then_some(ReplayRemark::RepeatedTime);
            }
            ReplayCommand::Finding { is_later } => {
                self.playing = None;
                if self.find(is_later, inbox) {
                    follows = false;
                } else {
                    remark = Some(ReplayRemark::NoOtherFinding);
                }
            }
            ReplayCommand::Play => {
                self.playing = match self.playing {
                    Some(_) => None,
                    None => Some(self.playing_on()),
                };
            }
            ReplayCommand::Speed { is_faster } => {
                let factor = if is_faster { 2.0 } else { 0.5 };
                self.speed = (self.speed * factor).clamp(*Replay::SPEEDS.start(), *Replay::SPEEDS.end());
            }
            ReplayCommand::Timeline { .. } => {}
        }
        // The speed, or the moment, is another one.
        self.playing = self.playing.map(|_| self.playing_on());
        self.in_gap_since = None;
        self.show(follows, remark);
    }

    // Only another movement ends the search.
    fn find(&mut self, is_later: bool, inbox: &Receiver<ReplayCommand>) -> bool {
        let Self { cursor, asked, pending, .. } = self;
        cursor.go_to_finding(is_later, || {
            for command in inbox.try_iter() {
                match command {
                    ReplayCommand::Timeline { index, window } => *asked = Some((index, window)),
                    command => pending.push_back(command),
                }
            }
            pending.iter().all(|command| matches!(command, ReplayCommand::Finding { .. }))
        })
    }

    fn playing_on(&self) -> Playing {
        Playing { since: Instant::now(), from: self.cursor.at() }
    }

    fn advance(&mut self) {
        let Some(playing) = self.playing else { return };
        if self.cursor.unwatched().is_some() {
            return self.leave_gap();
        }
        let passed = playing.since.elapsed().as_secs_f64() * self.speed;
        let passed = SignedDuration::try_from_secs_f64(passed).unwrap_or(SignedDuration::MAX);
        let at = playing.from.checked_add(passed).unwrap_or(Timestamp::MAX);
        self.cursor.advance_to(at);
        if !self.cursor.has_more() && self.follow() && self.cursor.unwatched().is_none() {
            self.cursor.advance_to(at);
        }
        let is_past = self.cursor.at() < at && self.cursor.unwatched().is_none();
        // At the end of what is recorded it waits for more, if there is a recorder.
        if is_past && !self.cursor.has_more() && !self.is_written_now() {
            self.playing = None;
        } else if is_past {
            self.playing = Some(self.playing_on());
        }
        self.show(true, None);
    }

    fn leave_gap(&mut self) {
        let since = *self.in_gap_since.get_or_insert_with(Instant::now);
        if since.elapsed() < GAP {
            return;
        }
        self.in_gap_since = None;
        self.playing = self.cursor.step(true).then(|| self.playing_on());
        self.show(false, None);
    }

    // Whether the sample on the screen, behind which there is none, is a new one.
    fn is_written_now(&self) -> bool {
        let newest = self.cursor.place();
        newest.is_some_and(|newest| (self.now)().duration_since(newest.at).abs() <= LONGEST_SILENCE)
    }

    // Publishes the moment.
    fn show(&mut self, follows: bool, remark: Option<ReplayRemark>) {
        let moment = PlayedMoment {
            at: self.cursor.at(),
            recorded: self.cursor.span(),
            unwatched: self.cursor.unwatched().cloned(),
            is_playing: self.playing.is_some(),
            follows,
            remark,
            speed: self.speed,
            notes: self.notes(),
        };
        let place = self.cursor.place();
        let known = self.shown.take().filter(|(shown, _)| Some(*shown) == place);
        let sample = match known {
            Some((_, sample)) => Arc::unwrap_or_clone(sample),
            None => self.sample(place),
        };
        let sample = Arc::new(Sample { replay: Some(moment), ..sample });
        self.shown = place.map(|place| (place, Arc::clone(&sample)));
        self.publish.send_replace(Some(sample));
    }

    fn sample(&mut self, place: Option<SnapshotPlace>) -> Sample {
        let found = place.and_then(|place| Some((place, self.cursor.snapshot(place)?)));
        let Some((place, snapshot)) = found else {
            return self.nothing();
        };
        let trends = self.trends(place, &snapshot);
        Sample::of(snapshot, trends)
    }

    fn nothing(&self) -> Sample {
        let snapshot = Snapshot {
            taken_at: self.cursor.at(),
            host: String::new(),
            looker: None,
            databases: Vec::new(),
            pidfiles: Vec::new(),
            trace: None,
            sampling: None,
            unseen: Vec::new(),
        };
        Sample::of(snapshot, Vec::new())
    }

    fn trends(&mut self, place: SnapshotPlace, snapshot: &Snapshot) -> Vec<DatabaseTrend> {
        let paths: Vec<_> =
            snapshot.databases.iter().map(|it| it.path.to_string_lossy().into_owned()).collect();
        let before = self.cursor.earlier(place, GROWTH);
        let before = before.and_then(|before| Some((before, self.cursor.snapshot(before)?)));
        let minutes = past::minutes(&mut self.cursor, self.base, place, &paths);
        let trend = |(database, minute): (&crate::snapshot::Database, _)| {
            let growth = before.as_ref().and_then(|(before, snapshot)| {
                let earlier = snapshot.databases.iter().find(|it| it.path == database.path)?;
                let (then, now) = (earlier.files.wal.as_ref()?, database.files.wal.as_ref()?);
                let grown = now.bytes.checked_sub(then.bytes).filter(|_| now.inode == then.inode)?;
                #[expect(clippy::cast_precision_loss, reason = "a rate, shown rounded")]
                Some(grown as f64 / place.at.duration_since(before.at).as_secs_f64())
            });
            DatabaseTrend { wal_bytes_per_second: growth, frames_moved_per_second: None, minute }
        };
        snapshot.databases.iter().zip(minutes).map(trend).collect()
    }

    fn notes(&mut self) -> Arc<[RecordedNote]> {
        let Some(place) = self.cursor.place() else { return Arc::default() };
        let at = self.cursor.at();
        let frames = self.cursor.frames(place);
        let lines = frames.iter().flat_map(|frame| &frame.lines).filter(|line| line.stamp.at <= at);
        let mut notes: Vec<_> = lines.rev().filter_map(RecordedNote::of).take(NOTES).collect();
        notes.reverse();
        notes.into()
    }

    // Answers the newest request for the past. A newer command comes first.
    fn answer(&mut self, inbox: &Receiver<ReplayCommand>) {
        let Some((index, window)) = self.asked.filter(|_| inbox.is_empty()) else { return };
        let path = self.shown.as_ref().and_then(|(_, sample)| {
            Some(sample.snapshot.databases.get(index)?.path.to_string_lossy().into_owned())
        });
        let timeline = match path {
            Some(path) => {
                let part = PastPart { path: &path, window, newest: self.cursor.at(), here: None };
                let timeline = past::timeline(&self.cursor, self.base, &part, || inbox.is_empty());
                // It is asked again after that command.
                let Some(timeline) = timeline else { return };
                Some(Arc::new(timeline))
            }
            None => None,
        };
        self.asked = None;
        // A console that is gone asks for nothing.
        let _ = self.outbox.send(ReplayedTimeline { index, window, timeline });
    }
}
