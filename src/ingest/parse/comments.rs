//! The comments of dialects of Markdown: what stands in them is no link and no tag.

use std::ops::Range;

use pulldown_cmark::{Event, Parser, Tag, TagEnd};

use super::markdown;

/// A pair of marks around a comment.
struct CommentMarks {
    begin: &'static str,
    end: &'static str,
}

/// Obsidian's, for every document.
const PERCENT: CommentMarks = CommentMarks { begin: "%%", end: "%%" };
/// Those of MDX, where an expression is a comment alone.
const BRACES: CommentMarks = CommentMarks { begin: "{/*", end: "*/}" };

/// The ranges of `text` that are comments, in order. A mark in code begins none, nor does one that is not closed.
pub(super) fn ranges(text: &str, is_mdx: bool) -> Vec<Range<usize>> {
    let used = [(PERCENT, true), (BRACES, is_mdx)];
    let mut found = Vec::new();
    for (marks, _) in used.iter().filter(|(marks, is_used)| *is_used && text.contains(marks.begin)) {
        let code = code_ranges(text);
        let mut from = 0;
        while let Some(begin) = next(text, marks.begin, from, &code) {
            let inside = begin + marks.begin.len();
            let Some(end) = next(text, marks.end, inside, &code) else { break };
            from = end + marks.end.len();
            found.push(begin..from);
        }
    }
    found.sort_by_key(|range| range.start);
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
    }
}
