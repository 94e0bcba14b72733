//! Traces in the Trace Event Format, as JSON
//! (<https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>).

use std::io::{self, Write};

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{CounterUnit, DATABASES, TraceCounter, TraceFormat, TraceInstant, TraceSlice, TrackNumber};
use crate::json;

/// A trace that is being written. `pid` is the PID if it can be, `tid` the number of a track.
pub struct JsonTrace<'a> {
    out: &'a mut dyn Write,
    has_event: bool,
}

impl<'a> JsonTrace<'a> {
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self { out, has_event: false }
    }

    fn event(&mut self, event: &Value) -> io::Result<()> {
        if std::mem::replace(&mut self.has_event, true) {
            self.out.write_all(b",\n")?;
        }
        self.out.write_all(json::line(event).map_err(io::Error::other)?.as_bytes())
    }
}

impl TraceFormat for JsonTrace<'_> {
    fn begin(&mut self, _from: Timestamp) -> io::Result<()> {
        self.out.write_all(b"{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n")
    }

    fn process(&mut self, number: u64, name: &str) -> io::Result<()> {
        self.event(&json!({ "ph": "M", "name": "process_name", "pid": number, "args": { "name": name } }))
    }

    fn track(&mut self, track: TrackNumber, name: &str) -> io::Result<()> {
        let TrackNumber { process, number } = track;
        self.event(&json!({
            "ph": "M", "name": "thread_name", "pid": process, "tid": number, "args": { "name": name }
        }))
    }

    fn slice(&mut self, track: TrackNumber, slice: &TraceSlice) -> io::Result<()> {
        self.event(&json!({
            "ph": "X", "name": slice.name, "cat": slice.category, "pid": track.process, "tid": track.number,
            "ts": slice.began, "dur": slice.ended - slice.began, "args": arguments(&slice.details)
        }))
    }

    fn instant(&mut self, track: TrackNumber, instant: &TraceInstant) -> io::Result<()> {
        self.event(&json!({
            "ph": "i", "s": "t", "name": instant.name, "cat": instant.category, "pid": track.process,
            "tid": track.number, "ts": instant.at, "args": arguments(&instant.details)
        }))
    }

    fn counter(&mut self, counter: &TraceCounter) -> io::Result<()> {
        let unit = match counter.unit {
            CounterUnit::Bytes => "bytes",
            CounterUnit::Frames => "frames",
        };
        self.event(&json!({
            "ph": "C", "name": counter.name, "pid": DATABASES, "ts": counter.at, "args": { unit: counter.value }
        }))
    }

    fn end(&mut self) -> io::Result<()> {
        self.out.write_all(b"\n]}\n")
    }
}

fn arguments(details: &[(&'static str, Value)]) -> Map<String, Value> {
    details.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}
