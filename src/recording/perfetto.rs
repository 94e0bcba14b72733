//! `waltop export --perfetto`: a recording as a trace that <https://ui.perfetto.dev> opens. One track for each process
//! and kind of lock, so that no two slices of a track overlap.

use std::{
    io::{self, Write},
    path::Path,
};

use jiff::Timestamp;
use serde_json::Value;

use self::{
    json::JsonTrace,
    names::DatabaseNames,
    protobuf::ProtobufTrace,
    tracks::{DATABASES, ProcessNumbers, TrackNumber, TrackNumbers},
};
use super::{
    line::{LogLine, RecordedProcess},
    reader::{Recording, RecordingError},
    redaction::Redaction,
    spans::{Span, SpanKind, SpanReader},
};
use crate::{history::SampledLock, snapshot::Finding};

mod json;
mod names;
mod protobuf;
mod tracks;

/// The formats of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum PerfettoFormat {
    /// The Trace Event Format, which the tracing page of Chrome opens as well.
    Json,
    /// Perfetto's own format, with `TrackEvent`s.
    Protobuf,
}

impl PerfettoFormat {
    /// The usual one for a file of this name.
    pub fn of_file(file: &Path) -> Self {
        let ending = file.extension().and_then(|it| it.to_str());
        match ending {
            Some("pftrace" | "perfetto-trace") => Self::Protobuf,
            _ => Self::Json,
        }
    }
}

/// What is exported of a recording, and how.
#[derive(Debug, Clone, Copy)]
pub struct PerfettoExport {
    pub from: Timestamp,
    pub to: Timestamp,
    pub redaction: Redaction,
    pub format: PerfettoFormat,
}

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error("cannot write the export: {0}")]
    Io(#[from] io::Error),
}

/// A format of traces. Each call writes one event.
trait TraceFormat {
    /// The exported time begins at `from`. A slice that goes on there begins earlier.
    fn begin(&mut self, from: Timestamp) -> io::Result<()>;
    fn process(&mut self, number: u64, name: &str) -> io::Result<()>;
    fn track(&mut self, track: TrackNumber, name: &str) -> io::Result<()>;
    fn slice(&mut self, track: TrackNumber, slice: &TraceSlice) -> io::Result<()>;
    fn instant(&mut self, track: TrackNumber, instant: &TraceInstant) -> io::Result<()>;
    fn counter(&mut self, counter: &TraceCounter) -> io::Result<()>;
    fn end(&mut self) -> io::Result<()>;
}

/// Something that lasted, in microseconds since 1970.
struct TraceSlice {
    name: String,
    category: &'static str,
    began: i64,
    ended: i64,
    details: Vec<(&'static str, Value)>,
}

struct TraceInstant {
    name: String,
    category: &'static str,
    /// In microseconds since 1970.
    at: i64,
    details: Vec<(&'static str, Value)>,
}

/// A value of a counter.
struct TraceCounter {
    name: String,
    unit: CounterUnit,
    /// In microseconds since 1970.
    at: i64,
    value: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum CounterUnit {
    Bytes,
    Frames,
}

impl PerfettoExport {
    /// Writes what `recording` says of that time. Returns the number of events.
    ///
    /// # Errors
    ///
    /// The recording cannot be read, or `out` fails.
    pub fn write(&self, recording: &Recording, out: &mut dyn Write) -> Result<u64, ExportError> {
        let events = match self.format {
            PerfettoFormat::Json => self.write_as(&mut JsonTrace::new(out), recording)?,
            PerfettoFormat::Protobuf => self.write_as(&mut ProtobufTrace::new(out), recording)?,
        };
        out.flush()?;
        Ok(events)
    }

    fn write_as(&self, format: &mut dyn TraceFormat, recording: &Recording) -> Result<u64, ExportError> {
        let mut trace = TraceWriter::new(format, recording.databases());
        trace.begin(self.from)?;
        let (mut reader, mut done) = (SpanReader::new(self.redaction), Vec::new());
        let is_wanted = |span: &Span| span.overlaps(self.from, self.to);
        let is_in = |line: &LogLine| (self.from..=self.to).contains(&line.at);
        recording.for_each(self.from, self.to, |frame| {
            for line in frame.events() {
                reader.add(&line, &mut |span| done.push(span));
                for span in done.drain(..).filter(is_wanted) {
                    trace.span(&span)?;
                }
            }
            // A frame has lines of a whole minute.
            for line in frame.logs().filter(is_in) {
                trace.log(&line)?;
            }
            Ok::<_, ExportError>(())
        })?;
        reader.finish(&mut |span| done.push(span));
        for span in done.drain(..).filter(is_wanted) {
            trace.span(&span)?;
        }
        trace.format.end()?;
        Ok(trace.events)
    }
}

struct TraceWriter<'a> {
    format: &'a mut dyn TraceFormat,
    events: u64,
    databases: DatabaseNames,
    processes: ProcessNumbers,
    tracks: TrackNumbers,
}

impl<'a> TraceWriter<'a> {
    fn new(format: &'a mut dyn TraceFormat, databases: &[String]) -> Self {
        let (processes, tracks) = (ProcessNumbers::default(), TrackNumbers::default());
        Self { format, events: 0, databases: DatabaseNames::of(databases), processes, tracks }
    }

