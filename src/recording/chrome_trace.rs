//! `waltop export --perfetto`: a recording in the Trace Event Format, as JSON that
//! <https://ui.perfetto.dev> and the tracing page of Chrome open
//! (<https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>). One track for each process and
//! kind of lock, so that no two slices of a track overlap.

use std::{
    collections::HashMap,
    io::{self, Write},
    rc::Rc,
};

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{
    line::{LogLine, RecordedProcess},
    reader::{Recording, RecordingError},
    redaction::Redaction,
    spans::{Span, SpanKind, SpanReader},
};
use crate::{history::SampledLock, json, snapshot::Finding};

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error("cannot write the export: {0}")]
    Io(#[from] io::Error),
}

/// The process of what is about no process: findings, gaps and counters.
const DATABASES: u64 = 1;
/// Tracks of one kind and process at the same time, at most; further slices are left out.
const MOST_TRACKS: usize = 16;

/// Writes what `recording` says of the time between `from` and `to`. Returns the number of events.
///
/// # Errors
///
/// The recording cannot be read, or `out` fails.
pub fn export(
    recording: &Recording,
    from: Timestamp,
    to: Timestamp,
    redaction: Redaction,
    out: &mut dyn Write,
) -> Result<u64, ExportError> {
    let mut trace = TraceWriter::new(out);
    trace.begin()?;
    let (mut reader, mut done) = (SpanReader::new(redaction), Vec::new());
    let is_wanted = |span: &Span| span.overlaps(from, to);
    recording.for_each(from, to, |frame| {
        for line in frame.events() {
            reader.add(&line, &mut |span| done.push(span));
            for span in done.drain(..).filter(is_wanted) {
                trace.span(&span)?;
            }
        }
        for LogLine { at, snapshot } in frame.logs() {
            for database in &snapshot.databases {
                let name = database.path.file_name().unwrap_or_default().to_string_lossy();
                let bytes = database.files.wal.as_ref().map(|file| file.bytes);
                let pending = database.wal.as_ref().and_then(|wal| wal.pending).map(u64::from);
                trace.counter(at, &format!("{name}: -wal"), "bytes", bytes)?;
                trace.counter(at, &format!("{name}: waiting frames"), "frames", pending)?;
            }
        }
        Ok::<_, ExportError>(())
    })?;
    reader.finish(&mut |span| done.push(span));
    for span in done.drain(..).filter(is_wanted) {
        trace.span(&span)?;
    }
    Ok(trace.end()?)
}

struct TraceWriter<'a> {
    out: &'a mut dyn Write,
    events: u64,
    /// The number of each process in the trace.
    processes: HashMap<RecordedProcess, u64>,
    /// The ends of the last slices of each kind of a process, one for each of its tracks.
    tracks: HashMap<(u64, Rc<str>), (u64, Vec<Timestamp>)>,
    next_track: u64,
}

impl<'a> TraceWriter<'a> {
    fn new(out: &'a mut dyn Write) -> Self {
        Self { out, events: 0, processes: HashMap::new(), tracks: HashMap::new(), next_track: 1 }
    }

