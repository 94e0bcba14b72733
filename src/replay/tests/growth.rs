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
fn playing_at_the_end_goes_on_with_what_a_recorder_writes_and_stops_without_one() {
    let dir = TempDir::new().expect("a folder");
    let (mut writer, _) = RecordingWriter::start(dir.path(), LIMITS).expect("a folder");
    for second in 0..=3 {
        write(&mut writer, second, at(second.into()));
    }
    let play = |now: fn() -> Timestamp| {
        let recording = Recording::open(dir.path()).expect("a recording");
        let (replay, output) = Replay::start_by(recording, Some(at(0.0)), 4.0, now).expect("a player");
        replay.order(ReplayCommand::Play);
        (replay, output)
    };
    let (_later, mut output) = play(|| at(60.0));
    shown(&mut output, |moment| !moment.is_playing && moment.at == at(3.0));
    let (_now, mut output) = play(|| at(13.0));
    shown(&mut output, |moment| moment.is_playing && moment.at == at(3.0));
    write(&mut writer, 4, at(4.0));
    shown(&mut output, |moment| moment.is_playing && moment.at == at(4.0));
}

#[test]
fn a_recording_that_cannot_be_followed_stays_as_it_is_and_is_followed_later() {
    let dir = TempDir::new().expect("a folder");
    let (mut writer, _) = RecordingWriter::start(dir.path(), LIMITS).expect("a folder");
    write_until(&mut writer, 0..=30);
    let mut cursor =
        RecordingCursor::new(Recording::open(dir.path()).expect("a recording"), None).expect("readable");
    // A segment that leads to itself cannot be opened.
    let unreadable = dir.path().join("2026-12-01.jsonl.zst");
    std::os::unix::fs::symlink(&unreadable, &unreadable).expect("linked");
    write_until(&mut writer, 35..=35);
    assert!(matches!(cursor.follow(), Err(RecordingError::Io { .. })));
    assert_eq!(cursor.span(), (at(0.0), at(30.0)));
    cursor.go_to(at(22.0));
    assert_eq!(cursor.place().map(|place| place.at), Some(at(20.0)));
    std::fs::remove_file(&unreadable).expect("removed");
    assert!(cursor.follow().expect("readable"), "nothing was written since then");
    assert_eq!(cursor.span(), (at(0.0), at(35.0)));
}

#[test]
fn the_time_of_a_segment_that_was_removed_is_recorded_no_more() {
    const DAY: u32 = 86_400;
    let dir = TempDir::new().expect("a folder");
    let (mut writer, _) = RecordingWriter::start(dir.path(), LIMITS).expect("a folder");
    write_until(&mut writer, 0..=60);
    write_until(&mut writer, DAY..=DAY + 70);
    let mut cursor =
        RecordingCursor::new(Recording::open(dir.path()).expect("a recording"), None).expect("readable");
    assert_eq!(cursor.span(), (at(0.0), at((DAY + 70).into())));
    std::fs::remove_file(dir.path().join("2026-11-30.jsonl.zst")).expect("removed");
    write_until(&mut writer, DAY + 75..=DAY + 75);
    assert!(cursor.follow().expect("readable"));
    assert_eq!(cursor.span(), (at(DAY.into()), at((DAY + 75).into())));
    cursor.go_to(at(0.0));
    assert_eq!(cursor.at(), at(DAY.into()));
    assert!(!cursor.step(false), "nothing is before it");
}

#[test]
fn a_recorder_of_a_later_format_that_takes_over_is_not_followed() {
    for (newer, expected) in [(0, 35.0), (1, 30.0)] {
        let dir = TempDir::new().expect("a folder");
        let (mut writer, _) = RecordingWriter::start(dir.path(), LIMITS).expect("a folder");
        write_until(&mut writer, 0..=30);
        let recording = Recording::open(dir.path()).expect("a recording");
        let mut cursor = RecordingCursor::new(recording, None).expect("readable");
        writer.close_minute(at(30.0)).expect("closed");
        let current = FormatVersion::CURRENT;
        let format = FormatVersion { major: current.major + newer, ..current };
        let event = RecordingEvent::Header(RecordingHeader { format, ..header() });
        let stamp = Stamp { at: at(35.0), boot_ms: 35e3 };
        writer.write(stamp, false, None, event).expect("written");
        write_until(&mut writer, 35..=35);
        let followed = cursor.follow();
        let is_refused = matches!(&followed, Err(RecordingError::Newer(refused)) if *refused == format);
        assert_eq!(is_refused, newer == 1, "{followed:?}");
        assert_eq!(cursor.span(), (at(0.0), at(expected)));
    }
}
