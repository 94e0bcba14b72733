//! A text as units: words, characters of writing without blanks, and symbols.

/// A word, or a character that stands for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextUnit<'a> {
    pub text: &'a str,
    /// Its place in the text, in bytes.
    pub at: usize,
    pub kind: UnitKind<'a>,
    /// Whether it follows the unit before it without anything between them.
    pub joins: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitKind<'a> {
    /// Letters and digits.
    Word,
    /// A character of writing without blanks between words.
    Unspaced,
    /// A name like C++ or C#.
    Marked { letters: &'a str, mark: &'a str },
    /// An emoji, an arrow or a sign.
    Symbol(char),
}

/// The units of `text`, in order.
pub fn units(text: &str) -> Units<'_> {
    Units { text, at: 0, end: 0 }
}

#[derive(Debug, Clone)]
pub struct Units<'a> {
    text: &'a str,
    at: usize,
    /// End of the last unit.
    end: usize,
}

/// Letters before `++` or `#` that may be a name.
const LONGEST_MARKED: usize = 12;

impl<'a> Iterator for Units<'a> {
    type Item = TextUnit<'a>;

    fn next(&mut self) -> Option<TextUnit<'a>> {
        let (start, kind, end) = loop {
            let start = self.at;
            let byte = *self.text.as_bytes().get(start)?;
            if byte.is_ascii() {
                if byte.is_ascii_alphanumeric() {
                    let (kind, end) = self.word(start);
                    break (start, kind, end);
                }
                self.at += 1;
                continue;
            }
            let c = self.text[start..].chars().next()?;
            let end = start + c.len_utf8();
            if is_unspaced(c) {
                break (start, UnitKind::Unspaced, end);
            }
            if c.is_alphanumeric() {
                let (kind, end) = self.word(start);
                break (start, kind, end);
            }
            if is_symbol(c) {
                break (start, UnitKind::Symbol(c), end);
            }
            self.at = end;
        };
        let joins = start > 0 && start == self.end;
        (self.at, self.end) = (end, end);
        Some(TextUnit { text: &self.text[start..end], at: start, kind, joins })
    }
}

impl<'a> Units<'a> {
    /// Skips words of ASCII that have no capital within and no mark after them. Most of a text is that.
    pub fn skip_plain(&mut self) {
        let bytes = self.text.as_bytes();
        let (mut word, mut is_within) = (self.at, false);
        for (at, &byte) in bytes.iter().enumerate().skip(self.at) {
            if byte.is_ascii_alphanumeric() {
                if !is_within {
                    (word, is_within) = (at, true);
                } else if byte.is_ascii_uppercase() {
                    self.at = word;
                    return;
                }
            } else if is_within && matches!(byte, b'+' | b'#') || !byte.is_ascii() {
                self.at = if is_within { word } else { at };
                return;
            } else {
                is_within = false;
            }
        }
        self.at = bytes.len();
    }

    /// The word that begins at `start`, and its end.
    fn word(&self, start: usize) -> (UnitKind<'a>, usize) {
        let bytes = self.text.as_bytes();
        let mut end = start;
        let mut is_letters = true;
        while let Some(&byte) = bytes.get(end) {
            if byte.is_ascii_alphanumeric() {
                is_letters &= byte.is_ascii_alphabetic();
                end += 1;
            } else if byte.is_ascii() {
                break;
            } else {
                let Some(c) = self.text[end..].chars().next() else { break };
                let is_accent = matches!(c, '\u{300}'..='\u{36f}');
                if is_unspaced(c) || !(c.is_alphanumeric() || is_accent) {
                    break;
                }
                is_letters = false;
                end += c.len_utf8();
            }
        }
        if is_letters && end - start <= LONGEST_MARKED {
            let letters = &self.text[start..end];
            for mark in ["++", "#"] {
                let after = end + mark.len();
                let follows = bytes[end..].starts_with(mark.as_bytes())
                    && !bytes.get(after).is_some_and(|it| it.is_ascii_alphanumeric() || b"+#".contains(it));
                if follows {
                    return (UnitKind::Marked { letters, mark }, after);
                }
            }
        }
        (UnitKind::Word, end)
    }
}

/// Whether words of `c`'s writing stand side by side without a blank, or have endings that are words themselves (Korean).
pub fn is_unspaced(c: char) -> bool {
    matches!(u32::from(c),
        0xe00..=0x109f // Thai, Lao, Tibetan, Burmese
        | 0x1100..=0x11ff | 0xa960..=0xa97f | 0xac00..=0xd7ff // Korean
        | 0x1780..=0x17ff // Khmer
        | 0x2e80..=0x2fdf | 0x3005..=0x3007 | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff // Chinese
        | 0x3041..=0x30fa | 0x30fc..=0x318f | 0x31a0..=0x31bf | 0x31f0..=0x31ff | 0xff66..=0xffdc // Japanese
        | 0x20000..=0x3ffff)
}

fn is_symbol(c: char) -> bool {
    matches!(u32::from(c), 0x2190..=0x21ff | 0x2300..=0x23ff | 0x2600..=0x27bf | 0x2b00..=0x2bff | 0x1f000..=0x1f3fa
        | 0x1f400..=0x1faff)
}
