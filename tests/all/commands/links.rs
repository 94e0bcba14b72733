//! `waltop links`: what leads where.

use std::fs;

use serde_json::json;

use super::Home;

/// A home with `notes.db`, which has `documents` in it.
fn ingested(documents: &[(&str, &str)]) -> Home {
    let home = Home::new();
    write(&home, documents);
    ingest(&home);
    home
}

fn write(home: &Home, documents: &[(&str, &str)]) {
    for (name, text) in documents {
        let file = home.at(&format!("notes/{name}"));
        fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
        fs::write(file, text).expect("a document");
    }
}

fn ingest(home: &Home) {
    let said = home.run(&["ingest", "notes", "--root", "notes", "--db", "notes.db"]);
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[test]
fn each_link_leads_to_a_document_another_file_or_nowhere() {
    let home = ingested(&[
        ("index.md", "---\nup: '[[Gone]]'\n---\n[[b]]\n\n![[pic.png]] [code](../src/main.rs)\n"),
        ("b.md", "Text.\n[no](none.md) and [[Missing page|x]]\n#tag <https://example.org>\n"),
    ]);
    let said = home.run(&["links", "notes.db", "--json", "--broken", "--orphans"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let report: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    let expected = json!({ "documents": 2, "links": 6, "resolved": 1, "by_name": 0, "ambiguous": 0,
        "other_files": 2, "broken": 3, "orphans": 1 });
    assert_eq!(report["counts"], expected);
    let broken = |source: &str, line: Option<u32>, kind: &str, target: &str| json!({ "source": source, "line": line, "kind": kind, "target": target });
    let expected = json!([
        broken("notes/b.md", Some(2), "link", "notes/none.md"),
        broken("notes/b.md", Some(2), "wikilink", "Missing page"),
        broken("notes/index.md", None, "relation:up", "Gone"),
    ]);
    assert_eq!((&report["broken"], &report["orphans"]), (&expected, &json!(["notes/index.md"])));
    assert!(report["ambiguous"].is_null(), "it was not asked for");
    let said = home.run(&["links", "notes.db", "--broken", "--limit", "1"]);
    assert!(said.out.contains("notes/b.md:2: notes/none.md") && said.out.contains("2 more"), "{said:?}");
    assert_eq!(home.run(&["links", "notes.db"]).code, Some(0), "nothing was listed");
}

#[test]
fn a_name_of_several_documents_is_ambiguous_and_a_whole_path_is_not() {
    let home = ingested(&[
        ("a/Dup.md", "x"),
        ("b/Dup.md", "x"),
        ("b/src.md", "[[Dup]] [[a/Dup]] [[Top]]"),
        ("Top.md", "x"),
        ("b/deep/Top.md", "x"),
    ]);
    let report = home.run(&["links", "notes.db", "--json", "--ambiguous"]);
    assert_eq!(report.code, Some(1), "{report:?}");
    let report: serde_json::Value = serde_json::from_str(&report.out).expect("JSON");
    let expected = json!([{ "source": "notes/b/src.md", "line": 1, "kind": "wikilink", "target": "Dup",
        "path": "notes/b/Dup.md", "others": ["notes/a/Dup.md"] }]);
    assert_eq!(report["ambiguous"], expected);
    let said = home.run(&["links", "notes.db", "--ambiguous"]);
    assert!(said.out.contains("[[Dup]] means notes/b/Dup.md; also notes/a/Dup.md"), "{said:?}");
}

#[test]
fn a_link_leads_to_the_only_document_of_its_name_as_long_as_there_is_no_better_one() {
    let home =
        ingested(&[("a/src.md", "[x](Other.md) [y](UPPER.md)"), ("b/Other.md", "x"), ("a/upper.md", "x")]);
    let by_name = || {
        let said = home.run(&["links", "notes.db", "--json", "--by-name", "--broken"]);
        let report: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
        let of = |list: &serde_json::Value, key: &str| -> Vec<String> {
            let list = list.as_array().expect("a list").iter();
            list.map(|link| link[key].as_str().expect("text").to_owned()).collect()
        };
        (of(&report["by_name"], "path"), of(&report["broken"], "target"))
    };
    let lists = |by_name: &[&str], broken: &[&str]| {
        let owned = |list: &[&str]| list.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        (owned(by_name), owned(broken))
    };
    assert_eq!(by_name(), lists(&["notes/b/Other.md", "notes/a/upper.md"], &[]));
    // A second document of the name.
    write(&home, &[("c/Other.md", "x")]);
    ingest(&home);
    assert_eq!(by_name(), lists(&["notes/a/upper.md"], &["notes/a/Other.md"]));
    // One that has the path.
    write(&home, &[("a/Other.md", "x")]);
    ingest(&home);
    assert_eq!(by_name(), lists(&["notes/a/upper.md"], &[]));
    for gone in ["a/Other.md", "c/Other.md", "a/upper.md"] {
        fs::remove_file(home.at(&format!("notes/{gone}"))).expect("removed");
    }
    ingest(&home);
    assert_eq!(by_name(), lists(&["notes/b/Other.md"], &["notes/a/UPPER.md"]));
}

#[test]
fn without_documents_it_says_how_to_get_some() {
    let home = Home::with_wal();
    let said = home.run(&["links", "notes.db"]);
    assert!(said.refusal().contains("waltop ingest DIR --db"), "{said:?}");
}

#[test]
fn a_link_by_an_alias_is_resolved_and_the_alias_is_no_link() {
    let home = Home::new();
    fs::create_dir_all(home.at("notes/logseq")).expect("a folder");
    write(&home, &[("page.md", "alias:: Other\n"), ("source.md", "[[other]] [[Missing]]\n")]);
    ingest(&home);
    let report = home.json(&["links", "notes.db", "--json"]);
    let expected = json!({ "documents": 2, "links": 2, "resolved": 1, "by_name": 0, "ambiguous": 0,
        "other_files": 0, "broken": 1, "orphans": 1 });
    assert_eq!(report["counts"], expected);
    let hits = home.json(&["search", "alias", "--db", "notes.db", "--json"]);
    let hit = &hits["hits"][0];
    assert_eq!((&hit["links_out"], &hit["links_in"][0]["title"]), (&json!([]), &json!("source")), "{hit}");
}
