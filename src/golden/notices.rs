//! The messages of the console.

use super::{Lines, compare, examples};
use crate::{
    act::{
        ActionOutcome,
        gate::NotArmed,
        reap::StopAftermath,
        signal::{SignalRefusal, SignalTarget, StopSignal},
        worker::IngestEnd,
    },
    config::ReadOnly,
    console::{
        app::{Notice, RecordingNotice, RemoteNotice, RowCover, StopReport, StopTally},
        dialogs::StoppedProcess,
    },
    diagnose::{
        checkpoint::CheckpointBlocker,
        guard::{ForbiddingFact, GuardRefusal},
    },
    keymap::Panel,
    recording::{ReplayRemark, TimeError},
    snapshot::{FindingKind, NotIdle, PastMaxAge, ProcessState},
};

#[test]
fn notices_read_as_in_their_file() {
    let mut lines = Lines::default();
    add_notices(&mut lines);
    add_recordings(&mut lines);
    add_stops(&mut lines);
    compare("notices.txt", &lines);
}

fn add_notices(lines: &mut Lines) {
    let key = || "k".to_owned();
    let hidden = |by| Notice::RowsHidden { by, key: key() };
    let hazard = GuardRefusal {
        fact: ForbiddingFact::Finding(FindingKind::SplitWal),
        pid: Some(7),
        what: "7 (bun) still has a deleted file open".to_owned(),
    };
    let refused = SignalRefusal::Gone { pid: 7 };
    let ingested = |is_partial: bool| {
        let failed = if is_partial { ", 1 failed" } else { "" };
        Notice::Ingested {
            name: "notes".to_owned(),
            pid: 7,
            end: IngestEnd { is_partial, figures: format!("3 of 4 ingested, 0 unchanged{failed} in 2.0 s") },
            panel: "5".to_owned(),
            details: "Enter".to_owned(),
        }
    };
    examples!(*lines, Notice {
        Notice::SamplerEnded => [Notice::SamplerEnded],
        Notice::SettingsChanged => [Notice::SettingsChanged],
        Notice::NothingSeen => [Notice::NothingSeen],
        Notice::ProcessGone { .. } => [Notice::ProcessGone { who: "7 (bun)".to_owned() }],
        Notice::NothingSelected => [Notice::NothingSelected],
        Notice::Copied(_) => [Notice::Copied("/srv/notes.db".to_owned())],
        Notice::UnknownKey { .. } => [Notice::UnknownKey { key: "F12".to_owned(), help: "?".to_owned() }],
        Notice::OnlyDatabase => [Notice::OnlyDatabase],
        Notice::Recording(_) => [Notice::Recording(RecordingNotice::GoesOn)],
        Notice::Remote(_) => [
            Notice::Remote(RemoteNotice::OnlyThere { host: "web1".into(), command: "waltop fix DB" }),
            Notice::Remote(RemoteNotice::OnlyHere),
            Notice::Remote(RemoteNotice::NoLink { host: "web1".into() }),
        ],
        Notice::NoTimeline { .. } => [Notice::NoTimeline { key: key() }],
        Notice::NoStack => [Notice::NoStack],
        Notice::HolderGone { .. } => [Notice::HolderGone { who: "7 (bun)".to_owned() }],
        Notice::HolderUnseen => [Notice::HolderUnseen],
        Notice::NoHoldSelected { .. } => [Notice::NoHoldSelected { before: ",".to_owned(), next: ".".to_owned() }],
        Notice::NothingFound { .. } => [Notice::NothingFound { key: key() }],
        Notice::WorstNamesNobody => [Notice::WorstNamesNobody],
        Notice::NoProcessSelected { .. } => [Notice::NoProcessSelected { key: key() }],
        Notice::NotTaggable { .. } => [Notice::NotTaggable { key: key() }],
        Notice::UntaggableStart { .. } => [Notice::UntaggableStart { pid: 7 }],
        Notice::TagsHidden { .. } => [
            Notice::TagsHidden { who: vec!["7 (bun)".to_owned()], filter: "/".to_owned(), back: "Esc".to_owned() },
        ],
        Notice::NothingToSearch => [Notice::NothingToSearch],
        Notice::Tree { .. } => [Notice::Tree { is_on: true }, Notice::Tree { is_on: false }],
        Notice::RowsHidden { .. } => [
            hidden(RowCover::Timeline),
            hidden(RowCover::Overview),
            hidden(RowCover::Other),
        ],
        Notice::ProcessesHidden { .. } => [Notice::ProcessesHidden { key: key() }],
        Notice::NotArmed { .. } => [
            Notice::NotArmed { why: NotArmed::ReadOnly(ReadOnly::Settings), key: key() },
            Notice::NotArmed { why: NotArmed::Disarmed, key: key() },
        ],
        Notice::MouseFreed { .. } => [Notice::MouseFreed { key: key() }],
        Notice::MouseTaken { .. } => [Notice::MouseTaken { key: key() }],
        Notice::Armed => [Notice::Armed],
        Notice::Disarmed { .. } => [Notice::Disarmed { key: key() }],
        Notice::Hazard(_) => [Notice::Hazard(hazard.clone())],
        Notice::NoDatabase(_) => [Notice::NoDatabase("/srv/notes.db".into())],
        Notice::DatabaseGone => [Notice::DatabaseGone],
        Notice::NotWal => [Notice::NotWal],
        Notice::NothingToFix => [Notice::NothingToFix],
        Notice::NoProcessToStop { .. } => [Notice::NoProcessToStop { panel: Panel::Files, key: key() }],
        Notice::WatchElsewhere { .. } => [
            Notice::WatchElsewhere { pid: 7, panel: Some("5".to_owned()), stop: "x".to_owned() },
            Notice::WatchElsewhere { pid: 7, panel: None, stop: "x".to_owned() },
        ],
        Notice::NothingStale => [Notice::NothingStale],
        Notice::NotStaleYet { .. } => [
            Notice::NotStaleYet { who: "71166 (bun)".to_owned(), why: brief_watch().to_string() },
        ],
        Notice::UnknownStart { .. } => [Notice::UnknownStart { pid: 7 }],
        Notice::Refused(_) => [Notice::Refused(refused.clone())],
        Notice::IngestionEnded { .. } => [Notice::IngestionEnded { figures: ", 3 of 301 files".to_owned() }],
        Notice::IngestionStarts { .. } => [
            Notice::IngestionStarts { folder: "/home/me/notes".to_owned(), key: key() },
        ],
        Notice::WatchEnded => [Notice::WatchEnded],
        Notice::IngestionJustEnded { .. } => [
            Notice::IngestionJustEnded { figures: ", 300 of 301 files, 1 failed".to_owned(), key: key() },
        ],
        Notice::IngestionRefused(_) => [Notice::IngestionRefused("there is no folder /x".to_owned())],
        Notice::Ingested { .. } => [ingested(false), ingested(true)],
        Notice::Begins(_) => [Notice::Begins("a PASSIVE checkpoint runs".to_owned())],
        Notice::HealthCheckEnds => [Notice::HealthCheckEnds],
        Notice::StillWaiting { .. } => [Notice::StillWaiting { who: "2 processes are".to_owned() }],
        Notice::Stop(_) => [Notice::Stop(StopReport::Ended { pid: 7 })],
        Notice::Outcome(_) => [Notice::Outcome(ActionOutcome::good("written to waltop.json"))],
    });
}

