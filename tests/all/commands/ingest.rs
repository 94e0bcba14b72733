//! Documents in, and found again.

use super::*;
use crate::terminal::Terminal;

fn library() -> Home {
    let home = Home::new();
    home.document(
        "lock.md",
        "---\ntags: [wal]\n---\n# The write lock\n\nIt is the scarce good. See [[log]].\n",
    );
    home.document("log.md", "# The log\n\nIt grows while a reader pins it.\n");
    home.document("plain.txt", "A plain text about herrings.\n");
    home
}

#[test]
fn what_is_ingested_can_be_found() {
    let home = library();
    let said = home.run(&["ingest", "notes", "--db", "notes.db"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.starts_with("3 of 3 ingested, 0 unchanged in "), "{said:?}");
    assert_eq!(said.err, "3 files found, 0 of them unchanged\n");

    let said = home.run(&["search", "scarce", "goo", "--db", "notes.db"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    let lines: Vec<&str> = said.out.lines().collect();
    assert_eq!(lines.len(), 3, "{said:?}");
    assert!(lines[0].starts_with("The write lock  ") && lines[0].ends_with("lock.md"), "{said:?}");
    assert!(lines[1].contains("«scarce» «good»"), "{said:?}");
    assert!(lines[2].starts_with("    → The log  ") && lines[2].ends_with("log.md"), "{said:?}");

    let hits = home.json(&["search", "--json", "the", "--db", "notes.db", "--limit", "1"]);
    assert_eq!(hits["hits"].as_array().map(Vec::len), Some(1));
    for field in ["path", "title", "snippet"] {
        assert!(hits["hits"][0][field].is_string(), "{hits}");
    }
    let said = home.run(&["search", "un\u{1b}heard", "of", "--db", "notes.db"]);
    let expected = (Some(1), "", "nothing found for un heard of\n");
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), expected);
    let said = home.run(&["search", "unheard", "--json", "--db", "notes.db"]);
    assert_eq!((said.code, &said.json()["hits"]), (Some(1), &serde_json::json!([])), "its own answer");
}

#[test]
fn ignored_files_that_git_tracks_are_counted() {
    let home = library();
    for folder in ["drafts", ".git"] {
        fs::create_dir(home.at("notes").join(folder)).expect("a folder");
    }
    home.document("drafts/a.md", "# A draft\n");
    home.document(".gitignore", "drafts/\n");
    home.document(".git/HEAD", "ref: refs/heads/main\n");
    // It tracks `drafts/a.md` and files that are not there.
    fs::write(home.at("notes/.git/index"), include_bytes!("../indexes/v4")).expect("written");
    let said = home.run(&["ingest", "notes", "--db", "notes.db"]);
    let counted = "3 of 3 ingested, 0 unchanged, 1 ignored that git tracks in ";
    assert!(said.code == Some(0) && said.out.starts_with(counted), "{said:?}");
    let again = home.json(&["ingest", "notes", "--db", "notes.db", "--json"]);
    assert_eq!((&again["ignored_tracked"], &again["unchanged"]), (&1.into(), &3.into()), "{again}");
    let said = home.run(&["runs", "notes.db", "--limit", "1"]);
    assert!(said.out.contains("    1 ignored that git tracks\n"), "{said:?}");
    let newest = &home.json(&["runs", "notes.db", "--json"])["runs"][0];
    assert_eq!(newest["files_ignored_tracked"], 1, "{newest}");
    fs::write(home.at("notes/.git/index"), "damaged").expect("written");
    let damaged = home.json(&["ingest", "notes", "--db", "notes.db", "--json"]);
    assert_eq!((&damaged["ignored_tracked"], &damaged["outcome"]), (&().into(), &"completed".into()));
}

#[test]
fn a_database_of_another_program_gets_tables_and_it_is_said_once() {
    let home = library();
    home.actor().sql("CREATE TABLE orders (id)");
    let said = || home.run(&["ingest", "notes", "--db", "notes.db"]);
    let is_said = |said: &Said| said.err.contains("has tables of another program: added nodes, edges");
    let (first, second) = (said(), said());
    assert_eq!((first.code, second.code), (Some(0), Some(0)), "{first:?} {second:?}");
    assert!(is_said(&first) && !is_said(&second), "{first:?} {second:?}");
    let new = home.run(&["ingest", "notes", "--db", "new.db"]);
    assert!(new.code == Some(0) && !is_said(&new), "its own: {new:?}");
}

#[test]
fn a_long_wait_for_the_lock_names_its_holder_while_it_lasts() {
    let home = Home::with_wal();
    for number in 1..=3 {
        home.document(&format!("{number}.md"), "# The write lock\n");
    }
    let mut holder = home.actor();
    for has_bar in [true, false] {
        holder.sql("BEGIN IMMEDIATE");
        let redirect = if has_bar { "" } else { "2>&1 | cat" };
        let script = format!("{WALTOP} ingest notes --db notes.db {redirect}");
        let mut terminal = Terminal::shell(&home.folder(), &script, (100, 20));
        terminal.shows(&format!("waiting: {} (", holder.pid()));
        holder.sql("COMMIT");
        terminal.shows(" of 3 ingested");
        assert_eq!(terminal.end(), 0);
        home.document("1.md", "# Changed\n");
    }
}

#[test]
fn a_hold_is_refused_beside_a_number_of_files_which_it_does_not_bound() {
    let home = library();
    let ingest = |options: &[&str]| home.run(&[&["ingest", "notes", "--db", "notes.db"], options].concat());
    let said = ingest(&["--batch", "2", "--hold", "50ms"]);
    assert!(said.refusal().starts_with("--hold is for --batch auto only: "), "{said:?}");
    assert!(!home.db().exists());
    for options in [&["--batch", "auto", "--hold", "50ms"][..], &["--hold", "50ms"], &["--batch", "2"]] {
        assert_eq!(ingest(options).code, Some(0), "{options:?}");
    }
}

#[test]
fn an_empty_file_is_reported_until_it_is_written_to() {
    let home = library();
    fs::write(home.db(), "").expect("written");
    let told =
        "the file is empty and has no journal mode yet: waltop ingest sets WAL mode with its first write";
    let said = home.run(&["health", "notes.db"]);
    assert_eq!((said.code, said.out.contains(told)), (Some(1), true), "{said:?}");
    let said = home.run(&["fix", "--yes", "notes.db"]);
    let line = format!("{}: nothing to fix; {told}\n", home.db().display());
    assert_eq!((said.code, said.out), (Some(0), line));
    assert_eq!(home.run(&["ingest", "notes", "--db", "notes.db"]).code, Some(0));
    let said = home.run(&["health", "notes.db"]);
    assert_eq!((said.code, said.out.contains(": healthy: ")), (Some(0), true), "{said:?}");
    assert_eq!(fs::read(home.db()).expect("readable")[18..20], [2, 2], "it is in WAL mode");
}

#[test]
fn a_second_run_writes_nothing() {
    let home = library();
    let first = home.json(&["ingest", "notes", "--db", "notes.db", "--json"]);
    assert_eq!((&first["ingested"], &first["outcome"]), (&3.into(), &"completed".into()), "{first}");
    let before = Home::listing(&home.folder());
    let second = home.json(&["ingest", "notes", "--db", "notes.db", "--json"]);
    assert_eq!(
        (&second["ingested"], &second["unchanged"], &second["batches"]),
        (&0.into(), &3.into(), &0.into())
    );
    assert_eq!(Home::listing(&home.folder()), before);
    let said = home.run(&["ingest", "notes", "--db", "notes.db"]);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.starts_with("0 of 3 ingested, 3 unchanged"), "{said:?}");
    assert_eq!(Home::listing(&home.folder()), before);
}

