//! Help and version, and a reader that has heard enough.

use std::io::Read;

use clap::CommandFactory;
use waltop::cli::Cli;

use super::*;

#[test]
fn help_and_version_go_to_stdout() {
    let home = Home::new();
    let cli = Cli::command();
    let (hidden, shown): (Vec<_>, Vec<_>) = cli.get_subcommands().partition(|it| it.is_hide_set());
    assert!(shown.len() > 10 && !hidden.is_empty());
    let said = home.run(&["--help"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    for command in shown.iter().map(|it| it.get_name()) {
        assert!(has_line(&said.out, "  ", command), "{command}: {}", said.out);
    }
    for hidden in hidden.iter().map(|it| it.get_name()) {
        assert!(!said.out.contains(hidden), "{hidden}");
    }
    for command in shown.iter().map(|it| it.get_name()) {
        let said = home.run(&[command, "--help"]);
        assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
        assert!(said.out.contains(&format!("Usage: waltop {command}")), "{}", said.out);
        assert!(said.out.lines().all(|line| line.chars().count() <= 100), "{}", said.out);
        assert!(
            said.out.contains("\nExit codes: ") && said.out.contains("\nExamples:\n  waltop "),
            "{}",
            said.out
        );
    }
    let said = home.run(&["--version"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    assert_eq!(said.out, format!("waltop {}\n", env!("CARGO_PKG_VERSION")));
    assert_eq!(home.run(&["-V"]).out, said.out);
    assert_eq!(Home::listing(&home.root()).len(), 1, "nothing was made");
}

#[test]
fn the_verbose_version_names_the_build() {
    let home = Home::new();
    let said = home.run(&["--version", "--verbose"]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{said:?}");
    let mut lines = said.out.lines();
    assert_eq!(lines.next(), Some(concat!("waltop ", env!("CARGO_PKG_VERSION"))));
    let rows: Vec<(&str, &str)> = lines
        .map(|line| line.split_once(':').expect("a name"))
        .map(|(name, value)| (name, value.trim()))
        .collect();
    let value = |wanted: &str| rows.iter().find(|(name, _)| *name == wanted).expect("a row").1;
    assert_eq!(rows.len(), 5, "{rows:?}");
    let commit = value("commit");
    let is_hash = commit.len() == 40 && commit.chars().all(|c| c.is_ascii_hexdigit());
    match value("profile") {
        "debug" => assert!(!is_hash, "a debug build would be made again with each commit"),
        _ => assert!(is_hash || commit == "unknown", "{rows:?}"),
    }
    let (version, source) = value("SQLite").split_once(" (").expect("a source");
    assert!(version.starts_with("3.") && source.len() > 80 && source.starts_with("20"), "{rows:?}");
    assert!(value("target").contains(std::env::consts::ARCH), "{rows:?}");
    assert!(["debug", "release", "dist"].contains(&value("profile")), "{rows:?}");
    assert_eq!(home.run(&["--version", "--verbose"]).out, home.run(&["--verbose", "--version"]).out);
    assert!(home.run(&["--verbose"]).refusal().contains("--version"));
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let home = Home::with_wal();
    let (mut holder, mut reader) = (home.actor(), home.actor());
    holder.sql("BEGIN IMMEDIATE");
    reader.sql("SELECT * FROM t");
    for args in [
        &["status", "notes.db"][..],
        &["status", "--json", "notes.db"],
        &["check", "notes.db"],
        &["check", "--json", "notes.db"],
        &["explain"],
        &["explain", "pinned-wal"],
        &["checkpoint", "notes.db"],
        &["--help"],
        &["ingest", "--help"],
        &["--version"],
    ] {
        let mut child = home
            .command(Path::new(WALTOP))
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        drop(child.stdout.take());
        let mut err = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut err).expect("text");
        let code = child.wait().expect("it ends").code();
        // On a busy machine the lock is held for long enough by now that `check` finds it.
        assert!(code.is_some_and(|code| code < 2) && err.is_empty(), "{args:?}: {code:?} {err}");
    }
}
