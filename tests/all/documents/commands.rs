//! Every command that a document shows runs here, or is one that CI runs or clap accepts.

use std::{env, fs, path::Path, process::Command};

use clap::{CommandFactory, error::ErrorKind};
use waltop::{
    cli::{COMMANDS, Cli},
    snapshot::FindingKind,
};

use super::{Block, DOCUMENTS, inline_code, parts, read};
use crate::{
    support::{Actor, WALTOP},
    terminal::home,
};

/// The commands to run in a block: what follows a prompt, what a CI job runs, what cron runs.
fn to_run(block: &Block) -> Vec<&str> {
    let lines = block.lines.iter().map(String::as_str);
    match block.language.as_str() {
        "console" => lines.filter_map(|line| line.strip_prefix("$ ")).collect(),
        "yaml" => lines.filter_map(|line| line.trim_start().strip_prefix("run: ")).collect(),
        // Five fields say when.
        "crontab" => lines.filter_map(|line| line.splitn(6, ' ').nth(5)).collect(),
        _ => Vec::new(),
    }
}

/// Runs the commands of `document` in order, in a folder with what they name.
fn run_all(document: &str) -> usize {
    let home = home();
    let notes = home.path().join("notes");
    fs::create_dir(&notes).expect("a folder");
    fs::write(notes.join("zebra.md"), "---\ntitle: Zebra\n---\n\nA zebra has stripes. [[Horse]]\n")
        .expect("a note");
    fs::write(notes.join("horse.md"), "# Horse\n\nA horse has none.\n").expect("a note");
    let mut holder = Actor::open(&home.path().join("notes.db"));
    holder.sql("PRAGMA journal_mode = WAL").sql("CREATE TABLE t (x)");
    let program = Path::new(WALTOP).parent().expect("it is in a folder");
    let path = env::join_paths(
        [program.to_owned()].into_iter().chain(env::split_paths(&env::var_os("PATH").unwrap_or_default())),
    )
    .expect("a search path");
    let (blocks, _) = parts(&read(document));
    let commands: Vec<&str> = blocks.iter().flat_map(to_run).collect();
    for command in &commands {
        let output = Command::new("sh")
            .args(["-c", command])
            .current_dir(home.path())
            .env("PATH", &path)
            .env("XDG_STATE_HOME", home.path().join("state"))
            .env("XDG_DATA_HOME", home.path().join("data"))
            .env("XDG_CONFIG_HOME", home.path().join("config"))
            .output()
            .expect("a shell");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{document}: {command}: {stderr}");
    }
    commands.len()
}

#[test]
fn every_command_of_the_readme_and_the_documents_runs() {
    let counts: Vec<usize> = DOCUMENTS.iter().map(|document| run_all(document)).collect();
    assert!(counts.iter().sum::<usize>() >= 25, "{counts:?}");
}

/// The words of a command line, with quotes as a shell has them.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '\'' | '"') => quote = Some(c),
            None if c == ' ' => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    words.retain(|word| !word.is_empty());
    words
}

/// Whether clap accepts `line`, in which `DB`, `PID` and the like stand for values.
fn accept(document: &str, line: &str) {
    let words = split(line).into_iter().filter(|word| !matches!(word.as_str(), "…" | "[DB]…" | "[RUN]"));
    let words = words.map(|word| match word.as_str() {
        "PID" | "N" => "7".to_owned(),
        "SHELL" => "bash".to_owned(),
        _ => word.trim_matches(['[', ']', '…']).to_owned(),
    });
    if let Err(error) = Cli::command().try_get_matches_from(words) {
        // `waltop rescue DB` names a command without all that it needs.
        assert!(
            matches!(error.kind(), ErrorKind::MissingRequiredArgument | ErrorKind::DisplayVersion),
            "{document}: `{line}`: {error}"
        );
    }
}

#[test]
fn the_help_of_every_command_has_examples_that_are_accepted_and_the_exit_codes_of_the_document() {
    let document = read("docs/commands.md").split_whitespace().collect::<Vec<_>>().join(" ");
    for help in COMMANDS {
        let codes = format!("Exit codes: {}", help.exit_codes);
        let section = document.split(&format!("### waltop {} ", help.command)).nth(1).expect("a section");
        let section = section.split(" ### ").next().unwrap_or_default();
        assert!(section.contains(&codes), "{}: {codes}", help.command);
        for example in help.examples {
            let parsed = Cli::command().try_get_matches_from(split(example));
            assert!(parsed.is_ok(), "{example}: {parsed:?}");
        }
    }
}

