//! Traces in Perfetto's own format (<https://perfetto.dev/docs/reference/synthetic-track-event>).

use std::{
    collections::HashMap,
    io::{self, Write},
};

use jiff::Timestamp;
use prost::Message;
use serde_json::Value;

use super::{CounterUnit, DATABASES, TraceCounter, TraceFormat, TraceInstant, TraceSlice, TrackNumber};

mod messages;

use messages::{
    Clock, ClockSnapshot, CounterDescriptor, CounterUnitCode, DebugAnnotation, EventType, ProcessDescriptor,
    REALTIME, Trace, TracePacket, TrackDescriptor, TrackEvent,
};

/// All packets are of one sequence.
const SEQUENCE: u32 = 1;
/// Numbers of the tracks of counters begin here, above those of slices.
const COUNTERS: u64 = 1 << 31;

/// A trace that is being written. Times are those of the wall clock.
pub struct ProtobufTrace<'a> {
    out: &'a mut dyn Write,
    /// The tracks of counters, by name.
    counters: HashMap<String, u64>,
}

impl<'a> ProtobufTrace<'a> {
    pub fn new(out: &'a mut dyn Write) -> Self {
        Self { out, counters: HashMap::new() }
    }

    // A trace of one packet: one behind the other they are one trace.
    fn packet(&mut self, packet: TracePacket) -> io::Result<()> {
        self.out.write_all(&Trace { packet: vec![packet] }.encode_to_vec())
    }

    fn describe(&mut self, track: TrackDescriptor) -> io::Result<()> {
        self.packet(TracePacket { track_descriptor: Some(track), ..TracePacket::default() })
    }

    fn event(&mut self, at: i64, event: TrackEvent) -> io::Result<()> {
        self.packet(TracePacket {
            timestamp: Some(nanoseconds(at)),
            trusted_packet_sequence_id: Some(SEQUENCE),
            track_event: Some(event),
            ..TracePacket::default()
        })
    }

    // The track of the counter `name`, which is described before its first value.
    fn counter_track(&mut self, name: &str, counter: CounterDescriptor) -> io::Result<u64> {
        if let Some(uuid) = self.counters.get(name) {
            return Ok(*uuid);
        }
        let track = TrackNumber { process: DATABASES, number: COUNTERS + self.counters.len() as u64 };
        let uuid = uuid(track);
        self.counters.insert(name.to_owned(), uuid);
        self.describe(TrackDescriptor { counter: Some(counter), ..below(DATABASES, uuid, name) })?;
        Ok(uuid)
    }
}

impl TraceFormat for ProtobufTrace<'_> {
    fn begin(&mut self, from: Timestamp) -> io::Result<()> {
        let clock = Clock { clock_id: Some(REALTIME), timestamp: Some(nanoseconds(from.as_microsecond())) };
        let clocks = ClockSnapshot { clocks: vec![clock], primary_trace_clock: Some(REALTIME) };
        self.packet(TracePacket {
            clock_snapshot: Some(clocks),
            trusted_packet_sequence_id: Some(SEQUENCE),
            ..TracePacket::default()
        })
    }

    fn process(&mut self, number: u64, name: &str) -> io::Result<()> {
        let (pid, name) = (i32::try_from(number).ok(), Some(name.to_owned()));
        let described = TrackDescriptor {
            uuid: Some(uuid(TrackNumber { process: number, number: 0 })),
            ..TrackDescriptor::default()
        };
        // Those of the databases are no process.
        self.describe(if number == DATABASES {
            TrackDescriptor { name, ..described }
        } else {
            TrackDescriptor { process: Some(ProcessDescriptor { pid, process_name: name }), ..described }
        })
    }

    fn track(&mut self, track: TrackNumber, name: &str) -> io::Result<()> {
        self.describe(below(track.process, uuid(track), name))
    }

    fn slice(&mut self, track: TrackNumber, slice: &TraceSlice) -> io::Result<()> {
        let track_uuid = Some(uuid(track));
        let begin = TrackEvent {
            track_uuid,
            name: Some(slice.name.clone()),
            categories: vec![slice.category.to_owned()],
            debug_annotations: annotations(&slice.details),
            ..TrackEvent::of(EventType::SliceBegin)
        };
        self.event(slice.began, begin)?;
        self.event(slice.ended, TrackEvent { track_uuid, ..TrackEvent::of(EventType::SliceEnd) })
    }

    fn instant(&mut self, track: TrackNumber, instant: &TraceInstant) -> io::Result<()> {
        let event = TrackEvent {
            track_uuid: Some(uuid(track)),
            name: Some(instant.name.clone()),
            categories: vec![instant.category.to_owned()],
            debug_annotations: annotations(&instant.details),
            ..TrackEvent::of(EventType::Instant)
        };
        self.event(instant.at, event)
    }

    fn counter(&mut self, counter: &TraceCounter) -> io::Result<()> {
        let (unit, unit_name) = match counter.unit {
            CounterUnit::Bytes => (CounterUnitCode::SizeBytes, None),
            CounterUnit::Frames => (CounterUnitCode::Count, Some("frames".to_owned())),
        };
        let described = CounterDescriptor { unit: Some(unit as i32), unit_name };
        let track = self.counter_track(&counter.name, described)?;
        let event = TrackEvent {
            track_uuid: Some(track),
            counter_value: Some(i64::try_from(counter.value).unwrap_or(i64::MAX)),
            ..TrackEvent::of(EventType::Counter)
        };
        self.event(counter.at, event)
    }

    fn end(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl TrackEvent {
    fn of(kind: EventType) -> Self {
        Self { r#type: Some(kind as i32), ..Self::default() }
    }
}

/// The track `uuid` of the process with that number.
fn below(process: u64, track: u64, name: &str) -> TrackDescriptor {
    TrackDescriptor {
        uuid: Some(track),
        parent_uuid: Some(uuid(TrackNumber { process, number: 0 })),
        name: Some(name.to_owned()),
        ..TrackDescriptor::default()
    }
}

fn uuid(track: TrackNumber) -> u64 {
    track.process << 32 | track.number
}

fn nanoseconds(micros: i64) -> u64 {
    u64::try_from(micros).unwrap_or(0).saturating_mul(1000)
}

fn annotations(details: &[(&'static str, Value)]) -> Vec<DebugAnnotation> {
    let annotation = |(name, value): &(&'static str, Value)| {
        let mut annotation = DebugAnnotation { name: Some((*name).to_owned()), ..DebugAnnotation::default() };
        match value {
            Value::Bool(value) => annotation.bool_value = Some(*value),
            Value::Number(value) => annotation.double_value = value.as_f64(),
            value => annotation.string_value = Some(value.as_str().unwrap_or_default().to_owned()),
        }
        annotation
    };
    details.iter().map(annotation).collect()
}
