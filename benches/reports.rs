//! The five field reports, each lost as it was lost there and then won: a table of what the report says and of what was
//! seen here.
//!
//! The scenes are those of `cargo test scenarios`, with the optimised program, one after another, and with sleeps and
//! timeouts as long as the reports had them, which takes a minute or two.
//!
//! `cargo bench --bench reports`, or for a first impression, scaled as the tests are, `-- quick`

use std::fs;

use waltop::{
    snapshot::{DurationSpread, FindingKind},
    units,
};

#[path = "../tests/all/python.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod python;
/// Where the tests have it.
mod embed {
    pub(crate) use super::server;
}
#[path = "../tests/scenarios/mod.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod scenarios;
#[path = "../tests/all/embed/server.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod server;
#[path = "../tests/all/support.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod support;
#[path = "../tests/all/terminal.rs"]
#[expect(dead_code, reason = "the tests use the rest")]
mod terminal;

use scenarios::{amalfa, amalfa_connections, cast::Scale, haios, huey, skillmeat};

/// A figure: what the report says, what was seen here the old way, and what was seen of waltop.
type Row = (&'static str, &'static str, String, String);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // `cargo test --all-targets` runs this program too, unoptimised and without this argument.
    if !arguments.iter().any(|argument| argument == "--bench") {
        println!("nothing is measured but by cargo bench");
        return;
    }
    let is_quick = arguments.iter().any(|argument| argument == "quick");
    let scale = |of_the_test: Scale| if is_quick { of_the_test } else { Scale(1) };
    let (amalfa_scale, skillmeat_scale) = (scale(amalfa::SCALE), scale(skillmeat::SCALE));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_else(|_| "unknown".to_owned());
    println!(
        "Scale: times of Amalfa {}:1, of SkillMeat {}:1, Huey's 15 minutes are 1 s. The work on a document is a sleep: the \
         old way inside of its transaction, with waltop in a server that makes its vector. Load average before: {}\n",
        amalfa_scale.0,
        skillmeat_scale.0,
        load.trim()
    );
    println!("| report | figure | in the report | the losing run here | the winning run here |");
    println!("| --- | --- | --- | --- | --- |");
    let reports = [
        ("Amalfa", amalfa_rows(amalfa_scale)),
        ("Amalfa's connections", connection_rows()),
        ("Huey", huey_rows()),
        ("HAIOS", haios_rows()),
        ("SkillMeat", skillmeat_rows(skillmeat_scale)),
    ];
    for (report, rows) in reports {
        // There is no Python to play them.
        let Some(rows) = rows else { continue };
        for (number, (figure, there, lost, won)) in rows.into_iter().enumerate() {
            let report = if number == 0 { report } else { "" };
            println!("| {report} | {figure} | {there} | {lost} | {won} |");
        }
    }
}

fn amalfa_rows(scale: Scale) -> Option<Vec<Row>> {
    let (lost, won) = (amalfa::lose(scale)?, amalfa::win(scale)?);
    let refused_of_ingestion = u32::from(lost.ingestion.error.is_some());
    let refused: u64 = won.daemons.iter().map(|it| it.busy).sum();
    let writes = won.daemons.iter().map(|it| it.waits_ms.len() as u64).sum::<u64>();
    Some(vec![
        (
            "documents ingested",
            "82 of 555, with smaller batches 556 of 556 in 87.6 s",
            format!("{} of {}: {}", lost.rows, lost.documents, told(lost.ingestion.error.as_deref())),
            format!(
                "{} of {}, {} with vectors, in {}",
                won.ingestion.ingested,
                won.documents,
                won.ingestion.embedding.as_ref().map_or(0, |it| it.embedded),
                units::duration(won.ingestion.elapsed_ms)
            ),
        ),
        (
            "longest hold of the write lock",
            "6–7 s, others wait 5 s; with smaller batches 1.6 s",
            format!(
                "{}, others wait {}",
                units::duration(lost.ingestion.longest_hold_ms),
                units::duration(lost.busy_timeout_ms)
            ),
            longest(won.ingestion.hold),
        ),
        (
            "BUSY",
            "ended it",
            format!("{refused_of_ingestion} ended it, {} of the daemons", lost.busy_of_daemons),
            format!(
                "none ended anything: the ingestion tried again {} times, {refused} of {} writes of the daemons refused",
                won.ingestion.retries,
                writes + refused
            ),
        ),
        named_row(
            lost.named.holder.is_some_and(|pid| lost.daemons.contains(&pid)),
            "the daemon with the lock",
        ),
        (
            "daemons left running",
            "2 for days, ended by hand",
            "left running".to_owned(),
            format!("{} shown as stale, {} ended by `waltop reap`", won.stale.len(), won.reaped.len()),
        ),
    ])
}

