//! JSON for programs and people, without characters that reverse, hide or move text on a terminal.
//!
//! JSON allows most control and format characters unescaped, and a terminal interprets them. As `\uXXXX` they are the
//! same text to a program, and visible to a person.

use std::{borrow::Cow, io};

use serde::Serialize;
use serde_json::{
    Result, Serializer, Value,
    ser::{CompactFormatter, Formatter, PrettyFormatter},
};

use crate::text;

/// `value` in several lines, indented.
///
/// # Errors
///
/// It cannot be JSON, for example a map whose keys are not text.
pub fn pretty(value: &impl Serialize) -> Result<String> {
    text_of(value, PrettyFormatter::new())
}

/// `value` in one line.
///
/// # Errors
///
/// As [`pretty`].
pub fn line(value: &impl Serialize) -> Result<String> {
    text_of(value, CompactFormatter)
}

/// Replaces each secret in a text or a command line of `value`.
pub fn redact(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Cow::Owned(redacted) = text::redacted(text) {
                *text = redacted;
            }
        }
        Value::Array(items) => {
            let words: Option<Vec<String>> =
                items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
            match words {
                // A command line: a word may say what the next one is.
                Some(words) => *items = text::redacted_words(&words).into_iter().map(Value::from).collect(),
                None => items.iter_mut().for_each(redact),
            }
        }
        Value::Object(fields) => fields.values_mut().for_each(redact),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn text_of(value: &impl Serialize, formatter: impl Formatter) -> Result<String> {
    let mut bytes = Vec::new();
    value.serialize(&mut Serializer::with_formatter(&mut bytes, VisibleFormatter(formatter)))?;
    String::from_utf8(bytes).map_err(serde::ser::Error::custom)
}

/// Writes as its inner formatter does, and escapes what a terminal would interpret.
struct VisibleFormatter<F>(F);

impl<F: Formatter> Formatter for VisibleFormatter<F> {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        out: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| text::is_unsafe(*c)) {
            out.write_all(&rest.as_bytes()[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }

    fn begin_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_array(out)
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array(out)
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_array_value(out, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_array_value(out)
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object(out)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object(out)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(out, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.begin_object_value(out)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, out: &mut W) -> io::Result<()> {
        self.0.end_object_value(out)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_escaped_and_stays_the_same_text() {
        let value = json!({ "na\u{202e}me": ["a\u{202e}b\u{9b}2J\u{7f}\u{200b}\u{e0041}", "ü\u{1f980}\"\\\n", {}, []] });
        for text in [line(&value).expect("JSON"), pretty(&value).expect("JSON")] {
            assert!(text.chars().all(|c| c == '\n' || !text::is_unsafe(c)), "{text:?}");
            assert!(
                text.contains(r"\u202e") && text.contains(r"\udb40\udc41") && text.contains("ü🦀"),
                "{text}"
            );
            assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), value);
        }
    }

    #[test]
    fn other_text_looks_as_it_always_did() {
        let value = json!({ "a": [1, 2.5, null, true, "x y"], "b": { "c": "d", "e": [] } });
        assert_eq!(line(&value).expect("JSON"), serde_json::to_string(&value).expect("JSON"));
        assert_eq!(pretty(&value).expect("JSON"), serde_json::to_string_pretty(&value).expect("JSON"));
    }
}
