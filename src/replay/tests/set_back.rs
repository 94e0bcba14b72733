//! A recording in which the clock was set back.

use super::*;

/// Two minutes; then the clock is set back to the first minute, and two and a half more follow.
fn set_back() -> (TempDir, RecordingCursor) {
    set_back_with(None)
}

/// The same with a warning that begins so many seconds after boot.
fn set_back_with(found: Option<u32>) -> (TempDir, RecordingCursor) {
    let events = |second| {
        let begins = || RecordingEvent::FindingOn { finding: Box::new(finding()) };
        (Vec::new(), (found == Some(second)).then(begins).into_iter().collect())
    };
    let dir = TempDir::new().expect("a folder");
    let (mut writer, _) = RecordingWriter::start(dir.path(), LIMITS).expect("a folder");
    for second in (0..=120).step_by(5) {
        write_with(&mut writer, second, at(second.into()), events(second));
    }
    for second in (125..=215).step_by(5) {
        write_with(&mut writer, second, at(f64::from(second) - 65.0), events(second));
    }
    drop(writer);
    let recording = Recording::open(dir.path()).expect("a recording");
    let cursor = RecordingCursor::new(recording, None).expect("readable");
    (dir, cursor)
}

/// The second since boot of the sample on the screen.
fn second(cursor: &mut RecordingCursor) -> Option<u64> {
    let place = cursor.place()?;
    let log = cursor.snapshot(place)?.databases[0].files.wal.as_ref().map(|log| log.bytes);
    log.map(|bytes| bytes / 1000)
}

#[test]
fn a_time_that_is_there_twice_leads_to_each_of_its_moments_in_turn() {
    let (_dir, mut cursor) = set_back();
    for (time, expected) in [(90.0, [155, 90, 155]), (62.0, [125, 60, 125]), (119.9, [180, 115, 180])] {
        for expected in expected {
            assert_eq!((cursor.go_to(at(time)), second(&mut cursor)), (2, Some(expected)), "{time}");
            assert_eq!((cursor.at(), gap(&cursor)), (at(time), None));
        }
    }
    for (time, expected) in [(30.0, 30), (57.0, 55), (140.0, 205)] {
        assert_eq!((cursor.go_to(at(time)), second(&mut cursor)), (1, Some(expected)), "{time}");
    }
}

#[test]
fn playing_stays_in_its_hour_and_goes_back_with_the_clock() {
    let (_dir, mut cursor) = set_back();
    cursor.go_to(at(90.0));
    cursor.go_to(at(90.0));
    cursor.advance_to(at(101.0));
    assert_eq!((cursor.at(), second(&mut cursor)), (at(101.0), Some(100)));
    cursor.advance_to(at(130.0));
    assert_eq!((cursor.at(), second(&mut cursor)), (at(60.0), Some(125)), "as far as the clock went back");
    cursor.advance_to(at(500.0));
    assert_eq!((cursor.at(), second(&mut cursor)), (at(150.0), Some(215)), "the end");
}

#[test]
fn a_search_for_a_finding_arrives_at_its_moment_and_follows_the_order_of_the_recording() {
    for found in [90, 155] {
        let (_dir, mut cursor) = set_back_with(Some(found));
        let arrived = (at(90.0), Some(u64::from(found)));
        cursor.go_to(at(20.0));
        for is_later in [true, false] {
            assert!(cursor.go_to_finding(is_later, || true), "{found}, {is_later}");
            assert_eq!((cursor.at(), second(&mut cursor)), arrived, "{found}, {is_later}");
            assert!(!cursor.go_to_finding(is_later, || true), "there is one");
            cursor.go_to(at(150.0));
        }
        // The moment 120 s after boot is between both, and its time is later than theirs.
        cursor.go_to(at(120.0));
        cursor.go_to(at(120.0));
        assert_eq!(second(&mut cursor), Some(120));
        assert_eq!(cursor.go_to_finding(true, || true), found == 155);
        assert!(found == 155 || cursor.go_to_finding(false, || true));
        assert_eq!((cursor.at(), second(&mut cursor)), arrived, "{found}");
    }
}

#[test]
fn playing_at_the_end_continues_after_the_clock_was_set_back() {
    let dir = TempDir::new().expect("a folder");
    let (mut writer, _) = RecordingWriter::start(dir.path(), LIMITS).expect("a folder");
    for second in (0..=120).step_by(5) {
        write(&mut writer, second, at(second.into()));
    }
    writer.close_minute(at(120.0)).expect("closed");
    for second in [125, 126] {
        write(&mut writer, second, at(f64::from(second) - 65.0));
    }
    let recording = Recording::open(dir.path()).expect("a recording");
    let (replay, mut output) =
        Replay::start_by(recording, Some(at(60.0)), 4.0, || at(65.0)).expect("a player");
    replay.order(ReplayCommand::Play);
    shown(&mut output, |moment| moment.is_playing && moment.at == at(61.0));
    write(&mut writer, 127, at(62.0));
    shown(&mut output, |moment| moment.is_playing && moment.at == at(62.0));
}

#[test]
fn a_player_says_that_a_time_is_there_twice() {
    let (dir, _) = set_back();
    let recording = Recording::open(dir.path()).expect("a recording");
    let (replay, mut output) = Replay::start(recording, Some(at(10.0)), 1.0).expect("a player");
    replay.order(ReplayCommand::GoTo(at(90.0)));
    let is_it = |moment: &crate::recording::PlayedMoment| moment.at == at(90.0);
    let sample = shown(&mut output, is_it);
    assert_eq!(sample.replay.as_ref().and_then(|it| it.remark), Some(ReplayRemark::RepeatedTime));
    replay.order(ReplayCommand::GoTo(at(30.0)));
    let sample = shown(&mut output, |moment| moment.at == at(30.0));
    assert_eq!(sample.replay.as_ref().and_then(|it| it.remark), None);
}
