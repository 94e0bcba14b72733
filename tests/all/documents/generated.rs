//! Tables and lists that come from the source. `WALTOP_WRITE_DOCS=1` rewrites them; otherwise they are compared.

use std::{env, fmt::Write as _, fs, time::Duration};

use clap::CommandFactory;
use waltop::{
    cli::{Cli, contract::OUTPUTS},
    config::Thresholds,
    config::profile::Profile,
    diagnose::{RULES, pages::FindingPage},
    keymap::{self, Action, KEYMAP},
    units,
};

use super::{DOCUMENTS, read, root};

const BEGIN: &str = "<!-- generated: ";
const END: &str = "<!-- end -->";

/// The keys in the README: those that a newcomer needs first.
const FIRST_KEYS: [&str; 10] =
    ["ingest", "checkpoint", "stop", "reap", "fix", "health", "timeline", "details", "help", "quit"];

fn text_of(name: &str) -> String {
    match name {
        "keys" => keymap::markdown(),
        "keys-of-a-replay" => keymap::replay_markdown(),
        "keys-short" => first_keys(),
        "commands" => commands(),
        "findings" => findings(),
        "refusals" => refusals(),
        "schemas" => schemas(),
        "thresholds" => thresholds(),
        "profiles" => profiles(),
        _ => panic!("nothing generates {name}"),
    }
}

#[test]
fn generated_tables_are_up_to_date() {
    let mut names = Vec::new();
    for document in DOCUMENTS {
        let text = read(document);
        let mut parts = text.split(BEGIN);
        let mut wanted = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (name, rest) = part.split_once(" -->\n").expect("a name");
            let (_, rest) = rest.split_once(END).unwrap_or_else(|| panic!("{document}: {name} has no end"));
            write!(wanted, "{BEGIN}{name} -->\n\n{}\n\n{END}{rest}", text_of(name).trim_end())
                .expect("a string");
            names.push(name.to_owned());
        }
        if env::var_os("WALTOP_WRITE_DOCS").is_some() {
            fs::write(root().join(document), &wanted).expect("written");
        } else {
            assert_eq!(text, wanted, "{document}: run WALTOP_WRITE_DOCS=1 cargo test --test all documents");
        }
    }
    names.sort();
    assert_eq!(
        names,
        [
            "commands",
            "findings",
            "keys",
            "keys-of-a-replay",
            "keys-short",
            "profiles",
            "refusals",
            "schemas",
            "thresholds"
        ]
    );
}

fn first_keys() -> String {
    let mut table = String::from("| key | action |\n| --- | --- |\n");
    for name in FIRST_KEYS {
        let binding = KEYMAP.iter().find(|it| it.name == name).expect("an action");
        let keys: Vec<String> = binding.keys.iter().map(|key| format!("`{key}`")).collect();
        writeln!(table, "| {} | {} |", keys.join(" "), binding.help).expect("a string");
    }
    table
}

fn commands() -> String {
    let mut table =
        String::from("| command | action |\n| --- | --- |\n| `waltop [DB]…` | Open the console |\n");
    for command in Cli::command().get_subcommands().filter(|it| !it.is_hide_set()) {
        let about = command.get_about().map(ToString::to_string).expect("every command says what it does");
        writeln!(table, "| `waltop {}` | {about} |", command.get_name()).expect("a string");
    }
    table
}

fn findings() -> String {
    let mut list = String::new();
    for rule in RULES.iter() {
        let (name, severity) = (rule.kind(), rule.facts().severity);
        let summary = FindingPage::of(name).summary();
        let keys: Vec<String> = rule.facts().actions.iter().map(|it| key((*it).into())).collect();
        let keys =
            if keys.is_empty() { String::new() } else { format!(" May propose {}.", keys.join(" or ")) };
        writeln!(list, "- [`{name}`](../assets/findings/{name}.md) ({severity}): {summary}{keys}")
            .expect("a string");
    }
    list
}

fn key(action: Action) -> String {
    let binding = KEYMAP.iter().find(|it| it.action == action).expect("a key");
    format!("`{}` ({})", binding.keys[0], binding.label)
}

fn refusals() -> String {
    let mut list = String::new();
    for rule in RULES.iter().filter(|rule| rule.facts().forbids_connection) {
        writeln!(list, "- `{}`", rule.kind()).expect("a string");
    }
    list
}

