//! The title, the links and the tags of a Markdown text.

use std::{ops::Range, path::Path};

use pulldown_cmark::{Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd, TextMergeWithOffset};

use super::{
    Dialect, DocumentPlace, EdgeSet, autolink, comments, newlines,
    target::{self, LinkTarget},
};
use crate::{snapshot::EdgeKind, text::one_line};

/// The most ASCII punctuation and line breaks in the text that is searched. For each one that may be markup the parser
/// keeps about 85 bytes and takes up to 0.7 µs: 90 MB and 0.7 s. 16 MiB of prose have about as many.
const MOST_MARKS: usize = 1 << 20;

/// The start of `text` that is searched for markup: all of it, or as many lines as have at most [`MOST_MARKS`].
pub(in crate::ingest) fn searched(text: &str) -> &str {
    if text.len() <= MOST_MARKS {
        return text;
    }
    let is_mark = |(_, byte): &(usize, u8)| byte.is_ascii_punctuation() || *byte == b'\n';
    match text.bytes().enumerate().filter(is_mark).nth(MOST_MARKS) {
        None => text,
        // A mark is one byte, so both ends are character boundaries.
        Some((at, _)) => &text[..text[..at].rfind('\n').map_or(at, |end| end + 1)],
    }
}

/// Which extensions of the format are read. A formula is no prose: what resembles a link in it is none.
pub(in crate::ingest) const OPTIONS: Options = Options::ENABLE_WIKILINKS
    .union(Options::ENABLE_TABLES)
    .union(Options::ENABLE_FOOTNOTES)
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_TASKLISTS)
    .union(Options::ENABLE_MATH);

/// Adds the links, addresses and tags in `text`, which begins on `first_line` of its file, to `edges`; returns its first
/// heading of level 1 that is not empty.
pub(super) fn scan(
    text: &str,
    first_line: u32,
    place: DocumentPlace<'_>,
    edges: &mut EdgeSet,
) -> Option<String> {
    let is_mdx = Path::new(place.name).extension().is_some_and(|it| it.eq_ignore_ascii_case("mdx"));
    let comments = comments::ranges(text, is_mdx);
    let comments = comments.as_slice();
    let mut scan = MarkdownScan {
        text,
        reached: (0, first_line),
        place,
        comments,
        edges,
        title: None,
        heading: None,
        in_code: false,
        in_link: 0,
    };
    for (event, range) in TextMergeWithOffset::new(Parser::new_ext(text, OPTIONS).into_offset_iter()) {
        scan.block(&event);
        scan.inline(&event, range);
    }
    scan.title
}

/// What was found so far, and where the parser is.
struct MarkdownScan<'a, 'e> {
    text: &'a str,
    /// A byte of it and the line that this is on. The events come in the order of the text.
    reached: (usize, u32),
    place: DocumentPlace<'a>,
    /// The ranges of the text that are comments, in order.
    comments: &'a [Range<usize>],
    edges: &'e mut EdgeSet,
    title: Option<String>,
    /// The text of the heading that the parser is in, if it may be the title.
    heading: Option<String>,
    in_code: bool,
    in_link: u32,
}

