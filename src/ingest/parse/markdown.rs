//! The first heading, the links and the tags of a Markdown text.

use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd, TextMergeStream};

use super::{
    DocumentPlace, EdgeSet,
    target::{self, LinkTarget},
};
use crate::snapshot::EdgeKind;

/// The most ASCII punctuation and line breaks in the text that is searched. For each one that may be markup the parser
/// keeps about 85 bytes and takes up to 0.7 µs: 90 MB and 0.7 s. 16 MiB of prose have about as many.
const MOST_MARKS: usize = 1 << 20;

/// The start of `text` that is searched for markup: all of it, or as many lines as have at most [`MOST_MARKS`].
pub(super) fn searched(text: &str) -> &str {
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

/// Adds the links and tags in `text` to `edges`; returns its first non-empty heading.
pub(super) fn scan(text: &str, place: DocumentPlace<'_>, edges: &mut EdgeSet) -> Option<String> {
    let options = Options::ENABLE_WIKILINKS
        | Options::ENABLE_TABLES
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_TASKLISTS;
    let mut first_heading = None;
    let mut heading: Option<String> = None;
    let (mut in_code, mut in_link) = (false, 0_u32);
    for event in TextMergeStream::new(Parser::new_ext(text, options)) {
        match event {
            Event::Start(Tag::Heading { .. }) if first_heading.is_none() => heading = Some(String::new()),
            Event::End(TagEnd::Heading(_)) => {
                let said = heading.take().map(|it| one_line(&it)).filter(|it| !it.is_empty());
                first_heading = first_heading.or(said);
            }
            Event::Start(Tag::CodeBlock(_)) => in_code = true,
            Event::End(TagEnd::CodeBlock) => in_code = false,
            Event::Start(Tag::Link { link_type, dest_url, .. }) => {
                in_link += 1;
                add_link(link_type, &dest_url, place, edges);
            }
            Event::Start(Tag::Image { link_type, dest_url, .. }) => {
                in_link += 1;
                // A picture is no connection between documents; an embedded page is.
                if matches!(link_type, LinkType::WikiLink { .. }) {
                    add_link(link_type, &dest_url, place, edges);
                }
            }
            Event::End(TagEnd::Link | TagEnd::Image) => in_link = in_link.saturating_sub(1),
            Event::Text(said) => {
                if !in_code && in_link == 0 {
                    tags(&said).for_each(|tag| edges.add(EdgeKind::Tag, tag));
                }
                if let Some(heading) = &mut heading {
                    heading.push_str(&said);
                }
            }
            Event::Code(said) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&said);
                }
            }
            Event::SoftBreak | Event::HardBreak => {
                if let Some(heading) = &mut heading {
                    heading.push(' ');
                }
            }
            _ => {}
        }
    }
    first_heading
}

fn add_link(link_type: LinkType, destination: &str, place: DocumentPlace<'_>, edges: &mut EdgeSet) {
    match link_type {
        LinkType::WikiLink { .. } => {
            if let Some(name) = target::of_wikilink(destination) {
                edges.add(EdgeKind::Wikilink, name);
            }
        }
        LinkType::Email => edges.add(EdgeKind::Url, &format!("mailto:{destination}")),
        _ => match target::of_link(destination, place) {
            Some(LinkTarget::Name(name)) => edges.add(EdgeKind::Link, &name),
            Some(LinkTarget::Url(url)) => edges.add(EdgeKind::Url, &url),
            None => {}
        },
    }
}

/// The words after a `#` at the start of a word; a number alone is an issue number, not a tag.
fn tags(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('#').filter_map(|(at, _)| {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| !c.is_whitespace() && !"([{\"'".contains(c)) {
            return None;
        }
        let rest = &text[at + 1..];
        let end = rest.find(|c: char| !c.is_alphanumeric() && !"_-/".contains(c)).unwrap_or(rest.len());
        let tag = rest[..end].trim_end_matches(['/', '-']);
        tag.chars().any(char::is_alphabetic).then_some(tag)
    })
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