fn add_stops(lines: &mut Lines) {
    let stopped =
        |pid| StoppedProcess { target: SignalTarget { pid, start_ticks: 1 }, label: "bun".to_owned() };
    let (it, other) = (|| stopped(7), || stopped(8));
    let nothing = || StopAftermath {
        gone: 1,
        still_held: Vec::new(),
        in_the_way: None,
        was_in_the_way: false,
        hazard: None,
    };
    let blocked = StopAftermath {
        still_held: vec![8],
        in_the_way: Some(vec![
            CheckpointBlocker {
                pid: Some(9),
                label: None,
                why: "9 (node) pins frame 3".to_owned()
            };
            2
        ]),
        ..nothing()
    };
    let all = |gone: Vec<StoppedProcess>, stays: Vec<StoppedProcess>, refused, aftermath| {
        let pending = StopTally { signal: StopSignal::Term, gone, stays, refused };
        StopReport::Aftermath { pending, aftermath }
    };
    let free = StopAftermath { in_the_way: Some(Vec::new()), was_in_the_way: true, ..nothing() };
    let unsafe_log = StopAftermath { hazard: Some(FindingKind::SplitWal), ..free.clone() };
    let stays = |signal| StopReport::Stays { stopped: it(), signal };
    examples!(*lines, StopReport {
        StopReport::Ended { .. } => [StopReport::Ended { pid: 7 }],
        StopReport::Gone { .. } => [StopReport::Gone { stopped: it(), signal: StopSignal::Term }],
        StopReport::Stays { .. } => [stays(StopSignal::Term), stays(StopSignal::Kill)],
        StopReport::Continued { .. } => [StopReport::Continued { stopped: it() }],
        StopReport::Refused(_) => [StopReport::Refused(SignalRefusal::Gone { pid: 7 })],
        StopReport::Runs { .. } => [StopReport::Runs { stopped: it(), state: ProcessState::Sleeping }],
        StopReport::StaysStopped { .. } => [
            StopReport::StaysStopped { stopped: it(), state: ProcessState::Traced },
        ],
        StopReport::AllContinued { .. } => [
            StopReport::AllContinued { sent: 2, all: 2, still_stopped: Vec::new() },
            StopReport::AllContinued { sent: 2, all: 3, still_stopped: vec![other()] },
        ],
        StopReport::Aftermath { .. } => [
            all(vec![it()], Vec::new(), 0, nothing()),
            all(vec![it()], Vec::new(), 0, free.clone()),
            all(Vec::new(), vec![other()], 0, StopAftermath { gone: 0, ..nothing() }),
            all(vec![it()], vec![other()], 1, blocked.clone()),
            all(vec![it()], Vec::new(), 0, unsafe_log.clone()),
        ],
    });
}

fn brief_watch() -> PastMaxAge {
    PastMaxAge {
        rule: "bun".to_owned(),
        age_ms: 172_800_000.0,
        limit_ms: 86_400_000.0,
        not_idle: NotIdle::BriefWatch { watched_ms: 7_000.0, least_ms: 30_000.0 },
    }
}

fn add_recordings(lines: &mut Lines) {
    examples!(*lines, RecordingNotice {
        RecordingNotice::Pauses { .. } => [RecordingNotice::Pauses { why: "no storage space".to_owned() }],
        RecordingNotice::GoesOn => [RecordingNotice::GoesOn],
        RecordingNotice::Unwatched => [RecordingNotice::Unwatched],
        RecordingNotice::Remark(_) => [
            RecordingNotice::Remark(ReplayRemark::NoOtherFinding),
            RecordingNotice::Remark(ReplayRemark::RepeatedTime)
        ],
        RecordingNotice::NoTime(_) => [RecordingNotice::NoTime(TimeError)],
        RecordingNotice::NotRecorded { .. } => [
            RecordingNotice::NotRecorded {
                from: "2026-11-29 14:00:00".to_owned(),
                to: "2026-11-30 03:12:07".to_owned(),
            },
        ],
    });
}
