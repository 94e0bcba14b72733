//! What changed from one sample of a database to the next, as events.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::line::{RecordedProcess, RecordingEvent};
use crate::{
    snapshot::{Database, FileFacts, Finding, FindingKind, Process, Severity},
    units,
};

/// The state of one database in its newest sample.
#[derive(Debug, Default)]
pub struct DatabaseChanges {
    findings: BTreeMap<FindingKey, (Severity, Timestamp)>,
    processes: BTreeMap<(i32, Option<u64>), RecordedProcess>,
    pins: Vec<(RecordedProcess, Timestamp)>,
    may_wait: Vec<RecordedProcess>,
    files: BTreeMap<&'static str, (String, u64)>,
    /// The newest batch of each run.
    batches: BTreeMap<String, Timestamp>,
}

/// A finding: its kind, its process, and its number among equal ones.
type FindingKey = (FindingKind, Option<i32>, usize);

impl DatabaseChanges {
    /// The events between the sample before and `database`, which was sampled at `at`.
    pub fn note(&mut self, database: &Database, at: Timestamp) -> Vec<RecordingEvent> {
        let mut events = Vec::new();
        self.note_files(database, &mut events);
        // A sample that misses processes shows no end.
        if database.is_complete {
            self.note_processes(&database.processes, &mut events);
            self.note_pins(database, at, &mut events);
            self.note_may_wait(database, &mut events);
        }
        self.note_batches(database, &mut events);
        self.note_findings(&database.findings, at, &mut events);
        events
    }

    fn note_files(&mut self, database: &Database, events: &mut Vec<RecordingEvent>) {
        let files = &database.files;
        for (suffix, facts) in [("", &files.db), ("-wal", &files.wal), ("-shm", &files.shm)] {
            let Some(FileFacts { device, inode, .. }) = facts else { continue };
            let before = self.files.insert(suffix, (device.clone(), *inode));
            if before.is_some_and(|before| before != (device.clone(), *inode)) {
                let path = format!("{}{suffix}", database.path.display());
                events.push(RecordingEvent::FileReplaced { path });
            }
        }
    }

    fn note_processes(&mut self, processes: &[Process], events: &mut Vec<RecordingEvent>) {
        let now: BTreeMap<_, _> =
            processes.iter().map(|it| ((it.pid, it.start_ticks), RecordedProcess::from(it))).collect();
        for (key, who) in &self.processes {
            if !now.contains_key(key) {
                events.push(RecordingEvent::ProcessGone { who: who.clone() });
            }
        }
        for process in processes {
            if !self.processes.contains_key(&(process.pid, process.start_ticks)) {
                events.push(RecordingEvent::ProcessSeen { process: Box::new(process.clone()) });
            }
        }
        self.processes = now;
    }

    fn note_pins(&mut self, database: &Database, at: Timestamp, events: &mut Vec<RecordingEvent>) {
        let mut before = std::mem::take(&mut self.pins);
        for reader in database.locks.pinning_readers(database.wal.as_ref()) {
            let who = RecordedProcess::of(database, reader.pid, reader.label.as_deref());
            if self.pins.iter().any(|(known, _)| *known == who) {
                continue;
            }
            if let Some(known) = before.iter().position(|(known, _)| *known == who) {
                self.pins.push(before.swap_remove(known));
            } else {
                events.push(RecordingEvent::PinBegun { who: who.clone(), frame: reader.frame });
                self.pins.push((who, at));
            }
        }
        for (who, since) in before {
            events.push(RecordingEvent::PinEnded { who, pinned_ms: since_ms(since, at) });
        }
    }

    fn note_may_wait(&mut self, database: &Database, events: &mut Vec<RecordingEvent>) {
        let waiters = &database.locks.possible_waiters;
        let who = |pid| RecordedProcess::of(database, Some(pid), None);
        let now: Vec<_> = waiters.iter().map(|waiter| who(waiter.pid)).collect();
        let ended = self.may_wait.iter().filter(|who| !now.contains(who));
        events.extend(ended.map(|who| RecordingEvent::MayWaitEnded { who: who.clone() }));
        let begun = now.iter().filter(|who| !self.may_wait.contains(who));
        events.extend(begun.map(|who| RecordingEvent::MayWaitBegun { who: who.clone() }));
        self.may_wait = now;
    }

    fn note_batches(&mut self, database: &Database, events: &mut Vec<RecordingEvent>) {
        for ingestion in &database.ingestions {
            let newest = ingestion.recent_batches.last().map(|batch| batch.at);
            // What was committed before the first sample of a run is history.
            let Some(newest) = newest else { continue };
            let before = self.batches.insert(ingestion.run.clone(), newest);
            if before.is_none() && !ingestion.is_running() {
                continue;
            }
            let new = ingestion.recent_batches.iter().filter(|batch| before.is_none_or(|it| batch.at > it));
            events.extend(new.map(|batch| RecordingEvent::Batch {
                run: ingestion.run.clone(),
                pid: ingestion.pid,
                batch: *batch,
            }));
        }
        self.batches.retain(|run, _| database.ingestions.iter().any(|it| it.run == *run));
    }

    fn note_findings(&mut self, findings: &[Finding], at: Timestamp, events: &mut Vec<RecordingEvent>) {
        let mut before = std::mem::take(&mut self.findings);
        for finding in findings {
            let equal = (finding.kind, finding.pid, 0)..=(finding.kind, finding.pid, usize::MAX);
            let number = self.findings.range(equal).count();
            let key = (finding.kind, finding.pid, number);
            let known = before.remove(&key);
            if known.is_none_or(|(severity, _)| severity != finding.severity) {
                events.push(RecordingEvent::FindingOn { finding: Box::new(finding.clone()) });
            }
            let since = known.map_or(at, |(_, since)| since);
            self.findings.insert(key, (finding.severity, since));
        }
        for ((kind, pid, _), (_, since)) in before {
            events.push(RecordingEvent::FindingOff { kind, pid, lasted_ms: since_ms(since, at) });
        }
    }
}

// The clock may have been set back.
fn since_ms(since: Timestamp, at: Timestamp) -> f64 {
    units::milliseconds(at.duration_since(since).try_into().unwrap_or_default())
}