#[test]
fn a_file_that_cannot_be_ingested_is_reported_and_the_rest_is_in() {
    let home = library();
    fs::write(home.at("notes").join(raw(b"bytes\x1b[31m.md")), b"\xff\xfe\x00\x9c binary \x00")
        .expect("written");
    let said = home.run(&["ingest", "notes", "--db", "notes.db"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("failed: ") && said.out.contains("1 failed"), "{said:?}");
    assert!(!said.err.contains('\x1b'), "{said:?}");
    assert_eq!(home.run(&["search", "herrings", "--db", "notes.db"]).code, Some(0));
}

#[test]
fn without_a_name_it_is_the_users_own_database() {
    let home = library();
    assert_eq!(home.run(&["ingest", "notes"]).code, Some(0));
    assert!(home.root().join("data/waltop/waltop.db").exists());
    assert_eq!(home.run(&["search", "herrings"]).code, Some(0));
    let status = home.json(&["status", "--json"]);
    let ingestion = &status["databases"][0]["ingestions"][0];
    assert_eq!((&ingestion["state"], &ingestion["files_done"]), (&"completed".into(), &3.into()), "{status}");
}

#[test]
fn the_users_own_database_may_be_called_by_its_real_name() {
    let home = library();
    fs::create_dir(home.root().join("real")).expect("a folder");
    std::os::unix::fs::symlink("real", home.root().join("data")).expect("a link");
    let real = home.root().join("real/waltop/waltop.db");
    let args = ["ingest".as_ref(), "notes".as_ref(), "--db".as_ref(), real.as_os_str()];
    let said = home.run(&args);
    assert_eq!(said.code, Some(0), "{said:?}");
    let status = home.json(&["status", "--json"]);
    assert_eq!(status["databases"][0]["ingestions"][0]["state"], "completed", "{status}");
}

#[test]
fn a_search_leaves_another_programs_database_as_it_is() {
    for home in [Home::with_rollback(), Home::with_wal()] {
        let before = (Home::listing(&home.root()), fs::read(home.db()).expect("readable"));
        let said = home.run(&["search", "lock", "--db", "notes.db"]);
        assert!(said.refusal().starts_with("nothing was ingested into"), "{said:?}");
        assert_eq!((Home::listing(&home.root()), fs::read(home.db()).expect("readable")), before);
    }
}

#[test]
fn tables_of_the_same_names_are_refused_as_they_are() {
    let home = library();
    let mut maker = home.actor();
    maker.sql("CREATE TABLE nodes(id)");
    maker.close();
    let before = Home::listing(&home.folder());
    let said = home.run(&["ingest", "notes", "--db", "notes.db"]);
    assert!(said.refusal().contains("nodes"), "{said:?}");
    assert_eq!(Home::listing(&home.folder()), before);
    let status = home.json(&["status", "--json", "notes.db"]);
    let ingestion = &status["databases"][0]["ingestions"][0];
    assert_eq!(ingestion["state"], "failed", "{status}");
    assert!(ingestion["error"].as_str().is_some_and(|it| said.err.contains(it)), "{status}");
}

#[test]
fn a_folder_that_may_not_be_entered_is_reported_and_what_is_known_of_it_stays() {
    let home = library();
    fs::create_dir(home.at("notes/closed")).expect("a folder");
    home.document("closed/one.md", "About badgers.\n");
    let user = home.user_without_privileges();
    set_mode(&home.folder(), 0o777);
    let closed = home.at("notes/closed");
    assert_eq!(home.run_as(user, &["ingest", "notes", "--db", "notes.db"]).code, Some(0));
    set_mode(&closed, 0);
    home.document("new.md", "new");
    let said = home.run_as(user, &["ingest", "notes", "--db", "notes.db"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    let new = format!("1 of 5 ingested ({}), 3 unchanged, 1 failed in ", home.at("notes/new.md").display());
    assert!(said.out.starts_with(&new), "{said:?}");
    let told = format!("failed: {}: Permission denied", closed.display());
    assert!(said.err.contains(&told), "{said:?}");
    assert_eq!(home.run_as(user, &["search", "badgers", "--db", "notes.db"]).code, Some(0));
    // A file alone.
    set_mode(&closed, 0o755);
    set_mode(&home.at("notes/new.md"), 0);
    home.document("lock.md", "changed");
    fs::File::options()
        .append(true)
        .open(home.at("notes/closed/one.md"))
        .and_then(|mut file| std::io::Write::write_all(&mut file, b"And foxes."))
        .expect("written");
    set_mode(&home.at("notes/closed/one.md"), 0);
    let said = home.run_as(user, &["ingest", "notes", "--db", "notes.db"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(said.err.contains("/closed/one.md: Permission denied"), "{said:?}");
    assert!(!said.err.contains("/new.md"), "it has not changed: {said:?}");
    assert_eq!(home.run_as(user, &["search", "badgers", "--db", "notes.db"]).code, Some(0));
}

#[test]
fn a_schema_from_the_future_is_refused_and_left_byte_for_byte() {
    let home = library();
    assert_eq!(home.run(&["ingest", "notes", "--db", "notes.db"]).code, Some(0));
    let mut actor = home.actor();
    actor.sql("INSERT INTO waltop_migrations VALUES (99, 'later', '2030-01-01T00:00:00Z', '1')");
    actor.close();
    home.document("new.md", "new");
    let before = (Home::listing(&home.folder()), fs::read(home.db()).expect("readable"));
    let said = home.run(&["ingest", "notes", "--db", "notes.db"]);
    let line = said.err.lines().last().expect("a line");
    assert!(
        said.code == Some(2) && line.contains("schema 99") && line.contains("use a newer waltop"),
        "{said:?}"
    );
    assert!(
        before == (Home::listing(&home.folder()), fs::read(home.db()).expect("readable")),
        "it was written"
    );
}

#[test]
fn a_folder_that_may_only_be_read_keeps_its_database_as_it_is() {
    let home = library();
    let user = home.user_without_privileges();
    set_mode(&home.folder(), 0o777);
    assert_eq!(home.run_as(user, &["ingest", "notes", "--db", "notes.db"]).code, Some(0));
    home.document("new.md", "new");
    set_mode(&home.folder(), 0o555);
    let before = (Home::listing(&home.folder()), fs::read(home.db()).expect("readable"));
    let said = home.run_as(user, &["ingest", "notes", "--db", "notes.db"]);
    let after = (Home::listing(&home.folder()), fs::read(home.db()).expect("readable"));
    set_mode(&home.folder(), 0o777);
    assert!(said.refusal().contains("notes.db"), "{said:?}");
    println!("{said:?}");
    assert!(before == after, "something was written");
    assert_eq!(home.run_as(user, &["ingest", "notes", "--db", "notes.db"]).code, Some(0));
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}
