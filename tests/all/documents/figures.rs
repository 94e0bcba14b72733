//! Figures that finding pages and documents quote, compared with the source.

use std::time::Duration;

use clap::CommandFactory;
use waltop::{
    act::reap, cli::Cli, config::Thresholds, config::profile::Profile, ingest::batch, snapshot::FindingKind,
};

use super::read;

/// A duration as pages write it.
fn time(it: Duration) -> String {
    match (it.as_secs(), it.subsec_millis()) {
        (0, ms) => format!("{ms} ms"),
        (secs, 0) if secs % 60 == 0 => format!("{} min", secs / 60),
        (secs, 0) => format!("{secs} s"),
        (secs, ms) => format!("{secs}.{} s", ms / 100),
    }
}

fn quotes(kind: FindingKind, phrase: &str) {
    let text = kind.page().split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains(phrase), "assets/findings/{kind}.md does not say `{phrase}`");
}

#[test]
fn pages_quote_the_default_thresholds() {
    let it = Thresholds::default();
    let (warning, error) = it.pinned_wal;
    quotes(
        FindingKind::PinnedWal,
        &format!("for longer than {} (warning) or {} (error)", time(warning), time(error)),
    );
    quotes(FindingKind::PinnedWal, &format!("pinned the log for {} without using CPU time", time(error)));
    quotes(FindingKind::StaleDaemon, &format!("pinned the log for {} without using CPU time", time(error)));
    quotes(FindingKind::StaleDaemon, &format!("idle for {}", time(it.idle)));
    quotes(FindingKind::OutlivedSession, &format!("idle for {}", time(it.idle)));
    let (warning, error) = it.slow_batch;
    quotes(
        FindingKind::SlowBatch,
        &format!("for longer than {} (warning) or {} (error)", time(warning), time(error)),
    );
    quotes(
        FindingKind::StalledIngestion,
        &format!("no batch was committed for {}, by default", time(it.stalled_ingestion)),
    );
    let percent = |share: f64| format!("{} %", share * 100.0);
    quotes(FindingKind::BusyLock, &format!("more than {} of the time (warning)", percent(it.busy_lock.0)));
    quotes(FindingKind::BusyLock, &format!("{} (error)", percent(it.busy_lock.1)));
    let (info, warning) = it.long_checkpoint;
    quotes(
        FindingKind::LongCheckpoint,
        &format!("for more than {} (info) or {} (warning)", time(info), time(warning)),
    );
    quotes(
        FindingKind::OldSnapshot,
        &format!("the same state of the database for {}", time(it.old_snapshot.0)),
    );
    quotes(FindingKind::OldSnapshot, &format!("blocks the log for {} (warning)", time(it.old_snapshot.1)));
    quotes(FindingKind::WalStarved, &format!("beginning for {} (warning)", time(it.wal_starved)));
    quotes(
        FindingKind::CommitStorm,
        &format!("at most {} pages come {} times a second or more", it.small_commit, it.commit_storm),
    );
    quotes(FindingKind::LargeWal, &format!("larger than {} MiB", it.large_wal >> 20));
    quotes(FindingKind::LargeWal, &format!("{} MiB is the default", it.large_wal >> 20));
    quotes(FindingKind::ManyHandles, &format!("are more than {}", it.many_handles));
    quotes(FindingKind::ManyHandles, &format!("{} is the default", it.many_handles));
    quotes(FindingKind::CrossedLocks, &format!("lasted for at least {}", time(it.lock_cycle)));
    quotes(FindingKind::SlowDisk, &format!("in at least {} of the last 10 s", percent(it.disk_pressure)));
    quotes(FindingKind::ProcessLimit, &format!("{} of its descriptors", percent(it.process_limit)));
    quotes(FindingKind::DuplicateDaemon, &format!("for at least {}", time(it.separate_runs)));
    quotes(FindingKind::RestartedCopy, &format!("{} times its size", it.copy_rounds));
    quotes(FindingKind::RestartLoop, &format!("{} times or more in 30 s", it.restarts));
    quotes(FindingKind::ProcessLimit, &format!("less than {} MiB left", it.temporary_room >> 20));
}

#[test]
fn the_page_of_a_long_write_lock_quotes_shares_and_times() {
    let (warning, error) = Thresholds::default().long_write_lock;
    let percent = |share: f64| format!("{} %", share * 100.0);
    quotes(
        FindingKind::LongWriteLock,
        &format!("more than {} of the profile's `busy_timeout` (warning)", percent(warning)),
    );
    quotes(FindingKind::LongWriteLock, &format!("more than {} of it (error)", percent(error)));
    let timeout = Profile::hardened().busy_timeout_ms().expect("the profile has a timeout");
    let timeout = Duration::from_millis(u64::from(timeout));
    let steps = [warning, error].map(|share| time(timeout.mul_f64(share)));
    quotes(
        FindingKind::LongWriteLock,
        &format!("the timeout is {}, so the steps are {} and {}", time(timeout), steps[0], steps[1]),
    );
}

/// `bare-client` shows the statements for the default profile.
#[test]
fn the_page_of_a_bare_client_quotes_the_profile() {
    let profile = Profile::hardened();
    for pragma in ["busy_timeout", "synchronous", "foreign_keys", "temp_store", "mmap_size"] {
        let expected = &profile.expectation(pragma).expect("in the profile").expected;
        quotes(FindingKind::BareClient, &format!("PRAGMA {pragma} = {expected};"));
    }
}

#[test]
fn the_page_of_a_slow_batch_quotes_what_an_ingestion_aims_at() {
    let hold = batch::HOLD;
    let sizer = batch::BatchSizer::new(batch::BatchSetting::Auto, hold);
    assert_eq!(sizer.aim() * 4, hold * 3, "the page says three quarters");
    quotes(FindingKind::SlowBatch, &format!("aims at three quarters of `--hold` ({})", time(hold)));
}

#[test]
fn defaults_of_options_are_quoted_as_they_are() {
    let text = read("docs/commands.md");
    let section = |name: &str| text.split(&format!("### waltop {name}\n")).nth(1).expect("a section");
    let cli = Cli::command();
    for (command, option) in [
        ("ingest", "max-file-size"),
        ("ingest", "budget"),
        ("ingest", "embed-calls"),
        ("ingest", "embed-chars"),
        ("reap", "for"),
        ("reap", "grace"),
    ] {
        let args = cli.find_subcommand(command).expect("a command").get_arguments();
        let arg = args.into_iter().find(|arg| arg.get_long() == Some(option)).expect("an option");
        let default = arg.get_default_values()[0].to_str().expect("text");
        let phrase = format!("`--{option} {default}`");
        assert!(section(command).contains(&phrase), "docs/commands.md: {command} lacks {phrase}");
    }
    assert!(section("ingest").contains(&format!("`--hold {}`", time(batch::HOLD).replace(' ', ""))));
    let grace = format!("After SIGTERM waltop waits {}, then asks again", time(reap::GRACE));
    assert!(text.contains(&grace), "docs/commands.md does not say `{grace}`");
}
