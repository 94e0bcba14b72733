//! The text of lines: what is done with it without parsing all of it.

use jiff::Timestamp;
use memchr::{memchr_iter, memmem};
use serde::Deserialize;

use super::line::{RecordedProcess, RecordingEvent, RecordingLine, Stamp};
use crate::history::SampledLock;

/// The lines in `text`, without their line breaks.
pub fn split(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut start = 0;
    memchr_iter(b'\n', text).chain([text.len()]).map(move |end| {
        let line = &text[start..end];
        start = end + 1;
        line
    })
}

/// The kind of a line; empty if it has none. The writer puts it before what can be long.
pub fn kind(line: &[u8]) -> &[u8] {
    const TAG: &[u8] = br#""event":""#;
    const WITHIN: usize = 256;
    let head = &line[..line.len().min(WITHIN)];
    let Some(start) = memmem::find(head, TAG).map(|at| at + TAG.len()) else { return &[] };
    let end = head[start..].iter().position(|byte| *byte == b'"');
    end.map_or(&[], |length| &head[start..start + length])
}

/// A line about a hold or a wait that is over, by the names of [`RecordingEvent`]. Most lines of a busy time are such
/// ones. Flat, it is parsed several times as fast as the nested [`RecordingLine`].
#[derive(Deserialize)]
struct OverLine {
    seq: u64,
    at: Timestamp,
    boot_ms: f64,
    #[serde(default)]
    exact: bool,
    #[serde(default)]
    db: Option<usize>,
    who: RecordedProcess,
    began: Timestamp,
    lock: Option<SampledLock>,
    held_ms: Option<f64>,
    waited_ms: Option<f64>,
    got: Option<bool>,
}

impl OverLine {
    fn line(self) -> Option<RecordingLine> {
        let Self { seq, at, boot_ms, exact, db, who, began, .. } = self;
        let event = match (self.lock, self.held_ms, self.waited_ms, self.got) {
            (Some(lock), Some(held_ms), ..) => RecordingEvent::HoldEnded { lock, who, began, held_ms },
            (_, _, Some(waited_ms), Some(got)) => RecordingEvent::Waited { who, began, waited_ms, got },
            _ => return None,
        };
        Some(RecordingLine { seq, stamp: Stamp { at, boot_ms }, exact, db, event })
    }
}

/// The line that `text` is; `None` if this program does not understand it.
pub fn parse(text: &[u8]) -> Option<RecordingLine> {
    match kind(text) {
        b"hold-ended" | b"waited" => serde_json::from_slice::<OverLine>(text).ok()?.line(),
        _ => serde_json::from_slice(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json;

    #[test]
    fn lines_are_split_as_by_the_standard_library() {
        for text in ["", "\n", "a", "a\n", "a\n\nb", "\na\nb\n"] {
            let expected: Vec<&[u8]> = text.as_bytes().split(|byte| *byte == b'\n').collect();
            assert_eq!(split(text.as_bytes()).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_line_that_is_parsed_flat_says_the_same_as_a_nested_one() {
        let at: Timestamp = "2026-11-30T03:12:07.123456Z".parse().expect("a time");
        let who = RecordedProcess { pid: Some(7), start: None, name: "a \"name\"".to_owned() };
        let events = [
            RecordingEvent::HoldEnded {
                lock: SampledLock::Recover,
                who: who.clone(),
                began: at,
                held_ms: 2.5,
            },
            RecordingEvent::Waited { who: who.clone(), began: at, waited_ms: 1.0, got: false },
            RecordingEvent::PinEnded { who, pinned_ms: 1.0 },
            RecordingEvent::Ended,
        ];
        for (event, db) in events.into_iter().zip([Some(1), None, Some(0), None]) {
            let line = RecordingLine { seq: 7, stamp: Stamp { at, boot_ms: 2.5 }, exact: true, db, event };
            let text = json::line(&line).expect("JSON");
            let tag = serde_json::to_value(&line).expect("JSON")["event"].clone();
            assert_eq!(kind(text.as_bytes()), tag.as_str().expect("text").as_bytes());
            let nested: RecordingLine = serde_json::from_str(&text).expect("a line");
            let read = parse(text.as_bytes()).expect("a line");
            assert_eq!(format!("{read:?}"), format!("{nested:?}"));
            assert_eq!(json::line(&read).expect("JSON"), text);
        }
    }

    #[test]
    fn what_is_no_line_has_no_kind_and_is_left_out() {
        for text in ["", "{}", r#"{"event":"#, r#"{"event":"hold-ended"}"#, r#"{"event":"waited","who":{}}"#]
        {
            assert!(parse(text.as_bytes()).is_none(), "{text}");
        }
        assert_eq!(kind(br#"{"event":"#), b"");
        assert_eq!(kind(format!("{{\"x\":\"{}\",\"event\":\"gap\"}}", "x".repeat(300)).as_bytes()), b"");
    }
}
