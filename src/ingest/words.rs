//! Words that SQLite's tokenizer does not find in a text, written so that it does.
//!
//! The tokenizer takes a run of letters and digits as one word. So it finds no word within a run without blanks, as in
//! Chinese or Thai, and no part of camelCase; it keeps ł as it is, and finds nothing in C++ but C, and no emoji. The
//! reader adds these words to the index ([`MadeWords`]), and a query asks for them in the same form.

mod units;

use std::{borrow::Cow, collections::HashSet};

use unicode_normalization::UnicodeNormalization;

pub use self::units::{TextUnit, UnitKind, units};

/// Letters that have no parts in Unicode, and are written with those on other keyboards.
const FOLDED: [(char, &str); 22] = [
    ('ł', "l"),
    ('Ł', "l"),
    ('đ', "d"),
    ('Đ', "d"),
    ('ð', "d"),
    ('Ð', "d"),
    ('þ', "th"),
    ('Þ', "th"),
    ('ß', "ss"),
    ('ẞ', "ss"),
    ('ø', "o"),
    ('Ø', "o"),
    ('æ', "ae"),
    ('Æ', "ae"),
    ('œ', "oe"),
    ('Œ', "oe"),
    ('ħ', "h"),
    ('Ħ', "h"),
    ('ŧ', "t"),
    ('ı', "i"),
    ('ё', "е"),
    ('Ё', "е"),
];

/// `word` without those letters; `None` if it has none.
pub fn folded(word: &str) -> Option<String> {
    if word.is_ascii() {
        return None;
    }
    let plain = |c: char| FOLDED.iter().find(|(letter, _)| *letter == c).map(|(_, plain)| *plain);
    word.contains(|c| plain(c).is_some()).then(|| {
        let mut folded = String::with_capacity(word.len());
        for c in word.chars() {
            match plain(c) {
                Some(plain) => folded.push_str(plain),
                None => folded.push(c),
            }
        }
        folded
    })
}

/// `word` as it is compared: in small letters, without accents and without the letters of [`folded`].
pub fn plain(word: &str) -> Cow<'_, str> {
    if word.bytes().all(|it| it.is_ascii() && !it.is_ascii_uppercase()) {
        return Cow::Borrowed(word);
    }
    if word.is_ascii() {
        return Cow::Owned(word.to_ascii_lowercase());
    }
    let base: String = word.nfd().filter(|c| !matches!(c, '\u{300}'..='\u{36f}')).nfc().collect();
    let lower = base.to_lowercase();
    Cow::Owned(folded(&lower).unwrap_or(lower))
}

/// The parts of a word like camelCaseName or `HTTPServer`, as they stand in it; empty if it has only one.
pub fn camel_parts(word: &str) -> Vec<&str> {
    if !word.bytes().skip(1).any(|it| it.is_ascii_uppercase() || !it.is_ascii()) {
        return Vec::new();
    }
    let chars: Vec<(usize, char)> = word.char_indices().collect();
    let upper = |at: usize| chars.get(at).is_some_and(|(_, c)| c.is_uppercase());
    let lower = |at: usize| chars.get(at).is_some_and(|(_, c)| c.is_lowercase());
    let mut parts = Vec::new();
    let mut start = 0;
    for at in 1..chars.len() {
        // In HTTPServer the last capital begins the next part; PDFs and IDs are one word.
        let begins = upper(at)
            && (lower(at - 1) || upper(at - 1) && lower(at + 1) && lower(at + 2))
            && chars[at].0 - start > 1;
        if begins {
            parts.push(&word[start..chars[at].0]);
            start = chars[at].0;
        }
    }
    if start == 0 {
        return Vec::new();
    }
    parts.push(&word[start..]);
    parts
}

/// The word for a name like C++ or C#, where `mark` is what follows the letters.
pub fn marked(letters: &str, mark: &str) -> String {
    let mark = if mark == "#" { "sharp" } else { "plusplus" };
    format!("{}{mark}", letters.to_ascii_lowercase())
}

/// The word for a symbol.
pub fn symbol(symbol: char) -> String {
    format!("u{:x}", u32::from(symbol))
}

