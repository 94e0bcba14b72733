//! The bytes per second that processes write, from sample to sample.

use std::{
    collections::HashMap,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    observe::proc::ProcessFolder,
    snapshot::{Database, Process, ProcessId},
};

/// Time between two readings of a process: each takes as long as some of a sample.
const PAUSE: Duration = Duration::from_millis(1900);
/// The shortest time that a rate covers.
const SHORTEST: Duration = Duration::from_millis(900);

/// Tracks the bytes that each process has written.
#[derive(Debug, Default)]
pub struct WriteRates {
    known: HashMap<ProcessId, WrittenBytes>,
}

#[derive(Debug, Clone, Copy)]
struct WrittenBytes {
    at: Instant,
    bytes: u64,
    rate: Option<f64>,
}

impl WriteRates {
    /// Fills in the rates of the processes that can write to one of `databases`, as the `/proc` at `proc` shows them.
    pub fn fill_in(&mut self, databases: &mut [Database], proc: &Path, now: Instant) {
        let mut before = std::mem::take(&mut self.known);
        let writes = |process: &&mut Process| process.read_only == Some(false);
        for process in databases.iter_mut().flat_map(|database| &mut database.processes).filter(writes) {
            let Some(identity) = process.identity() else { continue };
            let known = self
                .known
                .get(&identity)
                .copied()
                .or_else(|| read(before.remove(&identity), &ProcessFolder::of(proc, process.pid), now));
            process.write_rate = known.and_then(|known| known.rate);
            self.known.extend(known.map(|known| (identity, known)));
        }
    }
}

fn read(before: Option<WrittenBytes>, folder: &ProcessFolder, now: Instant) -> Option<WrittenBytes> {
    let Some(before) = before else {
        return folder.written_bytes().map(|bytes| WrittenBytes { at: now, bytes, rate: None });
    };
    let elapsed = now.saturating_duration_since(before.at);
    let pause = if before.rate.is_some() { PAUSE } else { SHORTEST };
    if elapsed < pause {
        return Some(before);
    }
    let bytes = folder.written_bytes()?;
    #[expect(clippy::cast_precision_loss, reason = "a rate for people; 52 bits are plenty")]
    let rate = bytes.checked_sub(before.bytes).map(|more| more as f64 / elapsed.as_secs_f64());
    Some(WrittenBytes { at: now, bytes, rate })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{diagnose::fixture, observe::proc::fake::FakeProc};

    #[test]
    fn a_rate_needs_two_readings_of_one_process() {
        let proc = FakeProc::new();
        proc.process(fixture::WRITER);
        let (mut rates, start) = (WriteRates::default(), Instant::now());
        let mut rate = |bytes: u64, ms: u64, start_ticks| {
            proc.write(&format!("{}/io", fixture::WRITER), &format!("write_bytes: {bytes}\n"));
            let mut databases = [fixture::live(), fixture::live()];
            for database in &mut databases {
                database.processes[0].start_ticks = Some(start_ticks);
                database.processes[1].read_only = Some(true);
            }
            rates.fill_in(&mut databases, proc.path(), start + Duration::from_millis(ms));
            assert_eq!(databases[1].processes[1].write_rate, None, "it does not write");
            assert_eq!(databases[0].processes[0].write_rate, databases[1].processes[0].write_rate);
            databases[0].processes[0].write_rate
        };
        assert_eq!(rate(1_000, 0, 1), None);
        assert_eq!(rate(9_000, 500, 1), None, "too soon");
        assert_eq!(rate(9_000, 1_000, 1), Some(8_000.0));
        assert_eq!(rate(90_000, 2_000, 1), Some(8_000.0), "read again after a pause");
        assert_eq!(rate(13_000, 3_000, 1), Some(2_000.0));
        assert_eq!(rate(99_000, 6_000, 2), None, "another process with its PID");
    }
}