#[test]
fn every_waltop_command_line_in_a_text_is_accepted() {
    let mut texts: Vec<(&str, String)> = DOCUMENTS.iter().map(|&path| (path, read(path))).collect();
    texts.extend(FindingKind::ALL.iter().map(|kind| (kind.as_str(), kind.page().to_owned())));
    let mut count = 0;
    for (name, text) in &texts {
        let (blocks, prose) = parts(text);
        let shown =
            blocks.iter().filter(|block| block.language == "sh").flat_map(|block| block.lines.clone());
        let lines = inline_code(&prose).into_iter().chain(shown);
        let indented = prose.iter().filter_map(|line| line.strip_prefix("    ")).map(str::to_owned);
        for line in lines.chain(indented).filter(|line| line.starts_with("waltop ")) {
            accept(name, &line);
            count += 1;
        }
    }
    assert!(count > 60, "{count}");
}

/// What a shell block shows beside waltop's own commands and `sqlite3`, which the recipes for a copy run.
fn is_covered(line: &str) -> bool {
    let line = line.strip_prefix("WALTOP_WRITE_DOCS=1 ").unwrap_or(line);
    let ci = read(".ci/run");
    let in_ci = |command: &str| ci.lines().any(|line| line.starts_with(command));
    if let Some(name) = line.strip_prefix("cargo bench --bench ") {
        return read("Cargo.toml").contains(&format!("[[bench]]\nname = \"{name}\"\n"));
    }
    if let Some(name) = line.strip_prefix("cargo run --release --locked -- ") {
        return Cli::command().find_subcommand(name).is_some() && in_ci("cargo build --locked --release");
    }
    // With a filter it is a part of what CI runs.
    line.starts_with("cargo test --locked") && in_ci("cargo test --locked")
        || ["cargo build --locked --release", "cargo install --locked --path ."].contains(&line) && in_ci(line)
        // The embedding server's own command.
        || line == "ollama pull nomic-embed-text"
}

#[test]
fn every_shell_command_is_run_by_a_test_or_by_ci() {
    for document in DOCUMENTS {
        let (blocks, _) = parts(&read(document));
        for line in blocks.into_iter().filter(|block| block.language == "sh").flat_map(|block| block.lines) {
            let runs_elsewhere = line.starts_with("waltop ") || line.contains("VACUUM INTO");
            assert!(runs_elsewhere || is_covered(&line), "{document}: nothing runs `{line}`");
        }
    }
}

#[test]
fn the_readme_begins_with_the_two_commands() {
    let (blocks, _) = parts(&read("README.md"));
    let lines: Vec<String> = blocks.into_iter().flat_map(|block| block.lines).collect();
    for command in ["cargo run --release --locked -- demo", "cargo test --locked"] {
        assert!(lines.iter().any(|line| line == command), "README.md lacks `{command}`");
    }
}

/// `docs/commands.md` has a section for each command, and the section names every option.
#[test]
fn every_command_and_option_is_described() {
    let text = read("docs/commands.md");
    let section = |name: &str| {
        let rest = text.split(&format!("\n### {name}\n")).nth(1);
        let rest = rest.unwrap_or_else(|| panic!("docs/commands.md lacks `### {name}`"));
        rest.split("\n##").next().unwrap_or_default()
    };
    let mut cli = Cli::command();
    cli.build();
    let mut sections = 1;
    describes(section("waltop"), &cli);
    for command in cli.get_subcommands().filter(|it| !it.is_hide_set() && it.get_name() != "help") {
        describes(section(&format!("waltop {}", command.get_name())), command);
        sections += 1;
    }
    assert_eq!(text.matches("\n### waltop").count(), sections, "a section is about no command");
}

fn describes(section: &str, command: &clap::Command) {
    for option in command.get_arguments().filter(|it| !it.is_hide_set()).filter_map(clap::Arg::get_long) {
        let is_everywhere = matches!(option, "help" | "version" | "config");
        let name = format!("--{option}");
        let is_named = section.match_indices(&name).any(|(at, _)| {
            !section[at + name.len()..].starts_with(|c: char| c.is_alphanumeric() || c == '-')
        });
        assert!(is_everywhere || is_named, "docs/commands.md: {} lacks {name}", command.get_name());
    }
}

/// The example of a configuration is one, and its profile is in force for the database that names it.
#[test]
fn the_configuration_in_the_documents_is_in_order() {
    let (blocks, _) = parts(&read("docs/configuration.md"));
    let toml = blocks.iter().find(|block| block.language == "toml").expect("an example").lines.join("\n");
    let home = home();
    fs::write(home.path().join("config.toml"), toml).expect("a file");
    fs::create_dir(home.path().join("queue")).expect("a folder");
    let mut actor = Actor::open(&home.path().join("queue/huey.db"));
    actor.sql("CREATE TABLE t (x)");
    actor.close();
    let output = Command::new(WALTOP)
        .args(["--config", "config.toml", "status", "queue/huey.db", "--json"])
        .current_dir(home.path())
        .env("HOME", home.path())
        .env("XDG_STATE_HOME", home.path().join("state"))
        .output()
        .expect("it starts");
    assert!(output.status.success(), "{output:?}");
    let snapshot: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(snapshot["databases"][0]["pragmas"]["profile"], "queue");
}