impl MarkdownScan<'_, '_> {
    /// Follows where the parser is.
    fn block(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(Tag::Heading { level: HeadingLevel::H1, .. }) if self.title.is_none() => {
                self.heading = Some(String::new());
            }
            Event::End(TagEnd::Heading(_)) => {
                let said = self.heading.take().map(|it| one_line(&it)).filter(|it| !it.is_empty());
                self.title = self.title.take().or(said);
            }
            Event::Start(Tag::CodeBlock(_)) => self.in_code = true,
            Event::End(TagEnd::CodeBlock) => self.in_code = false,
            Event::Start(Tag::Link { .. } | Tag::Image { .. }) => self.in_link += 1,
            Event::End(TagEnd::Link | TagEnd::Image) => self.in_link = self.in_link.saturating_sub(1),
            Event::SoftBreak | Event::HardBreak => self.add_to_heading(" "),
            _ => {}
        }
    }

    /// Takes what stands at `range` of the text, unless it is in a comment.
    fn inline(&mut self, event: &Event<'_>, range: Range<usize>) {
        match event {
            Event::Start(Tag::Link { link_type, dest_url, .. }) => self.add_link(*link_type, dest_url, range),
            // A picture is no connection between documents; an embedded page is.
            Event::Start(Tag::Image {
                link_type: link_type @ LinkType::WikiLink { .. }, dest_url, ..
            }) => {
                self.add_link(*link_type, dest_url, range);
            }
            Event::Text(said) => {
                self.add_to_heading(said);
                if self.in_code || self.in_link > 0 {
                    return;
                }
                for part in visible(range.clone(), self.comments) {
                    let said = if part == range { said } else { &self.text[part.clone()] };
                    self.prose(said, part);
                }
            }
            Event::Code(said) => self.add_to_heading(said),
            _ => {}
        }
    }

    /// Takes the tags and addresses of prose. An escaped `#` shows in the source alone.
    fn prose(&mut self, said: &str, range: Range<usize>) {
        self.reach(range.start);
        let is_escaped = self.text[..range.start].ends_with('\\');
        let source = &self.text[range];
        let source = if is_escaped { source.trim_start_matches('#') } else { source };
        tags(source).for_each(|tag| self.edges.add(EdgeKind::Tag, tag));
        autolink::addresses(said).for_each(|address| self.edges.add(EdgeKind::Url, &address));
    }

    /// What is added next is at the byte `at` of the text.
    fn reach(&mut self, at: usize) {
        let (before, line) = self.reached;
        if let Some(passed) = self.text.get(before..at) {
            self.reached = (at, line.saturating_add(newlines(passed)));
        }
        self.edges.line = Some(self.reached.1);
    }

    fn add_to_heading(&mut self, said: &str) {
        if let Some(heading) = &mut self.heading {
            heading.push_str(said);
        }
    }

    fn add_link(&mut self, link_type: LinkType, destination: &str, range: Range<usize>) {
        let after = self.comments.partition_point(|comment| comment.end <= range.start);
        if self.comments.get(after).is_some_and(|comment| comment.start <= range.start) {
            return;
        }
        self.reach(range.start);
        match link_type {
            LinkType::WikiLink { .. } if destination.starts_with("![") => {
                // To CommonMark this is a link around a picture.
                let after = self.text[range.end..].strip_prefix('(');
                if let Some((target, _)) = after.and_then(|it| it.split_once(')')) {
                    self.add_target(target);
                }
            }
            LinkType::WikiLink { .. } => {
                // The destination is what stands before the `|`.
                let inner = match self.place.dialect {
                    Dialect::Common | Dialect::Logseq => destination,
                    Dialect::Dendron => within_brackets(&self.text[range]),
                };
                if let Some(name) = target::of_wikilink(inner, self.place.dialect) {
                    self.edges.add(EdgeKind::Wikilink, name);
                }
            }
            LinkType::Email => self.edges.add(EdgeKind::Url, &format!("mailto:{destination}")),
            _ => self.add_target(destination),
        }
    }

    fn add_target(&mut self, destination: &str) {
        match target::of_link(destination, self.place) {
            Some(LinkTarget::Name(name)) => self.edges.add(EdgeKind::Link, &name),
            Some(LinkTarget::Url(url)) => self.edges.add(EdgeKind::Url, &url),
            None => {}
        }
    }
}

/// What is between the brackets of a wikilink.
fn within_brackets(link: &str) -> &str {
    let link = link.strip_prefix('!').unwrap_or(link);
    link.strip_prefix("[[").and_then(|it| it.strip_suffix("]]")).unwrap_or_default()
}

/// The parts of `range` that are in none of the `comments`, which are in order.
fn visible(range: Range<usize>, comments: &[Range<usize>]) -> impl Iterator<Item = Range<usize>> {
    let first = comments.partition_point(|comment| comment.end <= range.start);
    let within = comments[first..].iter().take_while(move |comment| comment.start < range.end);
    let begins = std::iter::once(range.start).chain(within.clone().map(|comment| comment.end));
    let ends = within.map(|comment| comment.start).chain(std::iter::once(range.end));
    begins.zip(ends).filter(|(begin, end)| begin < end).map(|(begin, end)| begin..end)
}

/// The words after a `#` at the start of a word; a number alone is an issue number, not a tag.
fn tags(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('#').filter_map(|(at, _)| {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| !c.is_whitespace() && !"([{\"'".contains(c)) {
            return None;
        }
        let rest = &text[at + 1..];
        let end = rest.find(|c: char| !is_in_a_tag(c)).unwrap_or(rest.len());
        let tag = rest[..end].trim_end_matches(['/', '-']);
        tag.chars().any(|c| c.is_alphabetic() || !c.is_ascii() && !c.is_numeric()).then_some(tag)
    })
}

/// Letters, digits, `_`, `-`, `/`, and what is neither punctuation nor blank outside of ASCII, such as an emoji.
fn is_in_a_tag(c: char) -> bool {
    /// Joins the parts of an emoji.
    const JOINER: char = '\u{200d}';
    match c {
        '_' | '-' | '/' | JOINER => true,
        c if c.is_alphanumeric() => true,
        // The punctuation of Latin, of all scripts, of Chinese and Japanese, and their wide forms of ASCII's.
        '\u{a0}'..='\u{bf}'
        | '\u{2000}'..='\u{206f}'
        | '\u{2e00}'..='\u{2e7f}'
        | '\u{3000}'..='\u{303f}'
        | '\u{ff00}'..='\u{ff0f}'
        | '\u{ff1a}'..='\u{ff20}'
        | '\u{ff3b}'..='\u{ff40}'
        | '\u{ff5b}'..='\u{ff65}' => false,
        c => !c.is_ascii() && !c.is_whitespace() && !c.is_control(),
    }
}
