//! The part of a document that shows why it was found.

use std::iter;

use unicode_width::UnicodeWidthChar;

use super::search::MARKS;
use crate::{
    ingest::{
        query::Needle,
        words::{self, TextUnit, UnitKind},
    },
    text::one_line,
};

/// Columns of a snippet, without its marks.
const WIDTH: usize = 110;

/// Columns before the first mark.
const BEFORE: usize = 30;

/// Bytes of a document that are searched for the words.
const MOST_BYTES: usize = 1 << 20;

/// Places where a snippet may start. Of a long text some will do.
const MOST_STARTS: usize = 64;

/// Places that are searched for: those of the starts, and what a snippet from the last one on can show.
const MOST_FOUND: usize = MOST_STARTS + WIDTH;

/// A place in the text where a needle was found.
#[derive(Debug, Clone, Copy)]
struct Found {
    start: usize,
    end: usize,
    term: usize,
}

/// The part of `text` with the most of `needles`, in one line and with marks; `None` if none is in it.
pub fn around(text: &str, needles: &[Needle]) -> Option<String> {
    let text = &text[..text.floor_char_boundary(MOST_BYTES)];
    let found = found(text, needles);
    let best = best(text, &found)?;
    let start = back(text, found[best].start);
    let end = forward(text, start);
    let mut line = String::new();
    let mut at = start;
    for place in found[best..].iter().filter(|place| place.start >= start && place.end <= end) {
        if place.start < at {
            continue;
        }
        line.push_str(&text[at..place.start]);
        line.push_str(MARKS.0);
        line.push_str(&text[place.start..place.end]);
        line.push_str(MARKS.1);
        at = place.end;
    }
    line.push_str(&text[at.min(end)..end]);
    let (before, after) = (if start > 0 { "…" } else { "" }, if end < text.len() { "…" } else { "" });
    Some(format!("{before}{}{after}", one_line(&line)))
}

/// The beginning of `text`, in one line.
pub fn beginning(text: &str) -> String {
    from(text, 0)
}

/// What begins at the byte `start` of `text`, in one line.
pub fn from(text: &str, start: usize) -> String {
    let start = text.floor_char_boundary(start);
    let end = forward(text, start);
    let (before, after) = (if start > 0 { "…" } else { "" }, if end < text.len() { "…" } else { "" });
    format!("{before}{}{after}", one_line(&text[start..end]))
}

fn found(text: &str, needles: &[Needle]) -> Vec<Found> {
    let lengths = needles.iter().map(|it| it.words.len()).filter(|length| *length > 0);
    let Some(longest) = lengths.max() else { return Vec::new() };
    let begins = FirstBytes::of(needles);
    let mut units = words::units(text);
    let mut here = Vec::with_capacity(longest);
    let mut found = Vec::new();
    while found.len() < MOST_FOUND
        && let Some(unit) = units.next()
    {
        if !begins.may_begin(&unit) {
            continue;
        }
        here.clear();
        here.extend(iter::once(unit).chain(units.clone()).take(longest));
        if let Some((count, term)) = longest_match(&here, needles) {
            let last = here[count - 1];
            found.push(Found { start: unit.at, end: last.at + last.text.len(), term });
            units.by_ref().take(count - 1).for_each(drop);
        }
    }
    found
}

/// The bytes with which needles begin. Most words of a text begin with another one, and are passed over by it.
struct FirstBytes([bool; 256]);

impl FirstBytes {
    fn of(needles: &[Needle]) -> Self {
        let mut begins = [false; 256];
        for first in needles.iter().filter_map(|it| it.words.first()?.bytes().next()) {
            begins[usize::from(first)] = true;
        }
        Self(begins)
    }

    /// Whether a needle may match from `unit` on. A word with accents, or with capitals within, may match in another form.
    fn may_begin(&self, unit: &TextUnit<'_>) -> bool {
        let bytes = unit.text.as_bytes();
        bytes.first().is_some_and(|it| self.0[usize::from(it.to_ascii_lowercase())])
            || bytes.iter().skip(1).any(u8::is_ascii_uppercase)
            || !unit.text.is_ascii()
    }
}

