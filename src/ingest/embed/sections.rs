//! Cuts a document into sections, each of which gets a vector: pure.
//!
//! A section ends at a heading if there is one in the last three quarters of its room, of several the first of the highest
//! ones; else at a block, a line, a sentence or a word. It begins at its heading, or a little before the end of the section before
//! it. What is sent is the title, the headings above the section, and its text.

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use crate::{
    ingest::parse::{OPTIONS, searched},
    text::one_line,
};

/// The most sections of a document: more would keep a transaction long, and the embedder busy with one file.
pub const MOST_SECTIONS: usize = 256;

/// The part of a section that title and headings may take, as a divisor.
const HEAD_SHARE: usize = 4;

/// The part of a section that the next one repeats, as a divisor.
const OVERLAP_SHARE: usize = 8;

/// Joins the headings above a section.
const BELOW: &str = " > ";

/// A section of a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DocumentSection {
    /// Where it begins in the text of the document, in bytes.
    pub start: usize,
    /// What is sent to the embedder.
    pub text: String,
}

/// A document in sections: at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SectionedDocument {
    pub sections: Vec<DocumentSection>,
    /// Whether it has more text than [`MOST_SECTIONS`] take.
    pub is_cut: bool,
}

/// Whether headings are markup in a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextKind {
    Markdown,
    Plain,
}

/// Cuts the document with `title` and `body` into sections of at most `chars` characters, title and headings included.
pub fn cut(title: &str, body: &str, kind: TextKind, chars: usize) -> SectionedDocument {
    let (body, rest) = body.split_at(after(body, 0, chars.saturating_mul(MOST_SECTIONS)));
    let outline = DocumentOutline::of(body, kind);
    let mut sections = Vec::new();
    let mut start = next_text(body, 0);
    let is_cut = loop {
        if start == body.len() {
            break !rest.trim_start().is_empty();
        }
        if sections.len() == MOST_SECTIONS {
            break true;
        }
        let head = head(title, &outline.above(start), chars / HEAD_SHARE);
        let room = chars.saturating_sub(head.chars().count()).max(1);
        let (end, next) = outline.end(start, room);
        sections.push(DocumentSection { start, text: format!("{head}{}", body[start..end].trim_end()) });
        start = next_text(body, next);
    };
    if sections.is_empty() {
        sections.push(DocumentSection { start: 0, text: head(title, &[], chars) });
    }
    SectionedDocument { sections, is_cut }
}

/// A place where a section may end.
#[derive(Debug, Clone, PartialEq, Eq)]
struct BlockStart {
    at: usize,
    /// `None` for a block that is no heading.
    heading: Option<Heading>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Heading {
    /// From 1, the highest.
    level: u8,
    text: String,
}

/// Where the blocks of a text begin.
#[derive(Debug)]
struct DocumentOutline<'a> {
    text: &'a str,
    /// In the order of the text.
    blocks: Vec<BlockStart>,
}

impl<'a> DocumentOutline<'a> {
    fn of(text: &'a str, kind: TextKind) -> Self {
        let mut blocks: Vec<BlockStart> = Vec::new();
        // Lists and quotes around the block.
        let mut depth = 0_u32;
        let mut in_heading = false;
        for (event, range) in Parser::new_ext(searched(text), OPTIONS).into_offset_iter() {
            let heading = match &event {
                Event::Start(Tag::Heading { level, .. }) if depth == 0 && kind == TextKind::Markdown => {
                    in_heading = true;
                    Some(Heading { level: *level as u8, text: String::new() })
                }
                Event::End(TagEnd::Heading(_)) => {
                    in_heading = false;
                    continue;
                }
                Event::Text(said) | Event::Code(said) if in_heading => {
                    if let Some(BlockStart { heading: Some(heading), .. }) = blocks.last_mut() {
                        heading.text.push_str(said);
                    }
                    continue;
                }
                Event::Start(Tag::BlockQuote(_) | Tag::List(_) | Tag::Item | Tag::FootnoteDefinition(_)) => {
                    depth += 1;
                    None
                }
                Event::End(
                    TagEnd::BlockQuote(_) | TagEnd::List(_) | TagEnd::Item | TagEnd::FootnoteDefinition,
                ) => {
                    depth = depth.saturating_sub(1);
                    continue;
                }
                Event::Start(
                    Tag::Paragraph | Tag::Heading { .. } | Tag::CodeBlock(_) | Tag::HtmlBlock | Tag::Table(_),
                ) => None,
                _ => continue,
            };
            // What is within a list or a quote begins behind a mark.
            let at = text[..range.start].rfind('\n').map_or(0, |end| end + 1);
            if blocks.last().is_none_or(|last| last.at < at) {
                blocks.push(BlockStart { at, heading });
            } else {
                in_heading = false;
            }
        }
        Self { text, blocks }
    }

