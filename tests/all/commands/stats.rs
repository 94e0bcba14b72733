//! What a database holds, counted without a trace.

use super::*;

fn stats(home: &Home) -> Value {
    home.json(&["stats", "--json", "notes.db"])["databases"][0].clone()
}

#[test]
fn what_was_ingested_is_counted() {
    let home = Home::new();
    home.document("a.md", "# A\n\n[[b]] [[nowhere]] #tag [x](https://example.org)\n");
    home.document("b.md", "# B\n");
    assert_eq!(home.run(&["ingest", "notes", "--db", "notes.db"]).code, Some(0));
    let before = Home::listing(&home.folder());
    let stats = stats(&home);
    let documents = &stats["documents"];
    assert_eq!(documents["nodes"], 2, "{stats}");
    assert_eq!(documents["edges"]["wikilink"], 2, "{stats}");
    assert_eq!(documents["edges"]["tag"], 1, "{stats}");
    assert_eq!(documents["edges"]["url"], 1, "{stats}");
    assert_eq!(documents["unresolved_edges"], 1, "only a link can lead nowhere: {stats}");
    assert!(documents["full_text_bytes"].as_u64().is_some_and(|it| it > 0), "{stats}");
    let size = stats["pages"].as_u64().zip(stats["page_size"].as_u64()).map(|(pages, size)| pages * size);
    assert_eq!((size, &stats["wal_bytes"]), (stats["db_bytes"].as_u64(), &Value::Null), "{stats}");
    let said = home.run(&["stats", "notes.db"]);
    assert!(said.out.contains("2 documents, edges: ") && said.out.lines().count() == 1, "{said:?}");
    assert_eq!(Home::listing(&home.folder()), before);
}

#[test]
fn a_host_that_others_use_has_no_documents_and_keeps_its_files() {
    let home = Home::with_wal();
    let mut user = home.actor();
    user.sql("CREATE TABLE nodes(x)");
    let before = Home::listing(&home.folder());
    let stats = stats(&home);
    assert!(stats["documents"].is_null() && stats["wal_bytes"].as_u64().is_some(), "{stats}");
    assert_eq!(Home::listing(&home.folder()), before);
    user.sql("INSERT INTO nodes VALUES (1)");
}

#[test]
fn what_a_crash_left_is_not_touched() {
    let home = Home::with_wal();
    let mut user = home.actor();
    user.sql("INSERT INTO t VALUES (2)");
    user.kill();
    let before = Home::listing(&home.folder());
    let said = home.run(&["stats", "notes.db"]);
    assert!(said.refusal().contains("waltop health"), "{said:?}");
    assert_eq!(Home::listing(&home.folder()), before);
}