fn connection_rows() -> Option<Vec<Row>> {
    let (lost, won) = (amalfa_connections::lose()?, amalfa_connections::win()?);
    let (reader, findings) = &won.read_only;
    let is_found = findings.iter().any(|it| it.kind == FindingKind::ReadonlyTrap && it.pid == Some(*reader));
    Some(vec![
        (
            "opened beside a writer, before WAL mode",
            "a race, unless the timeout is set first",
            told(lost.wal_before_timeout.as_deref()),
            format!(
                "{} of {} ingested, mode {}",
                won.beside_a_writer.ingested, won.beside_a_writer.files_total, won.journal_mode
            ),
        ),
        named_row(lost.named.holder == Some(lost.culprit), "the writer"),
        (
            "a read-only reader",
            "disk I/O error",
            format!("{}, and leaves {}", told(lost.read_only.as_deref()), lost.left_behind.join(" and ")),
            if is_found { "found: `readonly-trap`, with its process" } else { "not found" }.to_owned(),
        ),
        (
            "pragmas of a connection that comply",
            "set in one place of its own code",
            "–".to_owned(),
            format!("{} of {}", won.ours.iter().filter(|it| it.ok == Some(true)).count(), won.ours.len()),
        ),
        (
            "health check with a write",
            "in its own code",
            "–".to_owned(),
            format!(
                "{}; the lock was held for {}",
                if won.health.healthy { "healthy" } else { "not healthy" },
                won.health.write.held_ms.map_or_else(|| "an unknown time".to_owned(), units::duration)
            ),
        ),
        (
            "a database with the tables of before",
            "migrated on opening",
            told(lost.old_schema.as_deref()),
            format!("migrations {} became {}", won.migrations.0, won.migrations.1),
        ),
    ])
}

fn huey_rows() -> Option<Vec<Row>> {
    let (lost, won) = (huey::lose()?, huey::win()?);
    let found: Vec<String> = [FindingKind::RollbackJournal, FindingKind::PinnedWal, FindingKind::LargeWal]
        .into_iter()
        .filter(|kind| won.system.iter().chain(&won.queue).any(|it| it.kind == *kind))
        .map(|kind| format!("`{kind}`"))
        .collect();
    let writes: usize = won.workers.iter().map(|it| it.waits_ms.len()).sum();
    let busy: u64 = won.workers.iter().map(|it| it.busy).sum();
    let size = |log: &[u64]| log.last().map_or_else(String::new, |bytes| units::bytes(*bytes));
    Some(vec![
        ("what is wrong", "found by hand", "–".to_owned(), found.join(", ")),
        (
            "a write beside a reader of 300 s, DELETE mode",
            "refused, or hangs for 300 s",
            told(lost.system.as_deref()),
            format!("{}, after `waltop fix` to {}", told(won.beside_a_reader.as_deref()), won.journal_mode),
        ),
        (
            "two who write at once, no timeout",
            "database is locked",
            told(lost.queue.as_deref()),
            format!("{busy} of {} refused, with the profile's timeout", writes as u64 + busy),
        ),
        named_row(
            lost.named[0].readers == [lost.culprits[0]] && lost.named[1].holder == Some(lost.culprits[1]),
            "the reader in DELETE mode, and the writer of the queue",
        ),
        (
            "the log after three bursts",
            "grows; a checkpoint every 15 minutes",
            size(&lost.log),
            format!("{}, with the console's checkpoints", size(&won.log)),
        ),
    ])
}