    /// The headings above what begins at `at`, the highest first.
    fn above(&self, at: usize) -> Vec<&str> {
        let until = self.blocks.partition_point(|block| block.at < at);
        let own = self.blocks.get(until).filter(|block| block.at == at).and_then(|it| it.heading.as_ref());
        let mut above = Vec::new();
        let mut level = own.map_or(u8::MAX, |heading| heading.level);
        for heading in self.blocks[..until].iter().rev().filter_map(|block| block.heading.as_ref()) {
            if heading.level < level {
                level = heading.level;
                above.push(heading.text.trim());
            }
        }
        above.reverse();
        above
    }

    /// Where a section with room for `room` characters ends that begins at `start`, and where the next one begins.
    fn end(&self, start: usize, room: usize) -> (usize, usize) {
        let text = self.text;
        let last = after(text, start, room);
        if last == text.len() {
            return (last, last);
        }
        let within = |from: usize| {
            let first = self.blocks.partition_point(|block| block.at < from);
            self.blocks[first..].iter().take_while(|block| block.at <= last)
        };
        let headings = within(after(text, start, (room / 4).max(1)))
            .filter_map(|block| Some((block.heading.as_ref()?.level, block.at)));
        if let Some((_, at)) = headings.min() {
            return (at, at);
        }
        let half = after(text, start, (room / 2).max(1));
        let end = within(half).last().map_or_else(|| end_in_prose(text, half, last), |block| block.at);
        let repeated = before(text, end, room / OVERLAP_SHARE).max(after(text, start, 1));
        let next = within(repeated)
            .find(|block| block.at < end)
            .map_or_else(|| begin_in_prose(text, repeated, end), |block| block.at);
        (end, next)
    }
}

/// The end of a line, a sentence or a word between `half` and `last`; `last` if there is none.
fn end_in_prose(text: &str, half: usize, last: usize) -> usize {
    let part = &text[half..last];
    let sentence = || {
        part.char_indices().rev().find_map(|(at, c)| {
            let end = at + c.len_utf8();
            match c {
                '。' | '！' | '？' | '；' => Some(end),
                '.' | '!' | '?' => part[end..].starts_with(char::is_whitespace).then_some(end),
                _ => None,
            }
        })
    };
    let word = || part.rfind(char::is_whitespace);
    let line = part.rfind('\n').map(|at| at + 1);
    half + line.or_else(sentence).or_else(word).unwrap_or(part.len())
}

/// The begin of a line or of a word between `from` and `end`; `from` if there is none.
fn begin_in_prose(text: &str, from: usize, end: usize) -> usize {
    let part = &text[from..end];
    let begins = |gap: Option<usize>| gap.map(|at| next_text(text, from + at)).filter(|at| *at < end);
    begins(part.find('\n')).or_else(|| begins(part.find(char::is_whitespace))).unwrap_or(from)
}

/// What stands before the text of a section: at most `most` characters and an empty line.
fn head(title: &str, above: &[&str], most: usize) -> String {
    let headings: Vec<&str> = above.iter().copied().filter(|heading| *heading != title).collect();
    let lines = [one_line(title), one_line(&headings.join(BELOW))];
    let whole = lines.iter().map(String::as_str).filter(|it| !it.is_empty()).collect::<Vec<_>>().join("\n");
    let head: String = whole.chars().take(most).collect();
    format!("{}\n\n", head.trim_end())
}

/// The byte `chars` characters after the byte `at`.
fn after(text: &str, at: usize, chars: usize) -> usize {
    text[at..].char_indices().nth(chars).map_or(text.len(), |(place, _)| at + place)
}

/// The byte `chars` characters before the byte `at`.
fn before(text: &str, at: usize, chars: usize) -> usize {
    if chars == 0 { at } else { text[..at].char_indices().rev().nth(chars - 1).map_or(0, |(place, _)| place) }
}

