//! What is read of a document, from its text alone.

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
            prop_assert!(document.edges.keys().all(|edge| !edge.target.is_empty()));
            if let Some(values) = &document.front_matter {
                prop_assert!(serde_json::from_str::<serde_json::Map<String, Value>>(values).is_ok());
            }
            Ok(())
        })
    });
}

const PLACE: DocumentPlace<'_> =
    DocumentPlace { name: "/notes/sub/page.md", prefix: "/notes/", dialect: Dialect::Common };

fn edges(document: &ParsedDocument) -> Vec<(EdgeKind, &str)> {
    document.edges.keys().map(|edge| (edge.kind.clone(), edge.target.as_str())).collect()
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
    assert_eq!(parsed("text\n\n# *Head* `of` it\nmore\n# Second\n").title, "Head of it");
    assert_eq!(parsed("text\n\n## Part\n\nTitle\n=====\n").title, "Title", "a part is no title");
    assert_eq!(parsed("text\n\n## Part\n").title, "page");
    assert_eq!(parsed("text").title, "page");
    assert_eq!(parsed("# \n").title, "page");
    assert_eq!(
        parse(
            DocumentPlace { name: "/n/a.b.txt", prefix: "/n/", dialect: Dialect::Common },
            "# no heading".to_owned()
        )
        .title,
        "a.b"
    );
    assert_eq!(
        parse(DocumentPlace { name: "/n/.md", prefix: "/n/", dialect: Dialect::Common }, String::new()).title,
        ".md"
    );
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
    for text in ["---\na: [1\n---\nBody\n", "+++\na = \n+++\nBody\n"] {
        let document = parsed(text);
        assert_eq!((document.front_matter, document.body.as_str()), (None, "Body\n"), "{text}");
        assert_eq!(document.warnings.len(), 1, "{text}");
        assert!(!document.warnings[0].contains('\n'), "{:?}", document.warnings);
    }
}

