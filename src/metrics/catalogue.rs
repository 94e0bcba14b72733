//! Which metrics there are, and where each figure comes from.

use std::collections::BTreeMap;

use super::{
    MeterInput, MetricsMeter,
    family::{MetricFamily, number},
    totals::DatabaseTotals,
};
use crate::snapshot::{Database, Ingestion};

/// A figure of a database; `None` if it is not known.
type DatabaseFigure = fn(&Database) -> Option<f64>;

/// The gauges with the label `db` alone.
const OF_DATABASES: &[(&str, &str, DatabaseFigure)] = &[
    ("waltop_database_size_bytes", "Size of the main file.", |it| Some(number(it.files.db.as_ref()?.bytes))),
    ("waltop_wal_size_bytes", "Size of the write-ahead log.", |it| {
        Some(number(it.files.wal.as_ref()?.bytes))
    }),
    ("waltop_wal_frames", "Frames in the log.", |it| Some(it.wal.as_ref()?.frames?.into())),
    ("waltop_wal_pending_frames", "Frames of the log that are not checkpointed.", |it| {
        Some(it.wal.as_ref()?.pending?.into())
    }),
    ("waltop_write_lock_held", "Whether a process held the write lock at the last sample.", |it| {
        of_locks(it, |it| flag(it.locks.writer.is_some()))
    }),
    ("waltop_readers", "Read transactions at the last sample; one slot of the log counts once.", |it| {
        of_locks(it, |it| count(it.locks.readers.len()))
    }),
    ("waltop_oldest_reader_seconds", "How long the oldest read transaction was observed, at least.", |it| {
        of_locks(it, longest_read).flatten()
    }),
    ("waltop_processes", "Processes that have a file of the database open.", |it| {
        Some(count(it.processes.len()))
    }),
];

/// A figure of an ingestion; `None` if it is not known.
type IngestionFigure = fn(&Ingestion) -> Option<f64>;

/// The gauges of the newest ingestion of each database.
const OF_INGESTIONS: &[(&str, &str, IngestionFigure)] = &[
    ("waltop_ingestion_running", "Whether the newest ingestion runs.", |it| Some(flag(it.is_running()))),
    ("waltop_ingestion_files", "Files that the newest ingestion has to ingest.", |it| {
        it.files_total.map(number)
    }),
    ("waltop_ingestion_files_done", "Files of the newest ingestion that are in or were unchanged.", |it| {
        Some(number(it.files_done))
    }),
    ("waltop_ingestion_files_failed", "Files that the newest ingestion could not ingest.", |it| {
        Some(number(it.files_failed))
    }),
    ("waltop_ingestion_batches", "Batches that the newest ingestion has committed.", |it| {
        Some(number(it.batches))
    }),
    ("waltop_ingestion_busy_retries", "How often the newest ingestion asked for the lock again.", |it| {
        Some(number(it.busy_retries))
    }),
    ("waltop_ingestion_longest_hold_seconds", "The longest batch of the newest ingestion.", |it| {
        it.hold_ms.map(|hold| hold.max / 1e3)
    }),
    ("waltop_ingestion_last_batch_timestamp_seconds", "When its newest batch was committed.", |it| {
        it.last_batch_at.map(seconds)
    }),
];

/// All metrics of a sample; `labels` names its databases.
pub fn families(meter: &MetricsMeter, input: &MeterInput<'_>, labels: &[String]) -> Vec<MetricFamily> {
    let databases: Vec<(&str, &Database)> =
        labels.iter().map(String::as_str).zip(&input.snapshot.databases).collect();
    let counted: Vec<(&str, &DatabaseTotals)> = databases
        .iter()
        .filter_map(|(label, database)| Some((*label, meter.databases.get(&database.path)?)))
        .collect();
    let mut families = vec![sampled(&databases, input.has_lock_table)];
    families.extend(OF_DATABASES.iter().map(|(name, help, figure)| {
        let mut family = MetricFamily::gauge(name, help);
        for (db, it) in &databases {
            family.add(&[("db", db)], figure(it));
        }
        family
    }));
    families.extend(of_holds(&counted, input.snapshot.trace.is_some()));
    families.push(findings(&databases));
    families.extend(OF_INGESTIONS.iter().map(|(name, help, figure)| {
        let mut family = MetricFamily::gauge(name, help);
        for (db, it) in &databases {
            family.add(&[("db", db)], it.ingestions.first().and_then(figure));
        }
        family
    }));
    families.extend(of_waltop(meter, input));
    families
}

fn sampled(databases: &[(&str, &Database)], has_lock_table: bool) -> MetricFamily {
    let mut family = MetricFamily::gauge(
        "waltop_database_sampled",
        "Whether the last sample could read the database and the lock table.",
    );
    for (db, it) in databases {
        family.add(&[("db", db)], flag(has_lock_table && it.unfit.is_none()));
    }
    family
}