fn schemas() -> String {
    let rows = OUTPUTS.iter().map(|output| {
        let (title, file) = (output.title(), output.file_name());
        format!("| `{title}` | [{file}](../assets/schemas/{file}) |\n")
    });
    format!("| Command | Schema |\n| --- | --- |\n{}", rows.collect::<String>())
}

fn thresholds() -> String {
    // No `..`: a new threshold does not compile until it has a row.
    let Thresholds {
        pinned_wal,
        old_snapshot,
        long_write_lock,
        busy_lock,
        long_checkpoint,
        contended_pool,
        lock_cycle,
        disk_pressure,
        free_lock,
        free_lock_window,
        wal_starved,
        deep_wal,
        commit_storm,
        small_commit,
        large_wal,
        slow_batch,
        stalled_ingestion,
        many_handles,
        process_limit,
        temporary_room,
        separate_runs,
        restarts,
        copy_rounds,
        idle,
        least_idle,
    } = Thresholds::default();
    let time = |it: Duration| units::duration(it.as_secs_f64() * 1e3);
    let both = |(warning, error): (Duration, Duration)| format!("{}, {}", time(warning), time(error));
    let rows = [
        ("pinned_wal", "a reader pins the log", both(pinned_wal)),
        ("old_snapshot", "a reader keeps an old state, of few frames (info, warning)", both(old_snapshot)),
        (
            "long_write_lock",
            "the write lock is held, as a share of `busy_timeout`",
            format!("{}, {}", long_write_lock.0, long_write_lock.1),
        ),
        (
            "busy_lock",
            "the write lock is held by many holds, as a share of the time",
            format!("{}, {}", busy_lock.0, busy_lock.1),
        ),
        ("long_checkpoint", "a checkpoint without the write lock (info, warning)", both(long_checkpoint)),
        ("contended_pool", "threads that wait for their own process", contended_pool.to_string()),
        ("lock_cycle", "processes wait for each other in several databases", time(lock_cycle)),
        ("disk_pressure", "tasks wait for a disk, as a share of the last 10 s", disk_pressure.to_string()),
        ("free_lock", "no process holds the write lock, as a share of the time", free_lock.to_string()),
        ("free_lock_window", "the lock is sampled before it counts as free", time(free_lock_window)),
        ("wal_starved", "a deep log that grows does not restart", time(wal_starved)),
        ("deep_wal", "frames of a deep log, as a multiple of the autocheckpoint limit", deep_wal.to_string()),
        ("commit_storm", "small commits per second are many", commit_storm.to_string()),
        ("small_commit", "pages of a small commit", small_commit.to_string()),
        ("large_wal", "size of the `-wal` file", format!("{} MiB", large_wal >> 20)),
        ("slow_batch", "a batch of an ingestion holds the write lock", both(slow_batch)),
        ("stalled_ingestion", "a running ingestion commits nothing", time(stalled_ingestion)),
        ("many_handles", "descriptors of one process on the main file", many_handles.to_string()),
        ("process_limit", "descriptors of a process, as a share of its limit", process_limit.to_string()),
        (
            "temporary_room",
            "bytes left in the folder of a process's temporary files",
            format!("{} MiB", temporary_room >> 20),
        ),
        (
            "separate_runs",
            "time between two runs of a command, and of the earlier run's lock",
            time(separate_runs),
        ),
        ("restarts", "starts of one command by one parent in 30 s", restarts.to_string()),
        ("copy_rounds", "times that a copy page by page has read the database", copy_rounds.to_string()),
        ("idle", "an orphan is idle", time(idle)),
        ("least_idle", "the shortest idle time that counts", time(least_idle)),
    ];
    let mut table = String::from("| threshold | of | default |\n| --- | --- | --- |\n");
    for (name, of, default) in rows {
        writeln!(table, "| `{name}` | {of} | {default} |").expect("a string");
    }
    table
}

fn profiles() -> String {
    let mut names: Vec<String> = fs::read_dir(root().join("assets/profiles"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("text"))
        .map(|name| name.trim_end_matches(".toml").to_owned())
        .collect();
    names.sort();
    let mut list = String::new();
    for name in names {
        let profile = Profile::named(&name, root()).expect("built in");
        writeln!(list, "- `{name}`: {}", profile.about).expect("a string");
    }
    list
}