/// Collects the words of texts that the tokenizer does not find.
#[derive(Debug, Default)]
pub struct MadeWords<'a> {
    words: String,
    /// Words and symbols that were added.
    seen: HashSet<&'a str>,
}

impl<'a> MadeWords<'a> {
    pub fn add(&mut self, text: &'a str) {
        let mut before: Option<TextUnit<'a>> = None;
        let mut is_mixed = false;
        let mut units = units(text);
        loop {
            if !is_mixed {
                units.skip_plain();
            }
            let Some(unit) = units.next() else { return };
            let joins = unit.joins && before.is_some();
            match unit.kind {
                UnitKind::Unspaced => {
                    // A word at the beginning of the run is a part of it.
                    if joins
                        && !is_mixed
                        && let Some(TextUnit { text, kind: UnitKind::Word, .. }) = before
                    {
                        self.push(text);
                    }
                    is_mixed = true;
                    self.push(unit.text);
                }
                UnitKind::Word if joins && is_mixed => self.push(unit.text),
                kind => {
                    is_mixed = false;
                    self.add_unit(unit.text, kind);
                }
            }
            before = Some(unit);
        }
    }

    fn add_unit(&mut self, text: &'a str, kind: UnitKind<'a>) {
        match kind {
            UnitKind::Word => {
                if text.is_ascii() && !text.bytes().skip(1).any(|it| it.is_ascii_uppercase()) {
                    return;
                }
                let parts = camel_parts(text);
                let folded = folded(text);
                if (parts.is_empty() && folded.is_none()) || !self.seen.insert(text) {
                    return;
                }
                for part in parts {
                    self.push(part);
                }
                if let Some(folded) = folded {
                    self.push(&folded);
                }
            }
            UnitKind::Marked { letters, mark } => {
                if self.seen.insert(text) {
                    self.push(&marked(letters, mark));
                }
            }
            UnitKind::Symbol(character) => {
                if self.seen.insert(text) {
                    self.push(&symbol(character));
                }
            }
            UnitKind::Unspaced => {}
        }
    }

    fn push(&mut self, word: &str) {
        if !self.words.is_empty() {
            self.words.push(' ');
        }
        self.words.push_str(word);
    }

    pub fn into_text(self) -> String {
        self.words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str) -> String {
        let mut words = MadeWords::default();
        words.add(text);
        words.into_text()
    }

    #[test]
    fn plain_english_needs_no_made_words() {
        for text in [
            "",
            "A write lock, held by PID 12.",
            "Title CASE, snake_case, kebab-case, PDFs, IDs, x86, Café",
            "C",
        ] {
            assert_eq!(made(text), "", "{text}");
        }
    }

    #[test]
    fn a_run_without_blanks_becomes_single_characters() {
        assert_eq!(made("数据库被锁定了。"), "数 据 库 被 锁 定 了");
        assert_eq!(made("使用sqlite数据库3次, sqlite only"), "使 用 sqlite 数 据 库 3 次");
        assert_eq!(made("sqlite数"), "sqlite 数");
        assert_eq!(made("데이터"), "데 이 터");
    }

    #[test]
    fn parts_of_camel_case_stand_side_by_side_once() {
        assert_eq!(made("camelCaseName and camelCaseName"), "camel Case Name");
        assert_eq!(made("HTTPServer, getURL, ÜberKlasse"), "HTTP Server get URL Über Klasse");
        assert_eq!(camel_parts("aB"), Vec::<&str>::new(), "a part of one letter is none at the start");
    }

    #[test]
    fn letters_without_parts_are_folded() {
        assert_eq!(made("Łódź straße ёлка Ærø"), "lódź strasse елка aero");
        assert_eq!(plain("ŁÓDŹ"), "lodz");
        assert_eq!(plain("Été"), "ete");
    }

    #[test]
    fn names_with_marks_and_symbols_become_words() {
        assert_eq!(made("C++, C# and C++ again; foo#bar, ## x, a + b"), "cplusplus csharp");
        assert_eq!(made("done 🎉🎉 ✅"), "u1f389 u2705");
    }
}