fn of_holds(counted: &[(&str, &DatabaseTotals)], is_traced: bool) -> [MetricFamily; 4] {
    let mut lengths = MetricFamily::histogram(
        "waltop_write_lock_hold_seconds",
        "Holds of the write lock that have ended. Without the trace, those of less than a few ms can be missed.",
    );
    let mut held = MetricFamily::counter(
        "waltop_write_lock_held_seconds_total",
        "How long the write lock was held, the hold that goes on included.",
    );
    let mut refusals = MetricFamily::counter(
        "waltop_lock_refusals_total",
        "How often a writer was refused the write lock at first, whether it got it later or not. From the trace.",
    );
    let mut dropped =
        MetricFamily::counter("waltop_dropped_events_total", "Holds and waits that were not counted.");
    for (db, totals) in counted {
        lengths.add_holds(&[("db", db)], &totals.holds);
        for (process, it) in totals.processes() {
            held.add(&[("db", db), ("process", process)], it.held_seconds);
            refusals.add(&[("db", db), ("process", process)], is_traced.then_some(number(it.refusals)));
        }
        dropped.add(&[("db", db)], number(totals.dropped));
    }
    [lengths, held, refusals, dropped]
}

fn findings(databases: &[(&str, &Database)]) -> MetricFamily {
    let mut family =
        MetricFamily::gauge("waltop_findings", "Findings of the last sample, by kind and severity.");
    for (db, it) in databases {
        let mut counts = BTreeMap::new();
        for finding in &it.findings {
            *counts.entry((finding.kind, finding.severity)).or_insert(0) += 1;
        }
        for ((kind, severity), number) in counts {
            let severity = severity.to_string();
            family.add(&[("db", db), ("finding", kind.as_str()), ("severity", &severity)], count(number));
        }
    }
    family
}

fn of_waltop(meter: &MetricsMeter, input: &MeterInput<'_>) -> Vec<MetricFamily> {
    let (snapshot, cost) = (input.snapshot, input.cost);
    let mut build = MetricFamily::gauge("waltop_build_info", "The version of waltop.");
    build.add(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    let traced = |total: u64| snapshot.trace.map(|_| number(total));
    vec![
        build,
        MetricFamily::gauge("waltop_start_time_seconds", "When waltop began to count.")
            .with(seconds(meter.since)),
        MetricFamily::gauge("waltop_last_sample_timestamp_seconds", "Time of the last sample.")
            .with(seconds(snapshot.taken_at)),
        MetricFamily::gauge("waltop_sample_duration_seconds", "How long the last sample took.")
            .with(cost.took.as_secs_f64()),
        MetricFamily::gauge(
            "waltop_unseen_processes",
            "Processes whose open files could not be read: a database may have more users than are shown.",
        )
        .with(input.unseen_processes.map(count)),
        MetricFamily::gauge("waltop_recording", "Whether the samples are being written to the recording.")
            .with(input.is_written.map(flag)),
        MetricFamily::gauge(
            "waltop_trace_active",
            "Whether the kernel's trace shows each lock request, so that holds are exact.",
        )
        .with(flag(snapshot.trace.is_some())),
        MetricFamily::counter("waltop_trace_requests_total", "Lock requests read from the trace.")
            .with(traced(meter.trace_requests.total)),
        MetricFamily::counter(
            "waltop_trace_lost_total",
            "Times at which requests are missing from the trace.",
        )
        .with(traced(meter.trace_lost.total)),
        MetricFamily::counter("waltop_lock_samples_total", "Samples of the locks between the whole samples.")
            .with(snapshot.sampling.map(|_| number(meter.lock_samples.total))),
        MetricFamily::counter("waltop_cpu_seconds_total", "CPU time that waltop has used.")
            .with(cost.cpu.as_secs_f64()),
        MetricFamily::gauge("waltop_resident_memory_bytes", "Resident memory of waltop.")
            .with(cost.memory_bytes.map(number)),
    ]
}

// A sample that misses rows of the lock table shows no free lock.
fn of_locks<T>(database: &Database, figure: impl Fn(&Database) -> T) -> Option<T> {
    database.is_complete.then(|| figure(database))
}

fn longest_read(database: &Database) -> Option<f64> {
    let longest = database.locks.readers.iter().filter_map(|it| it.held_ms).max_by(f64::total_cmp);
    longest.map(|ms| ms / 1e3)
}

fn seconds(at: jiff::Timestamp) -> f64 {
    at.duration_since(jiff::Timestamp::UNIX_EPOCH).as_secs_f64()
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

fn count(count: usize) -> f64 {
    number(count as u64)
}
