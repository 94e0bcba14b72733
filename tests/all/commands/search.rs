//! What was ingested is found: words, beginnings, phrases, and where the documents lead.

use super::*;

fn library() -> Home {
    let home = Home::new();
    home.document(
        "lock.md",
        "---\ntags: [wal]\npart_of: \"[[log]]\"\n---\n# The write lock\n\nIt is the scarce good. See [[log]], [[log|it]], \
         [the reader](reader.md), [[nowhere]] and <https://sqlite.org/wal.html>.\n",
    );
    home.document("log.md", "# The log\n\nIt grows while a lock is kept, and a write waits.\n");
    home.document("reader.md", "# Herrings\n\nA reader pins it: read [the log](log.md).\n");
    home.document("body.md", "# Something else\n\nHerrings, herrings, herrings, herrings and herrings.\n");
    assert_eq!(home.run(&["ingest", "notes", "--db", "notes.db"]).code, Some(0));
    home
}

fn found(home: &Home, query: &[&str]) -> Vec<String> {
    let said = home.run(&[&["search", "--db", "notes.db", "--json", "--"], query].concat());
    let hits: Value = serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {said:?}"));
    let hits = hits["hits"].as_array().expect("hits");
    assert_eq!(said.code, Some(u8::from(hits.is_empty()).into()), "{said:?}");
    hits.iter().map(|hit| name(&hit["path"]).to_owned()).collect()
}

/// Whether all words were found, or any.
fn matched(home: &Home, query: &str) -> Value {
    home.json(&["search", "--db", "notes.db", "--json", "--", query])["matched"].clone()
}

fn name(path: &Value) -> &str {
    path.as_str().and_then(|path| path.rsplit('/').next()).expect("a path")
}