    fn begin(&mut self) -> io::Result<()> {
        self.out.write_all(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n")?;
        self.event(
            &json!({ "ph": "M", "name": "process_name", "pid": DATABASES, "args": { "name": "databases" } }),
        )
    }

    fn end(&mut self) -> io::Result<u64> {
        self.out.write_all(b"\n]}\n")?;
        self.out.flush()?;
        Ok(self.events)
    }

    fn event(&mut self, event: &Value) -> io::Result<()> {
        if self.events > 0 {
            self.out.write_all(b",\n")?;
        }
        self.events += 1;
        self.out.write_all(json::line(event).map_err(io::Error::other)?.as_bytes())
    }

    fn counter(&mut self, at: Timestamp, name: &str, unit: &str, value: Option<u64>) -> io::Result<()> {
        let Some(value) = value else { return Ok(()) };
        let ts = at.as_microsecond();
        self.event(&json!({ "ph": "C", "name": name, "pid": DATABASES, "ts": ts, "args": { unit: value } }))
    }

    fn span(&mut self, span: &Span) -> io::Result<()> {
        let database = span.database.as_deref().map_or("all", |path| path.rsplit('/').next().unwrap_or(path));
        let (track, name) = match &span.kind {
            SpanKind::Hold(SampledLock::Write) => ("write lock", "write".to_owned()),
            SpanKind::Hold(SampledLock::Checkpoint) => ("checkpoint lock", "checkpoint".to_owned()),
            SpanKind::Hold(SampledLock::Recover) => ("recovery lock", "recovery".to_owned()),
            SpanKind::Wait { got: true } => ("waits", "waits".to_owned()),
            SpanKind::Wait { got: false } => ("waits", "waits, did not get it".to_owned()),
            SpanKind::MayWait => ("may wait", "may wait".to_owned()),
            SpanKind::Pin => ("pins", "keeps frames".to_owned()),
            SpanKind::Gap(reason) => ("gaps", format!("not watched: {reason}")),
            SpanKind::Finding(finding) => return self.finding(span, database, finding),
        };
        let pid = self.process(span.who.as_ref())?;
        let Some(tid) = self.track(pid, &format!("{database}: {track}"), span)? else { return Ok(()) };
        let (ts, dur) = (span.began.as_microsecond(), micros(span));
        let args = json!({ "exact": span.exact, "goes_on": span.goes_on });
        self.event(&json!({
            "ph": "X", "name": name, "cat": track, "pid": pid, "tid": tid, "ts": ts, "dur": dur, "args": args
        }))
    }

    fn finding(&mut self, span: &Span, database: &str, finding: &Finding) -> io::Result<()> {
        let args = json!({
            "database": database, "severity": finding.severity, "message": finding.message, "ms": span.ms()
        });
        self.event(&json!({
            "ph": "i", "s": "g", "name": finding.kind, "cat": "finding", "pid": DATABASES, "tid": 0,
            "ts": span.began.as_microsecond(), "args": args
        }))
    }

    fn process(&mut self, who: Option<&RecordedProcess>) -> io::Result<u64> {
        let Some(who) = who else { return Ok(DATABASES) };
        // Two sources may differ in whether they know the start.
        let key = RecordedProcess { start: None, ..who.clone() };
        if let Some(pid) = self.processes.get(&key) {
            return Ok(*pid);
        }
        let pid = DATABASES + 1 + self.processes.len() as u64;
        self.processes.insert(key, pid);
        let name = who.to_string();
        self.event(&json!({ "ph": "M", "name": "process_name", "pid": pid, "args": { "name": name } }))?;
        Ok(pid)
    }

    // The number of a track on which `span` overlaps no other. Spans come in the order of their ends, as they are read.
    fn track(&mut self, pid: u64, name: &str, span: &Span) -> io::Result<Option<u64>> {
        let key = (pid, Rc::from(name));
        let is_new = !self.tracks.contains_key(&key);
        let next = self.next_track;
        let (first, ends) = self.tracks.entry(key).or_insert((next, Vec::new()));
        let (first, free) = (*first, ends.iter().position(|end| *end <= span.began));
        let number = free.unwrap_or(ends.len());
        if number == MOST_TRACKS {
            return Ok(None);
        }
        if free.is_none() {
            ends.push(span.ended);
        } else {
            ends[number] = span.ended;
        }
        let tid = first + number as u64;
        if is_new {
            self.next_track += MOST_TRACKS as u64;
        }
        if free.is_none() {
            self.event(&json!({
                "ph": "M", "name": "thread_name", "pid": pid, "tid": tid, "args": { "name": name }
            }))?;
        }
        Ok(Some(tid))
    }
}

// A slice of length 0 is not drawn.
fn micros(span: &Span) -> i64 {
    (span.ended.as_microsecond() - span.began.as_microsecond()).max(1)
}
