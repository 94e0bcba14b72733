//! What is stale is listed, and ends when somebody says yes; nothing else does.

use super::*;

/// Watching is short where nobody's idleness is to be proved.
const BRIEFLY: [&str; 3] = ["reap", "--for", "50ms"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    BRIEFLY.iter().copied().chain(more.iter().copied()).collect()
}

#[test]
fn without_a_terminal_it_asks_for_yes_before_it_watches() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("SELECT * FROM t");
    for args in [&["reap", "notes.db"][..], &["reap", "--json", "notes.db"]] {
        let said = home.run(args);
        assert!(said.refusal().contains("give --yes, or --dry-run"), "{said:?}");
    }
    holder.sql("SELECT * FROM t");
}

#[test]
fn a_process_that_is_not_stale_is_left_alone_and_refused_by_name() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("SELECT * FROM t");
    let pid = holder.pid().to_string();
    let said = home.run(&with(&["--yes", "notes.db"]));
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert_eq!(said.out, format!("{}: 0 of 1 stale, watched for 50 ms\n", home.db().display()));
    for named in [&["--yes"][..], &["--dry-run"], &["--yes", "--json"]] {
        let said = home.run(&with(&[named, &["--pid", &pid, "notes.db"]].concat()));
        assert!(said.refusal().starts_with(&format!("{pid} is not stale, no cause holds")), "{said:?}");
    }
    holder.sql("SELECT * FROM t");
}

#[test]
fn what_may_never_be_stopped_is_refused_with_the_reason() {
    let home = Home::with_wal();
    let holder = home.actor();
    let gone = holder.pid().to_string();
    holder.close();
    let (own, stranger) = (std::process::id().to_string(), home.actor());
    for (pid, why) in [
        ("1", "is the system's first process"),
        (own.as_str(), "is an ancestor of waltop"),
        (gone.as_str(), "is already gone"),
        ("0", "is the system's first process"),
    ] {
        let said = home.run(&with(&["--yes", "--pid", pid, "notes.db"]));
        assert!(said.refusal().contains(why), "{pid}: {said:?}");
    }
    let other = Home::with_wal();
    let pid = stranger.pid().to_string();
    let said = other.run(&with(&["--yes", "--pid", &pid, "notes.db"]));
    assert!(said.refusal().contains("does not have the database open"), "{said:?}");
    if is_root() {
        let mut foreign = Command::new("sleep").arg("600").uid(ANOTHER).spawn().expect("it starts");
        let said = home.run(&with(&["--yes", "--pid", &foreign.id().to_string(), "notes.db"]));
        assert!(said.refusal().contains("is another user's process"), "{said:?}");
        assert!(foreign.try_wait().expect("it can be asked for").is_none(), "it lives");
        foreign.kill().and_then(|()| foreign.wait()).expect("it ends");
    }
}

#[test]
fn mistakes_get_a_line() {
    let home = Home::with_wal();
    for (args, what) in [
        (&["reap", "--grace", "0s", "notes.db"][..], "give a duration"),
        (&["reap", "--for", "soon", "notes.db"], "give a duration"),
        (&["reap", "--pid", "me", "notes.db"], "invalid value"),
        (&["reap", "--dry-run", "none.db"], "none.db"),
    ] {
        assert!(home.run(args).refusal().contains(what), "{args:?}");
    }
}

#[test]
fn the_answer_is_an_object() {
    let home = Home::with_wal();
    let mut holder = home.actor();
    holder.sql("SELECT * FROM t");
    let answer = home.json(&with(&["--json", "--dry-run", "notes.db"]));
    assert_eq!((&answer["version"], &answer["dry_run"]), (&1.into(), &true.into()), "{answer}");
    assert_eq!(answer["databases"][0]["path"], home.db().display().to_string());
    assert_eq!(answer["databases"][0]["candidates"], Value::Array(Vec::new()));
}