#[test]
fn one_odd_value_is_reported_and_the_rest_kept() {
    for text in ["---\na: 1\nday: .nan\n---\nBody\n", "+++\na = 1\nday = nan\n+++\nBody\n"] {
        let document = parsed(text);
        let values = document.front_matter.expect("there is one");
        assert!(values.starts_with(r#"{"a":1,"day":""#), "{values}");
        assert_eq!(document.warnings.len(), 1, "{text}");
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
    let place = DocumentPlace { name: "wiki/page.md", prefix: "wiki/", dialect: Dialect::Common };
    let document = parse(place, "[a](../x.md) [b](y.md)".to_owned());
    assert_eq!(edges(&document), typed(&[("link", "../x.md"), ("link", "wiki/y.md")]));
}

#[test]
fn wikilinks_lose_alias_and_part() {
    let document =
        parsed("[[Plain]] [[dir/Page#Part|alias]] [[Block^id]] ![[Embedded]] [[#here]] [[ ]] `[[code]]`");
    let names =
        [("wikilink", "Block"), ("wikilink", "Embedded"), ("wikilink", "Plain"), ("wikilink", "dir/Page")];
    assert_eq!(edges(&document), typed(&names));
}

#[test]
fn the_label_comes_first_where_the_documents_are_of_dendron() {
    let text =
        "---\nup: \"[[shown|top.page]]\"\n---\n[[A label|dev.page#part]] ![[other.page]] [[x\\|in.table]]";
    let dendron = DocumentPlace { dialect: Dialect::Dendron, ..PLACE };
    let expected = [
        ("relation:up", "top.page"),
        ("wikilink", "dev.page"),
        ("wikilink", "in.table"),
        ("wikilink", "other.page"),
    ];
    assert_eq!(edges(&parse(dendron, text.to_owned())), typed(&expected));
    assert!(edges(&parsed(text)).contains(&(EdgeKind::Wikilink, "A label")));
}

#[test]
fn the_dialect_is_that_of_the_program_that_keeps_the_folder() {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("logseq"), "a file").expect("a file");
    assert_eq!(Dialect::of(dir.path()), Dialect::Common);
    std::fs::remove_file(dir.path().join("logseq")).expect("it was there");
    std::fs::create_dir(dir.path().join("logseq")).expect("a folder");
    assert_eq!(Dialect::of(dir.path()), Dialect::Logseq);
    std::fs::write(dir.path().join("dendron.yml"), "version: 5\n").expect("a file");
    assert_eq!(Dialect::of(dir.path()), Dialect::Dendron);
}

#[test]
fn an_alias_in_a_table_is_no_part_of_the_name() {
    let table = parsed("|a|b|\n|-|-|\n|[[Target\\|x]]|![[pic.png\\|100]]|\n");
    assert_eq!(edges(&table), typed(&[("wikilink", "Target"), ("wikilink", "pic.png")]));
}

#[test]
fn what_is_no_name_is_no_wikilink() {
    let document = parsed("[[a\nb]] [[![x](p.png)]](https://y.org) [[a]b]]");
    assert_eq!(edges(&document), typed(&[("url", "https://y.org")]));
    let front = parsed("---\nup: \"[[A]], [[B]]\"\n---\n");
    assert_eq!(edges(&front), typed(&[("relation:up", "A"), ("relation:up", "B")]));
}

#[test]
fn addresses_in_prose_are_edges_and_those_in_code_are_none() {
    let document = parsed(
        "See https://example.org/a_b#part, (http://x.org/y) or www.example.org. `https://code.org`\n\n    https://code.org\n\n\
         [https://shown.org](https://meant.org)",
    );
    let found =
        ["http://www.example.org", "http://x.org/y", "https://example.org/a_b#part", "https://meant.org"];
    assert_eq!(edges(&document), typed(&found.map(|it| ("url", it))));
}

#[test]
fn comments_and_formulas_have_no_links_and_tags() {
    let hidden = "%%[[a]] #b https://c.org%% $[[d]]$ <!-- [[e]] -->\n\n%%\n[f](g.md)\n%%";
    assert_eq!(edges(&parsed(hidden)), []);
    let shown = parsed("%%no%% [[a]] %%no%% #b costs $5 [[c]] and $6");
    assert_eq!(edges(&shown), typed(&[("tag", "b"), ("wikilink", "a"), ("wikilink", "c")]));
    let mdx = DocumentPlace { name: "/n/a.mdx", prefix: "/n/", dialect: Dialect::Common };
    assert!(parse(mdx, "{/* [[a]] #b */}".to_owned()).edges.is_empty());
    assert_eq!(parsed("{/* [[a]] */}").edges.len(), 1, "to Markdown these are braces");
}

#[test]
fn a_tag_is_whole_and_counts_once_in_whatever_case() {
    let of = |text: &str| -> Vec<String> { parsed(text).edges.into_keys().map(|it| it.target).collect() };
    assert_eq!(of("\\#no &#35;no a&#35;no"), [""; 0]);
    assert_eq!(of("#Work #work #WORK"), ["Work"]);
    assert_eq!(of("---\ntags: [Work]\n---\n#work"), ["Work"]);
    assert_eq!(of("#🎉 #to-do✅, #👩‍🚀/log。 #中文，no"), ["to-do✅", "中文", "🎉", "👩‍🚀/log"]);
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
    let prose = "Some plain words of a long text [with](x.md) a link and a #tag in each of its many lines\n";
    let document = parsed(&prose.repeat((3 << 20) / prose.len()));
    assert_eq!((document.warnings.len(), document.edges.len()), (0, 2));
}

#[test]
fn hostile_text_does_no_harm() {
    let deep = 50_000;
    let hostile = [
        format!("---\na: {}{}\n---\nBody", "[".repeat(deep), "]".repeat(deep)),
        format!("---\n{}\n---\nBody", (0..2000).map(|i| " ".repeat(i) + "a:").collect::<Vec<_>>().join("\n")),
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

#[test]
fn each_edge_has_the_line_of_its_first_place_in_the_file() {
    let lines = |text: &str| -> Vec<(String, Option<u32>)> {
        parsed(text).edges.into_iter().map(|(edge, line)| (edge.target, line)).collect()
    };
    let at = |found: &[(&str, Option<u32>)]| -> Vec<(String, Option<u32>)> {
        found.iter().map(|(target, line)| ((*target).to_owned(), *line)).collect()
    };
    let text = "---\nup: '[[Top]]'\n---\nOne [[b]]\ntwo #tag\n\n- [[a]]\n- [[b]]\n\n|x|\n|-|\n|[[c]]|\n";
    let expected = [("Top", None), ("tag", Some(5)), ("a", Some(7)), ("b", Some(4)), ("c", Some(12))];
    assert_eq!(lines(text), at(&expected));
    assert_eq!(lines("\u{feff}[[a]]\r\n[[b]]"), at(&[("a", Some(1)), ("b", Some(2))]));
}
