//! A recording as a stream of lines for a reader at the other end of a pipe. A slow reader never delays a sample: what it
//! has not taken by the next one is dropped, and a line says so.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, PoisonError},
};

use jiff::Timestamp;
use serde::Serialize;

use super::{
    line::{GapReason, RecordingEvent, RecordingHeader, RecordingLine, SnapshotEvent, Stamp},
    recorder::RecorderHost,
    tick::{RecordedDatabases, RecorderTick},
};
use crate::{history::LockHistory, json, snapshot::Snapshot, threads};

/// Makes the lines of each sample.
#[derive(Debug)]
pub struct LineStream {
    host: RecorderHost,
    databases: RecordedDatabases,
    outbox: Arc<StreamOutbox>,
    seq: u64,
    /// The time of the newest sample that was taken, and of the newest one at all.
    taken: Option<Timestamp>,
    newest: Option<Timestamp>,
}

/// The lines of the newest sample, until they are taken.
#[derive(Debug, Default)]
pub struct StreamOutbox {
    waiting: Mutex<Option<Vec<u8>>>,
    arrived: Condvar,
}

impl StreamOutbox {
    /// Waits for the lines of a sample.
    pub fn next(&self) -> Vec<u8> {
        let mut waiting = threads::lock(&self.waiting);
        loop {
            if let Some(lines) = waiting.take() {
                return lines;
            }
            waiting = self.arrived.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn put(&self, lines: Vec<u8>) {
        *threads::lock(&self.waiting) = Some(lines);
        self.arrived.notify_one();
    }

    // Takes back what waits; whether there was anything.
    fn withdraw(&self) -> bool {
        threads::lock(&self.waiting).take().is_some()
    }
}

impl LineStream {
    /// A stream into the returned outbox.
    pub fn new(host: RecorderHost) -> (Self, Arc<StreamOutbox>) {
        let outbox = Arc::<StreamOutbox>::default();
        let databases = RecordedDatabases::default();
        let stream = Self { host, databases, outbox: Arc::clone(&outbox), seq: 1, taken: None, newest: None };
        (stream, outbox)
    }

    /// The first line of a stream: the version of the format and of the program, the host, and the databases.
    ///
    /// # Errors
    ///
    /// None that occurs: JSON has a form for all of it.
    pub fn header(header: RecordingHeader) -> io::Result<String> {
        let event = RecordingEvent::Header(header);
        line(&RecordingLine { seq: 1, stamp: Stamp::now(), exact: false, db: None, event })
    }

    /// Puts the lines of `snapshot` into the outbox: what has happened since the sample before, then the sample.
    pub fn tick(&mut self, snapshot: &Snapshot, histories: &[Arc<Mutex<LockHistory>>]) {
        self.tick_at(RecorderTick::now(), snapshot, histories);
    }

    fn tick_at(&mut self, now: RecorderTick, snapshot: &Snapshot, histories: &[Arc<Mutex<LockHistory>>]) {
        let at = now.stamp.at;
        let before = self.newest.replace(at);
        let is_dropped = self.outbox.withdraw();
        if !is_dropped {
            self.taken = before;
        }
        let gap = before.filter(|_| is_dropped).map(|first| (self.taken.unwrap_or(first), at));
        self.databases.set(snapshot, histories);
        match self.lines(now, snapshot, gap) {
            Ok(lines) => self.outbox.put(lines),
            // The reader sees that a sample is missing.
            Err(error) => log::error!("a sample has no JSON form: {error}"),
        }
    }

    fn lines(
        &mut self,
        now: RecorderTick,
        snapshot: &Snapshot,
        gap: Option<(Timestamp, Timestamp)>,
    ) -> io::Result<Vec<u8>> {
        let (exact, stamp, seq) = (snapshot.trace.is_some(), now.stamp, &mut self.seq);
        let mut lines = Vec::new();
        let mut add = |stamp, db, event| {
            *seq += 1;
            lines.extend(line(&RecordingLine { seq: *seq, stamp, exact, db, event })?.into_bytes());
            io::Result::Ok(())
        };
        if let Some((from, to)) = gap {
            add(stamp, None, RecordingEvent::Gap { from, to, reason: GapReason::Link })?;
        }
        self.databases.write_changes(snapshot, now, self.host.every, &mut add)?;
        *seq += 1;
        let event = SnapshotEvent { snapshot };
        lines.extend(line(&RecordingLine { seq: *seq, stamp, exact, db: None, event })?.into_bytes());
        Ok(lines)
    }
}

fn line<E: Serialize>(line: &RecordingLine<E>) -> io::Result<String> {
    Ok(json::line(line).map_err(io::Error::other)? + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        diagnose::fixture,
        recording::{line_text, open_minute},
    };

    fn host() -> RecorderHost {
        RecorderHost::default()
    }

    fn parsed(lines: &[u8]) -> Vec<RecordingLine> {
        assert!(lines.ends_with(b"\n"));
        let parsed: Vec<_> = open_minute::parsed(lines).collect();
        assert_eq!(parsed.len(), line_text::split(lines).filter(|line| !line.is_empty()).count());
        parsed
    }

    #[test]
    fn a_reader_that_keeps_up_gets_each_sample_and_no_gap() {
        let (mut stream, outbox) = LineStream::new(host());
        let histories = [Arc::default()];
        for _ in 0..3 {
            stream.tick(&fixture::snapshot(vec![fixture::live()]), &histories);
            let lines = parsed(&outbox.next());
            assert!(matches!(lines.last().map(|it| &it.event), Some(RecordingEvent::Snapshot { .. })));
            assert!(!lines.iter().any(|it| matches!(it.event, RecordingEvent::Gap { .. })));
        }
    }

    #[test]
    fn a_slow_reader_gets_the_newest_sample_and_the_time_that_it_missed() {
        let (mut stream, outbox) = LineStream::new(host());
        let histories = [Arc::default()];
        let mut tick = || stream.tick(&fixture::snapshot(vec![fixture::live()]), &histories);
        tick();
        let first = parsed(&outbox.next()).last().map(|it| it.stamp.at).expect("a sample");
        for _ in 0..100 {
            tick();
        }
        let lines = parsed(&outbox.next());
        let snapshots = lines.iter().filter(|it| matches!(it.event, RecordingEvent::Snapshot { .. }));
        assert_eq!(snapshots.count(), 1, "the newest alone");
        let newest = lines.last().map(|it| it.stamp.at).expect("a sample");
        let RecordingEvent::Gap { from, to, reason } = &lines[0].event else { panic!("{:?}", lines[0]) };
        assert_eq!((*from, *to, *reason), (first, newest, GapReason::Link));
        assert!(reason.is_blind());
        tick();
        assert!(!parsed(&outbox.next()).iter().any(|it| matches!(it.event, RecordingEvent::Gap { .. })));
    }

    #[test]
    fn the_first_line_says_which_program_and_format_it_is() {
        let text = LineStream::header(host().header("web1", vec!["/srv/notes.db".to_owned()])).expect("JSON");
        let RecordingEvent::Header(header) = parsed(text.as_bytes()).remove(0).event else {
            panic!("{text}")
        };
        assert_eq!((header.host.as_str(), header.waltop.as_str()), ("web1", env!("CARGO_PKG_VERSION")));
    }
}
