//! What `waltop report` counts.

use super::*;
use crate::snapshot::{Finding, FindingKind, Remedy, Severity};

#[test]
fn a_hold_that_went_on_ends_with_the_last_line_of_its_boot() {
    let another = RecordingHeader { boot_id: "another".to_owned(), ..header() };
    let (_dir, recording) = recorded(vec![
        (1.0, RecordingEvent::HoldBegun { lock: SampledLock::Write, who: process(1, "importer") }),
        (3.0, RecordingEvent::MayWaitBegun { who: process(2, "web") }),
        (600.0, RecordingEvent::Header(another)),
        hold(3, "cron", 601.0, 602.0),
    ]);
    let summary = RecordingSummary::new(&recording, stamp(0.0).at, stamp(700.0).at, &[], Redaction::On)
        .expect("readable");
    let holds: Vec<_> =
        summary.databases[0].by_process.iter().map(|it| (it.name.as_str(), it.held_ms.round())).collect();
    assert_eq!(holds, [("importer", 2000.0), ("cron", 1000.0)]);
}

#[test]
fn a_day_is_summarized_by_process_and_each_wait_is_for_its_holder() {
    let (_dir, recording) = contended();
    let summary = RecordingSummary::new(&recording, stamp(0.0).at, stamp(10.0).at, &[], Redaction::On)
        .expect("readable");
    let database = &summary.databases[0];
    assert_eq!((database.holds, database.held_ms.round()), (3, 5100.0));
    let names: Vec<_> = database.by_process.iter().map(|it| (it.name.as_str(), it.holds)).collect();
    assert_eq!(names, [("importer", 1), ("indexer", 1), ("cron", 1)]);
    let waits: Vec<_> =
        database.waits.iter().map(|it| (it.victim.as_str(), it.holder.as_deref(), it.gave_up)).collect();
    assert_eq!(waits, [("cron", Some("importer"), 0), ("web", Some("importer"), 1)]);
    let watched = |summary: &RecordingSummary| format!("{:.0}", summary.watched_ms());
    assert_eq!(watched(&summary), "10000");
    let longer = RecordingSummary::new(&recording, stamp(-3600.0).at, stamp(3600.0).at, &[], Redaction::On)
        .expect("readable");
    assert_eq!(watched(&longer), "10000", "nothing was watched before and after");
    let gaps = |summary| SummaryPage(summary).to_string().matches("class=\"gap\"").count();
    assert_eq!((gaps(&summary), gaps(&longer)), (0, 2), "the time before and after is drawn as not recorded");
    let part = RecordingSummary::new(&recording, stamp(7.0).at, stamp(10.0).at, &[], Redaction::On)
        .expect("readable");
    assert_eq!(part.databases.iter().map(|it| it.holds).sum::<u64>(), 0);
    let page = SummaryPage(&summary).to_string();
    assert!(page.contains("<svg") && page.contains("importer") && !page.contains("<script"));
    assert_eq!(page.matches("<table").count(), page.matches("</table>").count());
}

#[test]
fn a_hold_from_before_the_recording_makes_it_no_longer() {
    let (_dir, recording) = recorded(vec![
        (-360.0, RecordingEvent::HoldBegun { lock: SampledLock::Write, who: process(1, "importer") }),
        hold(1, "importer", -360.0, 2.0),
        hold(2, "web", 3.0, 4.0),
        (10.0, RecordingEvent::Ended),
    ]);
    let summary = RecordingSummary::new(&recording, stamp(-3600.0).at, stamp(3600.0).at, &[], Redaction::On)
        .expect("readable");
    let database = &summary.databases[0];
    let rounded =
        [summary.watched_ms(), database.held_ms, database.longest[0].held_ms].map(|ms| format!("{ms:.0}"));
    assert_eq!(
        rounded,
        ["10000", "3000", "362000"],
        "a hold has its whole length, and counts since the start"
    );
}

#[test]
fn the_log_of_each_sample_counts_and_the_last_sample_is_recorded_time() {
    let sample = |bytes| {
        let mut sampled = fixture::pinned();
        sampled.path = "/x.db".into();
        sampled.files.wal.as_mut().expect("it has a log").bytes = bytes;
        RecordingEvent::Snapshot { snapshot: Box::new(fixture::snapshot(vec![sampled])) }
    };
    let (_dir, recording) = recorded(vec![
        (0.0, sample(5)),
        (1.0, sample(90)),
        (2.0, sample(8_000)),
        (3.0, sample(70)),
        (9.0, sample(60)),
    ]);
    let of = |from, to| {
        let summary = RecordingSummary::new(&recording, stamp(from).at, stamp(to).at, &[], Redaction::On);
        let summary = summary.expect("readable");
        let log = &summary.databases[0].log;
        (log.first_bytes, log.last_bytes, log.largest_bytes, format!("{:.0}", summary.watched_ms()))
    };
    assert_eq!(of(0.0, 60.0), (Some(5), Some(60), Some(8_000), "9000".to_owned()));
    assert_eq!(of(2.5, 4.0), (Some(70), Some(70), Some(70), "0".to_owned()), "one sample");
}

#[test]
fn a_finding_that_a_sample_and_a_line_show_is_there_once() {
    let mut sampled = fixture::pinned();
    sampled.path = "/x.db".into();
    let finding = Finding {
        kind: FindingKind::PinnedWal,
        severity: Severity::Warning,
        pid: Some(4826),
        label: Some("report".to_owned()),
        message: "pins the log".to_owned(),
        evidence: serde_json::Map::new(),
        remedy: Remedy { action: None, command: None },
    };
    sampled.findings = vec![finding.clone()];
    let on = |severity| {
        let finding = Finding { severity, ..finding.clone() };
        RecordingEvent::FindingOn { finding: Box::new(finding) }
    };
    let off = || RecordingEvent::FindingOff { kind: finding.kind, pid: finding.pid, lasted_ms: 0.0 };
    let sample = RecordingEvent::Snapshot { snapshot: Box::new(fixture::snapshot(vec![sampled.clone()])) };
    let (_dir, recording) = recorded(vec![
        (0.0, sample),
        (0.0, on(finding.severity)),
        (2.0, on(Severity::Error)),
        (5.0, off()),
        (7.0, on(finding.severity)),
        (8.0, off()),
        (9.0, RecordingEvent::Ended),
    ]);
    let summary = RecordingSummary::new(&recording, stamp(0.0).at, stamp(9.0).at, &[], Redaction::On)
        .expect("readable");
    let all = &summary.databases[0].findings;
    let found = all.iter().find(|it| it.kind == finding.kind).expect("counted");
    assert_eq!((found.times, found.severity), (2, Severity::Error));
    assert_eq!([found.total_ms, found.longest_ms].map(|ms| format!("{ms:.0}")), ["6000", "5000"]);
}