/// The first byte from `at` on that is no blank.
fn next_text(text: &str, at: usize) -> usize {
    text.len() - text[at..].trim_start().len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{fuzz::for_a_while, fuzz_edits::edited_text};

    /// Head and text of each section.
    fn parts(title: &str, body: &str, chars: usize) -> Vec<(String, String)> {
        let split = |section: DocumentSection| {
            let (head, text) = section.text.split_once("\n\n").expect("an empty line");
            (head.to_owned(), text.to_owned())
        };
        cut(title, body, TextKind::Markdown, chars).sections.into_iter().map(split).collect()
    }

    #[test]
    fn a_short_document_is_one_section_and_an_empty_one_too() {
        assert_eq!(
            parts("Lock", "# Lock\n\nheld\n", 100),
            [("Lock".to_owned(), "# Lock\n\nheld".to_owned())]
        );
        assert_eq!(parts("Empty", " \n", 100), [("Empty".to_owned(), String::new())]);
    }

    #[test]
    fn a_section_ends_at_a_heading_and_names_those_above_it() {
        let prose = "Some words of prose. ".repeat(6);
        let body = format!(
            "# Guide\n\n{prose}\n\n## Install\n\n{prose}\n\n### From source\n\n{prose}\n\n## Use\n\n{prose}"
        );
        let found = parts("Guide", &body, 170);
        let heads: Vec<&str> = found.iter().map(|(head, _)| &**head).collect();
        assert_eq!(heads, ["Guide", "Guide", "Guide\nInstall", "Guide"], "{found:#?}");
        let begins: Vec<&str> = found.iter().filter_map(|(_, text)| text.lines().next()).collect();
        assert_eq!(begins, ["# Guide", "## Install", "### From source", "## Use"]);
        // Of two headings in reach the higher one ends it.
        let body = format!("{prose}\n\n## Two\n\na\n\n### Three\n\nb\n\n{prose}");
        assert!(parts("T", &body, 180)[0].1.ends_with("prose."), "{:#?}", parts("T", &body, 180));
    }

    #[test]
    fn what_resembles_a_heading_in_code_or_in_plain_text_is_none() {
        let prose = "Some words of prose. ".repeat(4);
        let code = format!("```sh\n# no heading\n{}```\n", "make all\n".repeat(8));
        let body = format!("{prose}\n\n{code}\n{prose}");
        let found = parts("Title", &body, 150);
        assert!(found.iter().all(|(head, text)| head == "Title" && !text.starts_with("# no")), "{found:#?}");
        let plain = cut("T", &format!("# a\n\n{prose}\n\n# b\n\n{prose}"), TextKind::Plain, 110);
        assert!(plain.sections.iter().all(|it| it.text.starts_with("T\n\n")), "{plain:#?}");
    }

    #[test]
    fn sections_of_prose_overlap_and_begin_with_a_word_or_line() {
        let body = (0..200).map(|it| format!("word{it} ")).collect::<Vec<_>>().concat();
        let found = cut("T", &body, TextKind::Markdown, 200);
        assert!(found.sections.len() > 6);
        for pair in found.sections.windows(2) {
            let text = pair[0].text.strip_prefix("T\n\n").expect("the title");
            assert!(pair[1].start < pair[0].start + text.len(), "{pair:?}");
            assert!(body[pair[1].start..].starts_with("word"), "{pair:?}");
        }
    }

    #[test]
    fn text_without_blanks_is_cut_at_its_sentences_or_anywhere() {
        let sentence = format!("{}。", "数据库被锁定了".repeat(6));
        let found = cut("锁", &sentence.repeat(8), TextKind::Markdown, 120);
        assert!(found.sections.iter().all(|it| it.text.chars().count() <= 120), "{found:#?}");
        assert!(found.sections[0].text.ends_with('。'));
        let endless = cut("锁", &"数".repeat(1000), TextKind::Markdown, 100);
        assert!(endless.sections.len() >= 10 && !endless.is_cut);
    }

    #[test]
    fn a_huge_document_has_a_limited_number_of_sections_and_says_so() {
        let body = "Some words of prose.\n\n".repeat(20_000);
        let found = cut("T", &body, TextKind::Markdown, 200);
        assert_eq!((found.sections.len(), found.is_cut), (MOST_SECTIONS, true));
        let whole = cut("T", &body, TextKind::Markdown, 4000);
        assert!(whole.sections.len() < MOST_SECTIONS && !whole.is_cut);
    }

    #[test]
    fn fuzz_sections() {
        let seeds = [
            "# A\n\ntext\n\n## B\n\n> - q\n\n```\n# c\n```\n\n数据库被锁定了。x",
            "Title\n===\n\n- a\n- b\n\n1. # h\n\n| a |\n|--|\n| b |",
        ];
        for_a_while("sections", |runner| {
            runner.run(&(edited_text(&seeds), 1_usize..60, any::<bool>()), |(body, chars, is_plain)| {
                let kind = if is_plain { TextKind::Plain } else { TextKind::Markdown };
                let SectionedDocument { sections, is_cut } = cut("The title", &body, kind, chars);
                prop_assert!((1..=MOST_SECTIONS).contains(&sections.len()));
                prop_assert!(sections.iter().all(|it| it.text.chars().count() <= chars.max(3) + 2));
                prop_assert!(sections.is_sorted_by(|a, b| a.start < b.start));
                prop_assert!(sections.iter().all(|it| body.is_char_boundary(it.start)));
                // Nothing but blanks lies between two sections.
                let mut reached = 0;
                for section in &sections {
                    let text = section.text.split_once("\n\n").map_or("", |(_, text)| text);
                    prop_assert!(section.start <= reached || body[reached..section.start].trim().is_empty());
                    prop_assert!(body[section.start..].starts_with(text));
                    reached = section.start + text.len();
                }
                prop_assert!(is_cut || body[reached..].trim().is_empty());
                Ok(())
            })
        });
    }
}
