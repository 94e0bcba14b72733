//! From a file to a document, before the write lock is taken: read, hash, front matter, title, links.

mod file;
pub mod front_matter;
mod markdown;
mod target;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use serde_json::Value;

pub use self::file::{FileOutcome, LARGEST, read};
use self::front_matter::FrontMatter;
use super::discover::FileStamp;
use crate::snapshot::EdgeKind;

/// The most links and tags that are stored for one document: more would hold the write lock for too long.
pub const MOST_EDGES: usize = 10_000;

/// BLAKE3 of a file's bytes.
pub type ContentHash = [u8; 32];

/// A document, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedDocument {
    pub file: PathBuf,
    pub name: String,
    pub folder: usize,
    /// From the front matter, else the first heading, else the file's name without its extension.
    pub title: String,
    /// `type` or `kind` of the front matter, else `document`.
    pub kind: String,
    /// The front matter as JSON.
    pub front_matter: Option<String>,
    /// The text without the front matter.
    pub body: String,
    /// Size and time of change of the content that was read.
    pub stamp: FileStamp,
    /// Hash of the content that was read.
    pub hash: ContentHash,
    /// Links, wikilinks, tags, relations; each once.
    pub edges: BTreeSet<DocumentEdge>,
    /// What was left out, and why.
    pub warnings: Vec<String>,
}

/// A connection from a document to a target.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DocumentEdge {
    pub kind: EdgeKind,
    /// A document's name, an address, a wiki name or a tag.
    pub target: String,
}

/// Where a document is, to resolve what it links to.
#[derive(Debug, Clone, Copy)]
pub struct DocumentPlace<'a> {
    pub name: &'a str,
    /// Prefix of the names of its folder's documents.
    pub prefix: &'a str,
}

/// Parses `text`; fields that only the file can supply stay empty.
pub fn parse(place: DocumentPlace<'_>, text: String) -> ParsedDocument {
    let mut warnings = Vec::new();
    let (values, body) = match front_matter::split(&text) {
        FrontMatter::None => (None, without_byte_order_mark(text)),
        FrontMatter::Values { values, body } => (Some(values), body.to_owned()),
        FrontMatter::Malformed { reason, body } => {
            warnings.push(format!("the front matter was left out: {reason}"));
            (None, body.to_owned())
        }
    };
    let mut edges = EdgeSet::default();
    let mut heading = None;
    // Plain text has no markup: what resembles a heading or a tag there may be a comment or a number.
    if !Path::new(place.name).extension().is_some_and(|it| it.eq_ignore_ascii_case("txt")) {
        let searched = markdown::searched(&body);
        if searched.len() < body.len() {
            warnings.push(format!(
                "links, tags and headings were searched in its first {} KiB only: it has too much markup",
                searched.len() >> 10
            ));
        }
        heading = markdown::scan(searched, place, &mut edges);
    }
    if let Some(values) = &values {
        front_matter::relations(values, place, &mut edges);
    }
    if edges.left_out {
        warnings.push(format!("only the first {MOST_EDGES} links and tags were stored"));
    }
    let title = values.as_ref().and_then(|it| front_matter::text(it, &["title"])).or(heading);
    ParsedDocument {
        file: PathBuf::new(),
        name: place.name.to_owned(),
        folder: 0,
        title: title.unwrap_or_else(|| stem(place.name).to_owned()),
        kind: values
            .as_ref()
            .and_then(|it| front_matter::text(it, &["type", "kind"]))
            .unwrap_or_else(|| "document".to_owned()),
        front_matter: values.map(|values| Value::Object(values).to_string()),
        body,
        stamp: FileStamp { bytes: 0, modified_ns: 0 },
        hash: ContentHash::default(),
        edges: edges.kept,
        warnings,
    }
}

/// The last part of a document's name, without its extension.
pub fn stem(name: &str) -> &str {
    let file = name.rsplit('/').next().unwrap_or(name);
    match file.rsplit_once('.') {
        Some((stem, _)) if !stem.is_empty() => stem,
        _ => file,
    }
}

