//! The properties of a page of Logseq: lines `key:: value` at the beginning of its text, which stay a part of it.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{EdgeSet, front_matter};
use crate::{snapshot::EdgeKind, text::one_line};

/// The longest start of a text that is searched for properties, in bytes: as much as front matter may have.
const LARGEST: usize = 64 << 10;

/// The properties whose values are names of pages, and no links.
const NAMES: [&str; 3] = ["alias", "tags", "title"];

/// Adds the aliases and tags of a page to `edges`. They stand in `values`, its front matter, which Logseq reads as
/// properties too, and at the beginning of `body`, which is on `first_line` of its file. Returns its title, which is an
/// alias too, and `body` as it is searched for links and tags.
pub(super) fn read<'a>(
    values: Option<&Map<String, Value>>,
    body: &'a str,
    first_line: u32,
    edges: &mut EdgeSet,
) -> (Option<String>, Cow<'a, str>) {
    if let Some(values) = values {
        of_front_matter(values, edges);
    }
    let mut title = None;
    for (Property { key, value, .. }, line) in properties(body).zip(first_line..) {
        edges.line = Some(line);
        match key.to_ascii_lowercase().as_str() {
            "alias" => add_all(&EdgeKind::Alias, value, edges),
            "tags" => add_all(&EdgeKind::Tag, value, edges),
            "title" if title.is_none() => {
                let said = name(value);
                edges.add(EdgeKind::Alias, &said);
                title = Some(said).filter(|it| !it.is_empty());
            }
            _ => {}
        }
    }
    edges.line = None;
    (title, without_names(body))
}

fn of_front_matter(values: &Map<String, Value>, edges: &mut EdgeSet) {
    for value in ["alias", "aliases"].iter().filter_map(|key| values.get(*key)) {
        match value {
            Value::String(text) => add_all(&EdgeKind::Alias, text, edges),
            Value::Array(values) => {
                let texts = values.iter().filter_map(Value::as_str);
                texts.for_each(|text| edges.add(EdgeKind::Alias, &name(text)));
            }
            _ => {}
        }
    }
    if let Some(title) = front_matter::text(values, &["title"]) {
        edges.add(EdgeKind::Alias, &title);
    }
}

fn add_all(kind: &EdgeKind, list: &str, edges: &mut EdgeSet) {
    for item in items(list) {
        edges.add(kind.clone(), &name(item));
    }
}

/// `body` without brackets and `#` in the properties that [`read`] reads, of the same length.
fn without_names(body: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(body);
    let mut at = body.len() - without_bullet(body).len();
    for Property { line, key, .. } in properties(body) {
        if NAMES.iter().any(|name| name.eq_ignore_ascii_case(key)) {
            text.to_mut().replace_range(at..at + line.len(), &line.replace(['[', ']', '#'], " "));
        }
        at += line.len();
    }
    text
}

#[derive(Debug)]
struct Property<'a> {
    /// With its end.
    line: &'a str,
    key: &'a str,
    value: &'a str,
}

/// The properties at the start of `body`.
fn properties(body: &str) -> impl Iterator<Item = Property<'_>> {
    let start = &body[..body.floor_char_boundary(LARGEST)];
    // A line that is cut is none.
    let is_whole = |line: &&str| line.ends_with('\n') || start.len() == body.len();
    without_bullet(start).split_inclusive('\n').take_while(is_whole).map_while(property)
}

/// `body` without the mark of its first list item: all blocks of Logseq are list items.
fn without_bullet(body: &str) -> &str {
    body.strip_prefix("- ").unwrap_or(body)
}

fn property(line: &str) -> Option<Property<'_>> {
    let (key, value) = line.trim().split_once("::")?;
    let is_key = !key.is_empty() && !key.contains(|c: char| c.is_whitespace() || "[]():`".contains(c));
    let is_apart = value.is_empty() || value.starts_with(char::is_whitespace);
    (is_key && is_apart).then_some(Property { line, key, value: value.trim() })
}

/// The parts of `list` between commas that are not within `[[…]]`.
fn items(list: &str) -> Vec<&str> {
    // Brackets that are not closed are text.
    let last_end = list.rfind("]]").unwrap_or(0);
    let (mut items, mut start, mut at) = (Vec::new(), 0, 0);
    while let Some(found) = list[at..].find([',', '[']) {
        at += found;
        let link = list[at..].strip_prefix("[[").filter(|_| at < last_end);
        if list[at..].starts_with(',') {
            items.push(&list[start..at]);
            start = at + 1;
        }
        at += link.and_then(|inner| inner.find("]]")).map_or(1, |length| length + "[[]]".len());
    }
    items.push(&list[start..]);
    items
}

