//! Since when a finding has been there, as a recording says.

use std::path::PathBuf;

use super::*;

/// What is found of a recording of `seconds`, a sample each 5 s, in which `events` happen at some of them. The finding is
/// in the samples from `on` to `off`.
fn found(
    seconds: std::ops::Range<u32>,
    (on, off): (u32, u32),
    events: impl Fn(u32) -> Vec<RecordingEvent>,
) -> Vec<RecordedFinding> {
    let dir = TempDir::new().expect("a folder");
    let (mut writer, _) = RecordingWriter::start(dir.path(), LIMITS).expect("a folder");
    for second in seconds.step_by(5) {
        let findings = if (on..off).contains(&second) { vec![finding()] } else { Vec::new() };
        write_with(&mut writer, second, at(second.into()), (findings, events(second)));
    }
    let recording = Recording::open(dir.path()).expect("a recording");
    let databases: [PathBuf; 2] = ["/srv/other.db".into(), fixture::live().path];
    recorded_findings(&recording, &databases).expect("readable")
}

fn begins(severity: Severity) -> RecordingEvent {
    RecordingEvent::FindingOn { finding: Box::new(Finding { severity, ..finding() }) }
}

#[test]
fn a_finding_is_as_old_as_its_first_sample_some_minutes_before() {
    for on in [70, 0, 120, 65, 245] {
        let events = |second| match second {
            second if second == on => vec![begins(Severity::Warning)],
            150 if on < 150 => vec![begins(Severity::Error)],
            _ => Vec::new(),
        };
        let recorded = found(0..250, (on, 250), events);
        let (kind, pid) = (FindingKind::LongWriteLock, Some(WRITER));
        let expected = RecordedFinding { index: 1, kind, pid, since: at(on.into()) };
        assert_eq!(recorded, [expected], "worse is not later");
    }
}

#[test]
fn what_has_ended_is_not_there_and_what_came_back_is_younger() {
    let ended =
        || RecordingEvent::FindingOff { kind: FindingKind::LongWriteLock, pid: Some(WRITER), lasted_ms: 1.0 };
    let events = |second| match second {
        70 | 190 => vec![begins(Severity::Warning)],
        150 => vec![ended()],
        _ => Vec::new(),
    };
    assert_eq!(found(0..180, (70, 150), events), []);
    let again = found(185..250, (190, 250), events);
    assert_eq!(again.iter().map(|it| it.since).collect::<Vec<_>>(), [at(190.0)]);
}

#[test]
fn a_finding_is_not_older_than_the_time_that_was_watched() {
    let gap = |second| {
        let (from, to, reason) = (at(130.0), at(140.0), GapReason::Suspended);
        if second == 140 { vec![RecordingEvent::Gap { from, to, reason }] } else { Vec::new() }
    };
    let recorded = found(0..250, (70, 250), gap);
    assert_eq!(recorded.iter().map(|it| it.since).collect::<Vec<_>>(), [at(145.0)]);
}
