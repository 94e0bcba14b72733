//! A recording that is still written while it is replayed.

use super::*;

/// A sample every 5 s.
fn write_until(writer: &mut RecordingWriter, seconds: std::ops::RangeInclusive<u32>) {
    for second in seconds.step_by(5) {
        write(writer, second, at(second.into()));
    }
}

#[test]
fn what_is_recorded_after_a_replay_began_is_reached_by_its_steps() {
    let dir = TempDir::new().expect("a folder");
    let (mut writer, _) = RecordingWriter::start(dir.path(), LIMITS).expect("a folder");
    write_until(&mut writer, 0..=30);
    let recording = Recording::open(dir.path()).expect("a recording");
    let mut cursor = RecordingCursor::new(recording, None).expect("readable");
    assert!(!cursor.follow().expect("readable"), "nothing was written meanwhile");
    assert_eq!((cursor.at(), cursor.step(true)), (at(30.0), false));
    // In the same minute, then past its end twice.
    for (from, to) in [(35, 40), (45, 100), (105, 250)] {
        write_until(&mut writer, from..=to);
        let before = cursor.at();
        assert!(cursor.follow().expect("readable"));
        assert_eq!((cursor.at(), gap(&cursor)), (before, None), "the moment stays");
        assert_eq!(cursor.span(), (at(0.0), at(to.into())));
        let mut reached = Vec::new();
        while cursor.step(true) {
            reached.push(cursor.at());
        }
        let expected: Vec<_> = (from..=to).step_by(5).map(|second| at(second.into())).collect();
        assert_eq!(reached, expected);
    }
    cursor.go_to(at(62.0));
    assert_eq!(cursor.place().map(|place| place.at), Some(at(60.0)), "the frames keep their numbers");
}

#[test]
fn a_file_of_a_recording_does_not_grow() {
    let dir = TempDir::new().expect("a folder");
    let (mut writer, _) = RecordingWriter::start(dir.path(), LIMITS).expect("a folder");
    write_until(&mut writer, 0..=70);
    let segment = dir.path().join("2026-11-30.jsonl.zst");
    let mut cursor =
        RecordingCursor::new(Recording::open(&segment).expect("a file"), None).expect("readable");
    let end = cursor.span().1;
    write_until(&mut writer, 75..=200);
    assert!(!cursor.follow().expect("readable"));
    assert_eq!(cursor.span().1, end);
}

#[test]
fn a_player_takes_what_is_written_meanwhile_for_a_command_and_without_one() {
    let dir = TempDir::new().expect("a folder");
    let (mut writer, _) = RecordingWriter::start(dir.path(), LIMITS).expect("a folder");
    write_until(&mut writer, 0..=30);
    let (replay, mut output) =
        Replay::start(Recording::open(dir.path()).expect("a recording"), None, 1.0).expect("a player");
    shown(&mut output, |moment| moment.at == at(30.0));
    write_until(&mut writer, 35..=35);
    replay.order(ReplayCommand::GoTo(at(35.0)));
    shown(&mut output, |moment| moment.at == at(35.0));
    write_until(&mut writer, 40..=40);
    shown(&mut output, |moment| moment.at == at(35.0) && moment.recorded.1 == at(40.0));
}

#[test]
fn playing_at_the_end_goes_on_with_what_a_recorder_writes() {
    let dir = TempDir::new().expect("a folder");
    let (mut writer, _) = RecordingWriter::start(dir.path(), LIMITS).expect("a folder");
    // On a busy machine, more time passes until it counts as over.
    let end = Timestamp::now() + SignedDuration::from_secs(10);
    for second in 0..=3 {
        write(&mut writer, second, end - SignedDuration::from_secs((3 - second).into()));
    }
    let (replay, mut output) =
        Replay::start(Recording::open(dir.path()).expect("a recording"), None, 4.0).expect("a player");
    replay.order(ReplayCommand::Play);
    shown(&mut output, |moment| moment.is_playing);
    write(&mut writer, 4, end + SignedDuration::from_secs(1));
    shown(&mut output, |moment| moment.is_playing && moment.at == end + SignedDuration::from_secs(1));
}
