//! The comments of dialects of Markdown: what stands in them is no link and no tag.

use std::ops::Range;

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::markdown;

/// What begins and ends a comment of Obsidian, for every document.
const PERCENT: [&str; 2] = ["%%", "%%"];
/// The same of MDX, where an expression is a comment alone.
const BRACES: [&str; 2] = ["{/*", "*/}"];

/// The ranges of `text` that are comments, in order and apart. A mark in code begins none, nor does one that is not
/// closed.
pub(super) fn ranges(text: &str, is_mdx: bool) -> Vec<Range<usize>> {
    let marks = if is_mdx { &[PERCENT, BRACES][..] } else { &[PERCENT] };
    if !marks.iter().any(|[begin, _]| text.contains(begin)) {
        return Vec::new();
    }
    let code = code_ranges(text);
    let mut found: Vec<Range<usize>> = Vec::new();
    for [begin, end] in marks {
        let mut from = 0;
        while let Some(at) = next(text, begin, from, &code) {
            let Some(ends) = next(text, end, at + begin.len(), &code) else { break };
            from = ends + end.len();
            found.push(at..from);
        }
    }
    found.sort_by_key(|range| range.start);
    // A comment of one kind hides those of the other in it.
    found.dedup_by(|later, earlier| later.start < earlier.end);
    found
}

/// The first `mark` at `from` or behind it that is not in code.
fn next(text: &str, mark: &str, from: usize, code: &[Range<usize>]) -> Option<usize> {
    let mut from = from;
    loop {
        let at = from + text.get(from..)?.find(mark)?;
        let after = code.partition_point(|range| range.end <= at);
        match code.get(after).filter(|range| range.start <= at) {
            Some(range) => from = range.end,
            None => return Some(at),
        }
    }
}

fn code_ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    let mut block = None;
    for (event, range) in Parser::new_ext(text, markdown::OPTIONS).into_offset_iter() {
        match event {
            Event::Start(Tag::CodeBlock(_)) => block = Some(range),
            Event::End(TagEnd::CodeBlock) => ranges.extend(block.take()),
            Event::Code(_) => ranges.push(range),
            _ => {}
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comments(text: &str, is_mdx: bool) -> Vec<&str> {
        ranges(text, is_mdx).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn comments_are_closed_and_outside_of_code() {
        assert_eq!(comments("a %%b%% c\n\n%%\nd\n%%\ne", false), ["%%b%%", "%%\nd\n%%"]);
        assert_eq!(comments("`%%` a %%b `%%` c%% d %% e", false), ["%%b `%%` c%%"]);
        assert_eq!(comments("```\n%% cell\n```\n50 %% of\n", false), [""; 0]);
        assert_eq!(comments("a {/* b */} c %%d%%", true), ["{/* b */}", "%%d%%"]);
        assert_eq!(comments("a {/* b */} c", false), [""; 0]);
        assert_eq!(comments("%%a {/* b */} c%% d {/* %% */} e", true), ["%%a {/* b */} c%%", "{/* %% */}"]);
        assert_eq!(comments("%% a {/* b */} c", true), ["{/* b */}"], "the first one is not closed");
    }
}