/// The longest needle that matches from the first of `units` on: its units, and its term.
fn longest_match(units: &[TextUnit<'_>], needles: &[Needle]) -> Option<(usize, usize)> {
    let first = words::plain(units[0].text);
    needles.iter().filter_map(|it| Some((matches(units, &first, it)?, it.term))).max()
}

/// How many units are `needle`, from the first one on, which is `plain` in small letters.
fn matches(units: &[TextUnit<'_>], plain: &str, needle: &Needle) -> Option<usize> {
    let first = units.first()?;
    let is_last = |word: &str, last: &str| word == last || needle.is_beginning && word.starts_with(last);
    let (wanted, rest) = needle.words.split_first()?;
    let Some((last, between)) = rest.split_last() else {
        let is_part = || {
            first.kind == UnitKind::Word
                && first.text.bytes().skip(1).any(|it| it.is_ascii_uppercase())
                && plain.contains(wanted.as_str())
                && !words::camel_parts(first.text).is_empty()
        };
        return (is_last(plain, wanted) || is_part()).then_some(1);
    };
    let is_all = plain == wanted
        && between.iter().zip(&units[1..]).all(|(word, unit)| words::plain(unit.text) == word.as_str())
        && units.get(rest.len()).is_some_and(|unit| is_last(&words::plain(unit.text), last));
    is_all.then_some(needle.words.len())
}

/// The place from which on a snippet has the most different terms.
fn best(text: &str, found: &[Found]) -> Option<usize> {
    let terms_from = |at: usize| {
        let end = forward(text, found[at].start);
        let mut terms: Vec<usize> =
            found[at..].iter().take_while(|it| it.end <= end).map(|it| it.term).collect();
        terms.sort_unstable();
        terms.dedup();
        terms.len()
    };
    let places = 0..found.len().min(MOST_STARTS);
    places.max_by_key(|&at| (terms_from(at), std::cmp::Reverse(at)))
}

/// The start of a snippet that shows `at`: the beginning of a word.
fn back(text: &str, at: usize) -> usize {
    let mut width = 0;
    let mut start = at;
    for (place, c) in text[..at].char_indices().rev() {
        width += c.width().unwrap_or_default();
        if width > BEFORE {
            return text[place..at].find(char::is_whitespace).map_or(start, |it| place + it);
        }
        start = place;
    }
    0
}

/// The end of a snippet that starts at `start`: the end of a word where there is one.
fn forward(text: &str, start: usize) -> usize {
    let mut width = 0;
    for (place, c) in text[start..].char_indices() {
        width += c.width().unwrap_or_default();
        if width > WIDTH {
            let end = start + place;
            let word = text[start..end].rfind(char::is_whitespace).filter(|it| *it > place / 2);
            return word.map_or(end, |it| start + it);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;
    use crate::ingest::query::parse;

    fn snippet(query: &str, text: &str) -> Option<String> {
        around(text, &parse(query).needles())
    }

    #[test]
    fn words_are_marked_in_the_form_that_they_have() {
        for (query, text, expected) in [
            ("write lock", "It writes\nunder the LOCK.", "It «writes» under the «LOCK»."),
            ("\"the lock\"", "lock, the lock", "lock, «the lock»"),
            ("locking x", "it locks", "it «locks»"),
            ("锁定", "数据库被锁定了", "数据库被«锁定»了"),
            ("lodz x", "do Łodzi, Łódź", "do Łodzi, «Łódź»"),
            ("name x", "a camelCaseName", "a «camelCaseName»"),
            ("C++ x", "in C++ and C", "in «C++» and C"),
            ("🎉", "done 🎉!", "done «🎉»!"),
        ] {
            assert_eq!(snippet(query, text).as_deref(), Some(expected), "{query}");
        }
        for query in ["zebra", "tag:animal"] {
            assert_eq!(snippet(query, "no such animalCase"), None, "{query}");
        }
    }

    #[test]
    fn the_part_with_the_most_words_is_shown_and_cut_at_words() {
        let filler = "some other words ".repeat(40);
        let text = format!("alpha {filler} alpha and omega {filler}");
        let snippet = snippet("alpha omega", &text).expect("they are there");
        assert!(snippet.contains("«alpha» and «omega»"), "{snippet}");
        assert!(snippet.starts_with('…') && snippet.ends_with('…') && snippet.width() < 130, "{snippet}");
        assert_eq!(from("alpha\nomega", 6), "…omega");
        assert_eq!((&*from("数", 1), from("", 9)), ("数", String::new()));
        let long = "数".repeat(500);
        assert!(beginning(&long).width() <= WIDTH + 1);
    }
}