/// The name of a page, without `#` and brackets.
fn name(item: &str) -> String {
    let item = item.trim();
    let item = item.strip_prefix('#').unwrap_or(item);
    let inner = item.strip_prefix("[[").and_then(|it| it.strip_suffix("]]"));
    one_line(inner.unwrap_or(item))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Dialect, DocumentPlace, MOST_EDGES, ParsedDocument, parse},
        *,
    };
    use crate::{fuzz::for_a_while, fuzz_edits::edited_text};

    fn of(dialect: Dialect, text: &str) -> ParsedDocument {
        parse(DocumentPlace { name: "g/pages/page.md", prefix: "g/", dialect }, text.to_owned())
    }

    fn targets(text: &str, kind: &EdgeKind) -> Vec<String> {
        let edges = of(Dialect::Logseq, text).edges;
        edges.into_keys().filter(|edge| edge.kind == *kind).map(|edge| edge.target).collect()
    }

    fn aliases(text: &str) -> Vec<String> {
        targets(text, &EdgeKind::Alias)
    }

    #[test]
    fn a_page_has_a_title_aliases_and_tags_and_its_text_stays_whole() {
        let text =
            "- Title:: The Page\n  ALIAS:: Foo, [[Bar  Baz]],C#\n  tags:: a, [[b c]], #d, #[[e f]]\n- text\n";
        let page = of(Dialect::Logseq, text);
        assert_eq!((page.title.as_str(), page.body.as_str()), ("The Page", text));
        assert_eq!(aliases(text), ["Bar Baz", "C#", "Foo", "The Page"]);
        assert_eq!(targets(text, &EdgeKind::Tag), ["a", "b c", "d", "e f"]);
        let lines: Vec<_> = page
            .edges
            .iter()
            .filter(|(edge, _)| edge.kind == EdgeKind::Alias)
            .map(|(_, line)| *line)
            .collect();
        assert_eq!(lines, [Some(2), Some(2), Some(2), Some(1)]);
    }

    #[test]
    fn names_are_no_links_unless_they_stand_elsewhere_too() {
        let text = "- alias:: [[ü]]\n  tags:: [[t]], [[u]]\n  related:: [[r]]\n- [[u]] #x\n";
        assert_eq!(targets(text, &EdgeKind::Wikilink), ["r", "u"]);
        assert_eq!(targets(text, &EdgeKind::Tag), ["t", "u", "x"]);
        let lines = of(Dialect::Logseq, text).edges;
        let place = lines.iter().find(|(edge, _)| edge.kind == EdgeKind::Wikilink && edge.target == "u");
        assert_eq!(place.and_then(|(_, line)| *line), Some(4));
    }

    #[test]
    fn in_other_folders_the_same_text_is_text() {
        let text = "title:: The Page\nalias:: Foo\ntags:: a\n\n# Heading\n";
        for dialect in [Dialect::Common, Dialect::Dendron] {
            let page = of(dialect, text);
            assert_eq!((page.title.as_str(), page.edges.len(), page.body.as_str()), ("Heading", 0, text));
        }
        assert_eq!(of(Dialect::Logseq, text).title, "The Page");
        let place = DocumentPlace { name: "g/a.txt", prefix: "g/", dialect: Dialect::Logseq };
        assert!(parse(place, text.to_owned()).edges.is_empty(), "plain text has no markup");
    }

    #[test]
    fn only_lines_at_the_beginning_are_properties() {
        assert_eq!(aliases("id:: 1\r\nalias:: a\r\n"), ["a"]);
        for text in [
            "text\nalias:: a\n",
            "- a block\n  alias:: a\n",
            "\nalias:: a\n",
            "alias::a\n",
            "`alias:: a`\n",
            "[alias:: a]\n",
            "an alias:: a\n",
            "std::vector\nalias:: a\n",
            "alias: a\n",
        ] {
            assert_eq!(aliases(text), [""; 0], "{text:?}");
        }
    }

    #[test]
    fn front_matter_has_aliases_too_and_its_title_comes_first() {
        let text = "---\ntitle: Front\naliases: [one, '[[two]]', 3]\nalias: four, five\n---\ntitle:: Page\nalias:: six\n";
        assert_eq!(aliases(text), ["Front", "Page", "five", "four", "one", "six", "two"]);
        let page = of(Dialect::Logseq, text);
        assert_eq!(page.title, "Front");
        let six = page.edges.iter().find(|(edge, _)| edge.target == "six").and_then(|(_, line)| *line);
        assert_eq!(six, Some(7));
    }

    #[test]
    fn commas_within_brackets_are_part_of_a_name_and_open_brackets_are_text() {
        for (list, expected) in [
            ("[[a, b]], c", &["a, b", "c"][..]),
            ("[[a, b", &["[[a", "b"]),
            ("a]], [[b, c]] d, [[e", &["[[b, c]] d", "[[e", "a]]"]),
            ("", &[]),
            (", ,, [[]], #, [[ ]]", &[]),
            ("ü, 日本", &["ü", "日本"]),
        ] {
            assert_eq!(aliases(&format!("alias:: {list}\n")), expected, "{list}");
        }
        assert_eq!(aliases("alias::"), [""; 0]);
        assert_eq!(aliases("alias:: a"), ["a"], "the last line has no end");
    }

    #[test]
    fn a_line_that_is_too_long_is_text() {
        for part in ["a, ", "[[", "]]", "[[,"] {
            let text = format!("alias:: {}\ntags:: t\n", part.repeat(1 << 18));
            assert_eq!(aliases(&text), [""; 0], "{part}");
        }
        let text = format!("alias:: first\nalias:: {}", "a".repeat(LARGEST));
        assert_eq!(aliases(&text), ["first"]);
    }

    #[test]
    fn fuzz_a_page_never_panics() {
        let seeds = [
            "- title:: [[A, b]]\n  alias:: [[a, b]], c, #[[d]]\n  tags:: e,f\n- text\n",
            "---\nalias: [a, '[[b]]']\n---\nalias:: ü, [[日本\r\ntags::\r\n",
        ];
        for_a_while("page properties", |runner| {
            runner.run(&edited_text(&seeds), |text| {
                let page = of(Dialect::Logseq, &text);
                proptest::prop_assert!(text.ends_with(&page.body));
                proptest::prop_assert!(!page.title.is_empty() && !page.title.contains('\n'));
                proptest::prop_assert!(page.edges.len() <= MOST_EDGES);
                proptest::prop_assert!(page.edges.keys().all(|edge| !edge.target.is_empty()));
                Ok(())
            })
        });
    }
}