    fn begin(&mut self, from: Timestamp) -> io::Result<()> {
        self.format.begin(from)?;
        self.events += 1;
        self.format.process(DATABASES, "databases")
    }

    fn log(&mut self, line: &LogLine) -> io::Result<()> {
        for database in &line.snapshot.databases {
            let name = self.databases.name(&database.path.to_string_lossy());
            let bytes = database.files.wal.as_ref().map(|file| file.bytes);
            let pending = database.wal.as_ref().and_then(|wal| wal.pending).map(u64::from);
            let counters = [
                (format!("{name}: -wal"), CounterUnit::Bytes, bytes),
                (format!("{name}: waiting frames"), CounterUnit::Frames, pending),
            ];
            for (name, unit, value) in counters {
                let Some(value) = value else { continue };
                self.events += 1;
                self.format.counter(&TraceCounter { name, unit, at: line.at.as_microsecond(), value })?;
            }
        }
        Ok(())
    }

    fn span(&mut self, span: &Span) -> io::Result<()> {
        let database =
            span.database.as_deref().map_or_else(|| "all".to_owned(), |it| self.databases.name(it));
        let (track, name) = match &span.kind {
            SpanKind::Hold(SampledLock::Write) => ("write lock", "write".to_owned()),
            SpanKind::Hold(SampledLock::Checkpoint) => ("checkpoint lock", "checkpoint".to_owned()),
            SpanKind::Hold(SampledLock::Recover) => ("recovery lock", "recovery".to_owned()),
            SpanKind::Wait { got: true } => ("waits", "waits".to_owned()),
            SpanKind::Wait { got: false } => ("waits", "waits, did not get it".to_owned()),
            SpanKind::MayWait => ("may wait", "may wait".to_owned()),
            SpanKind::Pin => ("pins", "keeps frames".to_owned()),
            SpanKind::Gap(reason) => ("gaps", format!("not watched: {reason}")),
            SpanKind::Finding(finding) => return self.finding(span, &database, finding),
        };
        let process = self.process(span.who.as_ref())?;
        let began = span.began.as_microsecond();
        // A slice of length 0 is not drawn.
        let ended = span.ended.as_microsecond().max(began + 1);
        let name_of_track = format!("{database}: {track}");
        let Some(place) = self.place(process, &name_of_track, (began, ended))? else { return Ok(()) };
        let details = vec![("exact", span.exact.into()), ("goes_on", span.goes_on.into())];
        self.events += 1;
        self.format.slice(place, &TraceSlice { name, category: track, began, ended, details })
    }

    // A track that is free from the one time to the other; `None` if there are too many.
    fn place(&mut self, process: u64, name: &str, time: (i64, i64)) -> io::Result<Option<TrackNumber>> {
        let Some(place) = self.tracks.place(process, name, time.0, time.1) else { return Ok(None) };
        if place.is_new {
            self.events += 1;
            self.format.track(place.track, name)?;
        }
        Ok(Some(place.track))
    }

    fn finding(&mut self, span: &Span, database: &str, finding: &Finding) -> io::Result<()> {
        let details = vec![
            ("database", database.into()),
            ("severity", finding.severity.to_string().into()),
            ("message", finding.message.as_str().into()),
            ("ms", span.ms().into()),
        ];
        let (name, at) = (finding.kind.to_string(), span.began.as_microsecond());
        // A moment takes no room: all are on one track.
        let track = self.place(DATABASES, &format!("{database}: findings"), (i64::MAX, i64::MIN))?;
        let Some(track) = track else { return Ok(()) };
        self.events += 1;
        self.format.instant(track, &TraceInstant { name, category: "finding", at, details })
    }

    fn process(&mut self, who: Option<&RecordedProcess>) -> io::Result<u64> {
        let Some(who) = who else { return Ok(DATABASES) };
        let (number, is_new) = self.processes.number(who);
        if is_new {
            self.events += 1;
            // Where the number is the PID, it is shown beside the name.
            let is_pid = who.pid.is_some_and(|pid| u64::try_from(pid) == Ok(number)) && !who.name.is_empty();
            let name = if is_pid { who.name.clone() } else { who.to_string() };
            self.format.process(number, &name)?;
        }
        Ok(number)
    }
}

#[cfg(test)]
mod tests;
