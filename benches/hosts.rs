//! What the timeline of a busy remote host costs: an hour of lines in memory, as `waltop stream` sends them, and the windows
//! of the console on it. Half of the holds have a wait of another process.
//!
//! `cargo bench --bench hosts`

use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use waltop::{
    config::Config,
    history::{SampledLock, TimeWindow},
    observe::Observer,
    recording::{RecordedProcess, RecorderHost, RecordingEvent, RecordingLine, Stamp},
    replay::LinePast,
    sampler::Monitor,
    snapshot::Snapshot,
    state::places::Places,
};

const DATABASE: &str = "/srv/app/app.db";
const HOUR: i64 = 3600;
/// Holds in a second.
const LOADS: [u32; 4] = [1, 20, 50, 200];
/// The last minute, which each sample draws; the panel of a large screen; the longest window.
const WINDOWS: [Duration; 3] = [Duration::from_mins(1), Duration::from_mins(5), Duration::from_hours(1)];
const ROUNDS: usize = 11;
/// Processes that take the lock in turn.
const PROCESSES: u32 = 12;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::TempDir::new()?;
    let places = Places::under(dir.path());
    let observer = Observer::new(&places, vec![DATABASE.into()]);
    let snapshot = Monitor::new(observer, Config::new(places)).sample().snapshot.clone();
    println!("holds a second | 1 min | 5 min | 1 h (medians in ms)");
    for load in LOADS {
        let (past, now) = past(&snapshot, load);
        let costs: Vec<String> =
            WINDOWS.map(|span| format!("{:.2}", cost(&past, span, now))).into_iter().collect();
        println!("{load} | {}", costs.join(" | "));
    }
    Ok(())
}

fn cost(past: &LinePast, span: Duration, now: Timestamp) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            let timeline = past.timeline(DATABASE, TimeWindow { end: None, span }, now);
            assert!(timeline.is_some_and(|timeline| timeline.figures.count > 0));
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2]
}

/// An hour with so many holds in a second, and its end.
fn past(snapshot: &Snapshot, load: u32) -> (LinePast, Timestamp) {
    let mut past = LinePast::default();
    past.begin(RecorderHost::default().header("web1", vec![DATABASE.to_owned()]));
    let first = Timestamp::UNIX_EPOCH + SignedDuration::from_secs(1_800_000_000);
    let mut number = 0_u32;
    for second in 0..HOUR {
        let base = first + SignedDuration::from_secs(second);
        for hold in 0..load {
            number += 1;
            let began = base + SignedDuration::from_micros(i64::from(hold) * 1_000_000 / i64::from(load));
            let ended = began + SignedDuration::from_micros(700_000 / i64::from(load));
            let event = RecordingEvent::HoldEnded {
                lock: SampledLock::Write,
                who: process(number),
                began,
                held_ms: 700.0 / f64::from(load),
            };
            past.add(line(ended, Some(0), event));
            if number.is_multiple_of(2) {
                let who = process(number + 1);
                let event = RecordingEvent::Waited { who, began, waited_ms: 1.0, got: true };
                past.add(line(ended, Some(0), event));
            }
        }
        let at = base + SignedDuration::from_secs(1);
        let snapshot = Box::new(Snapshot { taken_at: at, ..snapshot.clone() });
        past.add(line(at, None, RecordingEvent::Snapshot { snapshot }));
    }
    (past, first + SignedDuration::from_secs(HOUR))
}

fn process(number: u32) -> RecordedProcess {
    let pid = i32::try_from(1000 + number % PROCESSES).ok();
    RecordedProcess { pid, start: Some(7), name: format!("worker-{}", number % PROCESSES) }
}

fn line(at: Timestamp, db: Option<usize>, event: RecordingEvent) -> RecordingLine {
    RecordingLine { seq: 1, stamp: Stamp { at, boot_ms: 0.0 }, exact: true, db, event }
}
