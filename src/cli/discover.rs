//! `waltop discover`: the SQLite databases that are open on this machine.

use std::io::{self, IsTerminal};

use anyhow::Context;

use super::{BETWEEN_LOOKS, databases::LIBRARIES_WITHIN, output::print_lines, print_json};
use crate::{
    config::Config,
    console::ConsoleDatabases,
    observe::{Observer, OpenDatabase, OpenDatabases, proc::ProcessGroups},
    sampler::Monitor,
    snapshot::Unseen,
    text,
};

pub(crate) mod report;

pub use report::DiscoveryReport;

#[derive(Debug, clap::Args)]
pub struct DiscoverArgs {
    /// Print the list as JSON (its schema is assets/schemas/discover.json).
    #[arg(long)]
    json: bool,
}

pub fn run(args: &DiscoverArgs, config: Config) -> anyhow::Result<u8> {
    let report = discover(config)?;
    if args.json {
        print_json(&report)?;
    } else {
        print_lines(&report.to_string())?;
    }
    Ok(report.exit)
}

/// What is open now, sampled as `waltop check` does without a connection.
fn discover(config: Config) -> anyhow::Result<DiscoveryReport> {
    let proc = config.places.proc.clone();
    let found = OpenDatabases::find(&proc).context("cannot list the processes in /proc; mount it")?;
    let paths = found.databases.iter().map(|it| it.path.clone()).collect();
    let observer = Observer::new(&config.places, paths).without_ingestions();
    let mut monitor = Monitor::new(observer, config);
    monitor.sample();
    std::thread::sleep(BETWEEN_LOOKS);
    monitor.wait_for_libraries(LIBRARIES_WITHIN);
    let sample = monitor.confirmed_sample();
    Ok(DiscoveryReport::new(found, &sample.snapshot, &mut ProcessGroups::new(&proc)))
}

/// The open databases of this machine, for a console without a database: none is named, the settings list none, and the
/// default one does not exist. `None` if there is a database, or none is open.
pub fn for_console(config: &Config) -> Option<ConsoleDatabases> {
    let has_database = !config.databases.is_empty() || config.places.default_database.exists();
    if has_database || !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return None;
    }
    let found = OpenDatabases::find(&config.places.proc).ok()?;
    if found.databases.is_empty() {
        return None;
    }
    let place = |it: &OpenDatabase| text::clean(&it.group.place(&it.inner));
    let note = |it: &Unseen| text::clean(&format!("not seen: {}: {}", it.what, it.why));
    Some(ConsoleDatabases {
        discovered: found.databases.iter().map(place).collect(),
        paths: found.databases.into_iter().map(|it| it.path).collect(),
        notes: found.unseen.iter().map(note).collect(),
    })
}
