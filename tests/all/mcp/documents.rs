//! Documents are read from their rows, in parts, and from nowhere else.

use super::*;

#[test]
fn the_parts_of_a_document_are_its_text() {
    let library = Library::new();
    let mut client = library.serve(&["notes.db"]);
    let found = client.answer("search", json!({ "query": "horse" }));
    let name = found["hits"][0]["path"].as_str().expect("a name");
    let (mut text, mut offset) = (String::new(), json!(0));
    while !offset.is_null() {
        let part = client.answer("read", json!({ "document": name, "offset": offset, "length": 7 }));
        let more = part["text"].as_str().expect("text");
        assert!(!more.is_empty() && more.len() <= 7, "{part}");
        text += more;
        offset = part["next_offset"].clone();
    }
    assert_eq!(text, "# Horse\n\nNo stripes, é日🦀.\n");
    let zebra = client.answer("read", json!({ "document": library.name_of("zebra.md") }));
    assert_eq!(zebra["front_matter"]["tags"], json!(["horse"]));
    assert_eq!((&zebra["title"], &zebra["next_offset"]), (&"Zebra".into(), &Value::Null));
    let end = client.answer("read", json!({ "document": name, "offset": 9999 }));
    assert_eq!((&end["text"], &end["next_offset"]), (&"".into(), &Value::Null));
}

#[test]
fn no_file_is_read_but_by_a_row() {
    let library = Library::new();
    let secret = library.root().join("notes/secret.md");
    fs::write(&secret, "# Secret\n").expect("written");
    fs::remove_file(library.name_of("zebra.md")).expect("removed");
    let mut client = library.serve(&["notes.db"]);
    for name in [secret.to_str().expect("text"), "/etc/passwd", "../notes.db", "", "x' OR 1 --"] {
        assert!(
            client.refusal("read", json!({ "document": name })).contains("there is no document"),
            "{name}"
        );
    }
    let proposed = client.refusal("read", json!({ "document": "zebra.md" }));
    assert!(proposed.contains(&format!("did you mean {}?", library.name_of("zebra.md"))), "{proposed}");
    // Its file is gone; its row is there.
    let zebra = client.answer("read", json!({ "document": library.name_of("zebra.md") }));
    assert!(zebra["text"].as_str().is_some_and(|text| text.contains("Stripes")), "{zebra}");
}

#[test]
fn documents_are_resources_by_pages() {
    let library = Library::new();
    for number in 0..210 {
        fs::write(library.root().join(format!("notes/{number:03}.md")), "# One of many\n").expect("written");
    }
    library.run(&["ingest", "notes", "--db", "notes.db"]);
    Actor::open(&library.root().join("empty.db")).sql("CREATE TABLE t (x)");
    let mut client = library.serve(&["empty.db", "notes.db"]);
    let (mut addresses, mut cursor) = (Vec::new(), Value::Null);
    loop {
        let params = if cursor.is_null() { json!({}) } else { json!({ "cursor": cursor }) };
        let page = client.call("resources/list", params)["result"].take();
        let listed = page["resources"].as_array().expect("resources").iter();
        addresses.extend(listed.map(|it| it["uri"].as_str().expect("an address").to_owned()));
        cursor = page["nextCursor"].clone();
        if cursor.is_null() {
            break;
        }
    }
    assert_eq!(addresses.len(), 212);
    let horse = addresses.iter().find(|it| it.ends_with("Horse.md")).expect("its address");
    let read = client.call("resources/read", json!({ "uri": horse }));
    let contents = &read["result"]["contents"][0];
    assert!(contents["text"].as_str().is_some_and(|text| text.starts_with("# Horse")), "{read}");
    assert_eq!(contents["_meta"]["waltop/untrusted"], true);
    for uri in ["file:///etc/passwd", "waltop://document/x.db/y", &horse.replace("Horse", "None")] {
        let error = &client.call("resources/read", json!({ "uri": uri }))["error"];
        assert!(error["message"].is_string(), "{uri}: {error}");
    }
    assert!(client.call("resources/list", json!({ "cursor": "x" }))["error"]["message"].is_string());
    let templates = client.call("resources/templates/list", json!({}));
    assert_eq!(
        templates["result"]["resourceTemplates"][0]["uriTemplate"],
        "waltop://document/{database}/{name}"
    );
}