fn haios_rows() -> Option<Vec<Row>> {
    let (lost, won) = (haios::lose()?, haios::win()?);
    let named = if won.named == Some(won.synthesis) { "named" } else { "not named" };
    Some(vec![
        (
            "an ingester beside a synthesis",
            "crashed",
            format!("{} ingested: {}", lost.rows, told(lost.ingestion.error.as_deref())),
            format!(
                "{} of {} after {} retries, the holder {named}",
                won.patient.ingested, won.documents, won.patient.retries
            ),
        ),
        named_row(lost.named.holder == Some(lost.synthesis), "the synthesis"),
        (
            "one that will not wait for long",
            "–",
            "–".to_owned(),
            format!(
                "exit {}, names the holder; run again: {} of {}, integrity_check {}",
                won.refused.code.unwrap_or_default(),
                won.again.ingested,
                won.documents,
                won.integrity
            ),
        ),
    ])
}

fn skillmeat_rows(scale: Scale) -> Option<Vec<Row>> {
    let (lost, won) = (skillmeat::lose(scale)?, skillmeat::win(scale)?);
    let hold = lost.imports.iter().map(|it| it.longest_hold_ms).fold(0.0, f64::max);
    let ours = won.imports.iter().filter_map(|it| it.hold).map(|it| it.max).fold(0.0, f64::max);
    let p99 = |spread: Option<DurationSpread>| {
        spread.map_or_else(
            || "wrote nothing".to_owned(),
            |it| format!("{}, longest {}", units::duration(it.p99), units::duration(it.max)),
        )
    };
    let told = lost.findings.iter().find(|it| it.kind == FindingKind::LongWriteLock);
    let told = told.map_or_else(|| "nothing".to_owned(), |it| format!("`{}`, {}", it.kind, it.severity));
    let slow = skillmeat::in_one_transaction("2ms");
    let slow = slow.iter().find(|it| it.kind == FindingKind::SlowBatch).map_or_else(
        || "nothing".to_owned(),
        |it| format!("`{}`, {}, where the thresholds are 1 and 2 ms", it.kind, it.severity),
    );
    Some(vec![
        (
            "five imports of 100 at once",
            "17.5 s, one after another; wanted 3.5 s",
            units::duration(lost.elapsed_ms),
            units::duration(won.elapsed_ms),
        ),
        (
            "longest hold of the write lock",
            "3–4 s; wanted < 500 ms",
            units::duration(hold),
            units::duration(ours),
        ),
        (
            "a bystander's writes, p99",
            "3–4 s; wanted < 1 s",
            p99(lost.bystander.spread()),
            p99(won.bystander.spread()),
        ),
        (
            "writes that were refused",
            "2 % of requests; wanted < 0.5 %",
            format!("{} of the bystander", lost.bystander.busy),
            format!("{} of the bystander; {} of 500 documents in", won.bystander.busy, won.rows),
        ),
        named_row(lost.named.longest.is_some_and(|pid| lost.pids.contains(&pid)), "the import with the lock"),
        (
            "what is said of one transaction of 100",
            "wanted: a warning from 1 s on, an alarm from 2 s on",
            told,
            slow,
        ),
    ])
}

fn named_row(is_named: bool, culprit: &str) -> Row {
    let named = if is_named { format!("names {culprit}") } else { format!("does not name {culprit}") };
    ("`waltop who` of that moment, from a recording", "not known", "–".to_owned(), named)
}

fn told(refusal: Option<&str>) -> String {
    refusal.map_or_else(|| "not refused".to_owned(), |it| format!("`{it}`"))
}

fn longest(hold: Option<DurationSpread>) -> String {
    hold.map_or_else(
        || "none".to_owned(),
        |it| format!("{} (p99 {})", units::duration(it.max), units::duration(it.p99)),
    )
}