#[test]
fn a_cut_list_says_that_there_are_more() {
    let home = library();
    let told = |limit: &str| home.run(&["search", "--db", "notes.db", "--limit", limit, "herrings"]).out;
    assert!(told("1").ends_with("there are more: --limit N shows them.\n"), "{}", told("1"));
    assert!(!told("2").contains("there are more"), "{}", told("2"));
    let json = home.json(&["search", "--db", "notes.db", "--json", "--limit", "1", "herrings"]);
    assert_eq!(json["hits"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_word_in_the_title_counts_for_more() {
    assert_eq!(found(&library(), &["herrings"]), ["reader.md", "body.md"]);
}

#[test]
fn a_phrase_stands_together_and_words_need_not() {
    let home = library();
    let mut both = found(&home, &["write", "lock"]);
    both.sort();
    assert_eq!(both, ["lock.md", "log.md"]);
    assert_eq!(found(&home, &["\"write lock\""]), ["lock.md"]);
    assert_eq!(found(&home, &["\"lock write\""]), [""; 0]);
    assert_eq!(found(&home, &["good", "\"write loc\"*"]), ["lock.md"]);
}

#[test]
fn a_star_makes_a_beginning_of_any_word_and_the_last_needs_none() {
    let home = library();
    assert_eq!(found(&home, &["scarc*", "good"]), ["lock.md"]);
    assert_eq!((matched(&home, "scar* good"), matched(&home, "scar good")), ("all".into(), "any".into()));
    assert_eq!(found(&home, &["good", "scarc"]), ["lock.md"]);
    assert_eq!(matched(&home, "good \"scarc\""), "any");
}

#[test]
fn where_no_document_has_all_words_those_with_some_are_found_and_it_says_so() {
    let home = library();
    let said = home.run(&["search", "--db", "notes.db", "herrings", "zebra"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.starts_with("No document has all of these words"), "{said:?}");
    assert_eq!(found(&home, &["herrings", "zebra"]), ["reader.md", "body.md"]);
    let said = home.run(&["search", "--db", "notes.db", "herrings", "reader"]);
    assert!(!said.out.contains("No document has all"), "{said:?}");
}

#[test]
fn names_folders_and_front_matter_are_searched() {
    let home = library();
    fs::create_dir(home.at("notes/deep")).expect("a folder");
    home.document(
        "deep/zoo-keeper.md",
        "---\naliases: [Giraffe, Löwe]\nauthor: Ada\n---\nNothing of it in here.\n",
    );
    home.document("zoo.md", "# Zoo\n\nA zoo keeper keeps a zoo, says Ada Lovelace, keeper of the zoo.\n");
    assert_eq!(home.run(&["ingest", "notes", "--db", "notes.db"]).code, Some(0));
    assert_eq!(found(&home, &["zoo-keeper"]), ["zoo-keeper.md", "zoo.md"]);
    // Another name with the word, which says it more often.
    home.document("zebra-zoo.md", "# Zoo zoo\n\nZoo, zoo and zoo.\n");
    assert_eq!(home.run(&["ingest", "notes", "--db", "notes.db"]).code, Some(0));
    assert_eq!(found(&home, &["zoo"])[0], "zoo.md");
    for query in ["giraffe", "lowe", "deep keeper"] {
        assert_eq!(found(&home, &[query]), ["zoo-keeper.md"], "{query}");
    }
    assert_eq!(found(&home, &["lovelace"]), ["zoo.md"]);
    assert_eq!(found(&home, &["aliases"]), [""; 0], "a key is no text");
}

#[test]
fn conditions_hold_in_the_query_and_as_options() {
    let home = library();
    fs::create_dir(home.at("notes/old")).expect("a folder");
    home.document("old/lock.md", "---\ntype: note\ntags: [WAL/index, Ärger]\n---\n# A lock of old\n");
    assert_eq!(home.run(&["ingest", "notes", "--db", "notes.db"]).code, Some(0));
    let search = |args: &[&str]| -> Vec<String> {
        let said = home.json(&[&["search", "--db", "notes.db", "--json"], args].concat());
        let hits = said["hits"].as_array().expect("hits").iter();
        let mut paths: Vec<String> = hits
            .map(|hit| {
                hit["path"].as_str().and_then(|it| it.split_once("/notes/")).expect("a path").1.to_owned()
            })
            .collect();
        paths.sort();
        paths
    };
    for (args, expected) in [
        (&["lock"][..], &["lock.md", "log.md", "old/lock.md"][..]),
        (&["lock tag:wal"], &["lock.md", "old/lock.md"]),
        (&["lock", "--tag", "#wal"], &["lock.md", "old/lock.md"]),
        (&["lock tag:wal/index"], &["old/lock.md"]),
        (&["--tag", "ärger"], &["old/lock.md"]),
        (&["lock -tag:wal"], &["log.md"]),
        (&["lock path:old/"], &["old/lock.md"]),
        (&["lock", "--path", "o*lock"], &["lock.md", "old/lock.md"]),
        (&["kind:note"], &["old/lock.md"]),
        (&["lock", "--kind", "document"], &["lock.md", "log.md"]),
        (&["lock -write"], &["old/lock.md"]),
        (&["scarce OR old"], &["lock.md", "old/lock.md"]),
        (&["kind:document -lock"], &["body.md", "reader.md"]),
    ] {
        assert_eq!(search(args), expected, "{args:?}");
    }
}

#[test]
fn writing_without_blanks_names_with_marks_and_parts_of_words_are_found() {
    let home = library();
    for (name, text) in [
        ("zh.md", "数据库被锁定了。使用SQLite的数据库。\n"),
        ("ja.md", "# データベースのロック\n"),
        ("th.md", "ฐานข้อมูลถูกล็อก\n"),
        ("ko.md", "데이터베이스가 잠겼습니다\n"),
        ("code.md", "Call `camelCaseName()` in C++, and never in C#.\n"),
        ("pl.md", "Zamek w Łodzi, Straße, ёлка 🎉\n"),
    ] {
        home.document(name, text);
    }
    assert_eq!(home.run(&["ingest", "notes", "--db", "notes.db"]).code, Some(0));
    for (query, name) in [
        ("锁定", "zh.md"),
        ("数据库 锁", "zh.md"),
        ("了", "zh.md"),
        ("SQLite 数据", "zh.md"),
        ("ロック", "ja.md"),
        ("ข้อมูล", "th.md"),
        ("베이스", "ko.md"),
        ("CaseName", "code.md"),
        ("case name", "code.md"),
        ("C++", "code.md"),
        ("c#", "code.md"),
        ("lodzi", "pl.md"),
        ("strasse", "pl.md"),
        ("елка", "pl.md"),
        ("🎉", "pl.md"),
    ] {
        assert_eq!(found(&home, &[query]), [name], "{query}");
    }
    for query in ["定锁", "🎈", "amelCase"] {
        assert_eq!(found(&home, &[query]), [""; 0], "{query}");
    }
}

#[test]
fn every_hit_names_where_it_leads_and_what_leads_to_it() {
    let home = library();
    let hits = home.json(&["search", "--db", "notes.db", "--json", "scarce"]);
    let mut out: Vec<(&str, &str, Option<&str>)> = hits["hits"][0]["links_out"]
        .as_array()
        .expect("links")
        .iter()
        .map(|link| {
            let path = link["path"].as_str().map(|_| name(&link["path"]));
            (link["kind"].as_str().expect("a kind"), link["title"].as_str().unwrap_or("none"), path)
        })
        .collect();
    out.sort_unstable();
    assert_eq!(
        out,
        [
            ("link", "Herrings", Some("reader.md")),
            ("relation:part_of", "The log", Some("log.md")),
            ("url", "none", None),
            ("wikilink", "The log", Some("log.md")),
            ("wikilink", "none", None),
        ]
    );
    assert_eq!(hits["hits"][0]["links_in"], serde_json::json!([]));
    let hits = home.json(&["search", "--db", "notes.db", "--json", "grows"]);
    let into: Vec<(&str, &str)> = hits["hits"][0]["links_in"]
        .as_array()
        .expect("links")
        .iter()
        .map(|link| (link["kind"].as_str().expect("a kind"), name(&link["path"])))
        .collect();
    let expected = [("relation:part_of", "lock.md"), ("wikilink", "lock.md"), ("link", "reader.md")];
    assert_eq!(into, expected);
    assert_eq!(hits["hits"][0]["links_out"], serde_json::json!([]));
}

#[test]
fn links_are_lines_below_the_snippet() {
    let home = library();
    let said = home.run(&["search", "--db", "notes.db", "scarce"]);
    let notes = home.at("notes");
    let place = |name: &str| notes.join(name).display().to_string();
    let lines: Vec<&str> = said.out.lines().skip(2).collect();
    let expected = [
        format!("    → Herrings  {}", place("reader.md")),
        format!("    → The log  {}", place("log.md")),
        format!("    → The log  {} (part_of)", place("log.md")),
        "    → https://sqlite.org/wal.html".to_owned(),
        "    → nowhere (no document of that name)".to_owned(),
    ];
    assert_eq!(lines, expected);
    for number in 0..6 {
        home.document(&format!("n{number}.md"), "See [[body]].\n");
    }
    assert_eq!(home.run(&["ingest", "notes", "--db", "notes.db"]).code, Some(0));
    let said = home.run(&["search", "--db", "notes.db", "something"]);
    let arrows: Vec<&str> = said.out.lines().filter(|line| line.starts_with("    ← ")).collect();
    assert_eq!((arrows.len(), arrows[5]), (6, "    ← 1 more, with --json"));
}

#[test]
fn a_database_among_the_words_is_refused_and_the_right_command_line_is_shown() {
    let home = library();
    let said = home.run(&["search", "scarce", "notes.db"]);
    assert!(said.refusal().ends_with("name it with --db: waltop search --db notes.db scarce"), "{said:?}");
    let said = home.run(&["search", "--db", "notes.db", "zebra", "notes.db"]);
    assert_eq!((said.code, said.err.as_str()), (Some(1), "nothing found for zebra notes.db\n"), "{said:?}");
}