fn without_byte_order_mark(text: String) -> String {
    match text.strip_prefix('\u{feff}') {
        Some(rest) => rest.to_owned(),
        None => text,
    }
}

/// Edges, each once, up to [`MOST_EDGES`].
#[derive(Debug, Default)]
struct EdgeSet {
    kept: BTreeSet<DocumentEdge>,
    left_out: bool,
}

impl EdgeSet {
    fn add(&mut self, kind: EdgeKind, target: &str) {
        if target.is_empty() {
            return;
        }
        let edge = DocumentEdge { kind, target: target.to_owned() };
        if self.kept.len() < MOST_EDGES {
            self.kept.insert(edge);
        } else {
            self.left_out |= !self.kept.contains(&edge);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic;

    use proptest::prelude::*;

    use super::*;
    use crate::{fuzz::for_a_while, fuzz_edits::edited_text};

    #[test]
    fn fuzz_document() {
        let seeds = [
            "---\ntitle: A\ntags: [one, '#two']\nrelated: ['[[Page|x]]', other.md]\nday: 2024-01-02\n---\n# Head\n",
            "+++\nkind = \"task\"\nlist = [1, 2.5, true]\n[a.b]\nc = 1\n+++\n[[x|y]] ![p](q.png) <https://e.org>\n",
            "# *Head* `of`\n\n> - [ ] [a](../b.md#c \"t\") #tag\n\n|a|b|\n|-|-|\n|[[w]]|~~x~~|\n\n[r]: d.md\n[^1]: n\n",
            "\u{feff}---\na: &a [x, *a]\nb: {c: 'd', e: [f]}\n...\n[%](%ff) [[#here^id]] &amp; \\[ ```\ncode\n```\n",
        ];
        for_a_while("document", |runner| {
            runner.run(&edited_text(&seeds), |text| {
                let document = parsed(&text);
                prop_assert!(text.ends_with(&document.body), "{:?}", document.body);
                prop_assert!(!document.title.is_empty() && !document.title.contains('\n'));
                prop_assert!(document.edges.len() <= MOST_EDGES);
                prop_assert!(document.edges.iter().all(|edge| !edge.target.is_empty()));
                if let Some(values) = &document.front_matter {
                    prop_assert!(serde_json::from_str::<serde_json::Map<String, Value>>(values).is_ok());
                }
                Ok(())
            })
        });
    }

    const PLACE: DocumentPlace<'_> = DocumentPlace { name: "/notes/sub/page.md", prefix: "/notes/" };

    fn edges(document: &ParsedDocument) -> Vec<(EdgeKind, &str)> {
        document.edges.iter().map(|edge| (edge.kind.clone(), edge.target.as_str())).collect()
    }

    // The same edges, with each kind as its text.
    fn typed<'a>(edges: &[(&str, &'a str)]) -> Vec<(EdgeKind, &'a str)> {
        edges.iter().map(|(kind, target)| (EdgeKind::from((*kind).to_owned()), *target)).collect()
    }

    fn parsed(text: &str) -> ParsedDocument {
        parse(PLACE, text.to_owned())
    }

    #[test]
    fn the_title_is_that_of_the_front_matter_then_of_the_first_heading_then_of_the_file() {
        assert_eq!(parsed("---\ntitle: Front\n---\n# Head\n").title, "Front");
        assert_eq!(parsed("text\n\n## *Head* `of` it\nmore\n# Second\n").title, "Head of it");
        assert_eq!(parsed("text").title, "page");
        assert_eq!(parsed("# \n").title, "page");
        assert_eq!(
            parse(DocumentPlace { name: "/n/a.b.txt", prefix: "/n/" }, "# no heading".to_owned()).title,
            "a.b"
        );
        assert_eq!(parse(DocumentPlace { name: "/n/.md", prefix: "/n/" }, String::new()).title, ".md");
    }

    #[test]
    fn front_matter_becomes_json_and_leaves_the_body() {
        let yaml = parsed("\u{feff}---\ntype: note\ncount: 3\nlist: [a, b]\n---\nBody\n");
        assert_eq!(yaml.front_matter.as_deref(), Some(r#"{"count":3,"list":["a","b"],"type":"note"}"#));
        assert_eq!((yaml.kind.as_str(), yaml.body.as_str()), ("note", "Body\n"));
        let toml = parsed("+++\r\nkind = \"task\"\r\nday = 2024-01-02\r\n+++\r\nBody");
        assert_eq!(toml.front_matter.as_deref(), Some(r#"{"day":"2024-01-02","kind":"task"}"#));
        assert_eq!((toml.kind.as_str(), toml.body.as_str()), ("task", "Body"));
    }

    #[test]
    fn malformed_front_matter_is_left_out_and_the_text_ingested() {
        for text in ["---\na: [1\n---\nBody\n", "+++\na = \n+++\nBody\n", "---\nday: .nan\n---\nBody\n"] {
            let document = parsed(text);
            assert_eq!((document.front_matter, document.body.as_str()), (None, "Body\n"), "{text}");
            assert_eq!(document.warnings.len(), 1, "{text}");
            assert!(!document.warnings[0].contains('\n'), "{:?}", document.warnings);
        }
    }

    #[test]
    fn a_rule_at_the_top_is_no_front_matter() {
        for text in ["---\n\njust prose\n\n---\nmore\n", "---\nnever closed: 1\n", "---", "+++"] {
            let document = parsed(text);
            assert_eq!((document.front_matter, document.body.as_str()), (None, text));
            assert_eq!(document.warnings, Vec::<String>::new());
        }
    }

    #[test]
    fn links_are_normalised_to_names() {
        let document = parsed(
            "[a](other.md) [b](../up.md#part) [c](/top.md?x) [d](my%20page.md) [e](#here) [f](a/./b/../c)\n\
             [g](https://example.org/x) <https://example.org/y> <me@example.org> [h](//host/x)\n\
             ![picture](p.png) [i]: ref\n\n[ref]\n\n[ref]: deep/ref.md\n",
        );
        let expected = [
            ("link", "/notes/sub/a/c"),
            ("link", "/notes/sub/deep/ref.md"),
            ("link", "/notes/sub/my page.md"),
            ("link", "/notes/sub/other.md"),
            ("link", "/notes/top.md"),
            ("link", "/notes/up.md"),
            ("url", "//host/x"),
            ("url", "https://example.org/x"),
            ("url", "https://example.org/y"),
            ("url", "mailto:me@example.org"),
        ];
        assert_eq!(edges(&document), typed(&expected));
    }

    #[test]
    fn a_link_out_of_a_named_root_stays_outside() {
        let place = DocumentPlace { name: "wiki/page.md", prefix: "wiki/" };
        let document = parse(place, "[a](../x.md) [b](y.md)".to_owned());
        assert_eq!(edges(&document), typed(&[("link", "../x.md"), ("link", "wiki/y.md")]));
    }

    #[test]
    fn wikilinks_lose_alias_and_part() {
        let document =
            parsed("[[Plain]] [[dir/Page#Part|alias]] [[Block^id]] ![[Embedded]] [[#here]] [[ ]] `[[code]]`");
        let names = [
            ("wikilink", "Block"),
            ("wikilink", "Embedded"),
            ("wikilink", "Plain"),
            ("wikilink", "dir/Page"),
        ];
        assert_eq!(edges(&document), typed(&names));
    }

    #[test]
    fn tags_are_words_after_a_hash_outside_of_code_and_links() {
        let document = parsed(
            "# Title\n#first and (#second) a#no #12 #a1 #nested/tag_x-y. #ünï *#bold*\n\n    #code\n\n`#code` [#link](x.md)\n",
        );
        let tags: Vec<_> =
            edges(&document).into_iter().filter(|(kind, _)| *kind == EdgeKind::Tag).map(|it| it.1).collect();
        assert_eq!(tags, ["a1", "bold", "first", "nested/tag_x-y", "second", "ünï"]);
    }

    #[test]
    fn front_matter_gives_tags_and_relations() {
        let document = parsed(
            "---\ntags: [one, '#two']\nrelated: ['[[Page|x]]', other.md, '[t](deep/x.md)']\nnested: [[Bare]]\n\
             source: https://example.org\ntitle: no.md\nsummary: just words\n---\n",
        );
        let expected = [
            ("relation:nested", "Bare"),
            ("relation:related", "/notes/sub/deep/x.md"),
            ("relation:related", "/notes/sub/other.md"),
            ("relation:related", "Page"),
            ("relation:source", "https://example.org"),
            ("tag", "one"),
            ("tag", "two"),
        ];
        assert_eq!(edges(&document), typed(&expected));
        let tags = parsed("---\ntags: one, two three\n---\n");
        assert_eq!(edges(&tags), typed(&[("tag", "one"), ("tag", "three"), ("tag", "two")]));
    }

    #[test]
    fn too_many_tags_are_cut_off_and_reported() {
        let text = (0..=MOST_EDGES).map(|number| format!("#t{number}")).collect::<Vec<_>>().join(" ");
        let document = parsed(&text);
        assert_eq!((document.edges.len(), document.warnings.len()), (MOST_EDGES, 1));
    }

    #[test]
    fn a_text_of_markup_alone_is_searched_in_part_and_that_is_reported() {
        for mark in ["[", ">", "*_", "a\n"] {
            let document = parsed(&("# Head\n[l](x.md)\n".to_owned() + &mark.repeat((3 << 20) / mark.len())));
            assert_eq!((document.title.as_str(), document.warnings.len()), ("Head", 1), "{mark}");
            assert_eq!(
                (edges(&document), document.body.len() > 3 << 20),
                (typed(&[("link", "/notes/sub/x.md")]), true)
            );
        }
        // The same number of bytes as prose.
        let prose =
            "Some plain words of a long text [with](x.md) a link and a #tag in each of its many lines\n";
        let document = parsed(&prose.repeat((3 << 20) / prose.len()));
        assert_eq!((document.warnings.len(), document.edges.len()), (0, 2));
    }

    #[test]
    fn hostile_text_does_no_harm() {
        let deep = 50_000;
        let hostile = [
            format!("---\na: {}{}\n---\nBody", "[".repeat(deep), "]".repeat(deep)),
            format!(
                "---\n{}\n---\nBody",
                (0..2000).map(|i| " ".repeat(i) + "a:").collect::<Vec<_>>().join("\n")
            ),
            "---\na: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n---\nBody".to_owned(),
            format!("+++\na = {}{}\n+++\nBody", "[".repeat(deep), "]".repeat(deep)),
            "[[".repeat(deep),
            "![[".repeat(deep) + &"]]".repeat(deep),
            "[".repeat(deep) + &"](".repeat(deep),
            "> ".repeat(deep),
            "* ".repeat(deep),
            "*_".repeat(deep),
            "<".repeat(deep),
            "`".repeat(deep) + "\n" + &"`~".repeat(deep),
            "#".repeat(deep),
            "[[a|]][[|b]][[]][[\n]]![[]]\0\u{0}[\u{202e}](\u{7f})".to_owned(),
            "---\n---\n---\n---".to_owned(),
            "%".repeat(deep) + "[a](%) [b](%f) [c](%ff%00)",
        ];
        for text in hostile {
            let start: String = text.chars().take(20).collect();
            let document = panic::catch_unwind(|| parsed(&text));
            assert!(document.is_ok(), "{start}");
        }
    }
}
