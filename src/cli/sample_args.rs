//! The samples of `status` and `check`: locks sampled for a while, pragmas read.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::bail;
use rustix::process::Signal;

use crate::{
    act::worker,
    config::{Config, TraceMode, duration_of},
    endings::EndSignals,
    observe::{self, Observer, UnfitPath},
    paths,
    sampler::Monitor,
    snapshot::{Presence, Snapshot, Unseen},
};

use super::{
    BETWEEN_LOOKS,
    databases::{self, LIBRARIES_WITHIN},
    databases_by, unnamed,
};

/// What to sample, and for how long.
#[derive(Debug, clap::Args)]
pub struct SampleArgs {
    /// The databases, or folders with databases; default: those in the settings, else the default database.
    #[arg(value_name = "DB")]
    databases: Vec<PathBuf>,
    /// Also sample the databases in the folders below a folder.
    #[arg(short, long)]
    recursive: bool,
    /// Sample the locks for this long first, as in 2s.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration_of)]
    sample: Option<Duration>,
    /// Read every lock request from the kernel's trace meanwhile, which needs root. Each request on the machine becomes
    /// microseconds slower.
    #[arg(long, requires = "sample", value_name = "WHEN", default_value = "off")]
    trace: TraceMode,
    /// Open no SQLite connection: the pragma values of waltop's own one are left out.
    #[arg(long)]
    no_connection: bool,
}

impl SampleArgs {
    /// A sample of `database` for `duration`, or at two moments only.
    pub fn of(database: PathBuf, duration: Option<Duration>) -> Self {
        Self {
            databases: vec![database],
            recursive: false,
            sample: duration,
            trace: TraceMode::Off,
            no_connection: false,
        }
    }

    /// For how long the locks are sampled; `None` if they are read at two moments only.
    pub fn duration(&self) -> Option<Duration> {
        self.sample
    }

    /// The last of at least two samples, with the pragma values of waltop's own connection if reading them leaves
    /// nothing behind.
    ///
    /// # Errors
    ///
    /// No database can be sampled. If only some cannot, they are in the snapshot with the reason.
    pub fn sample(&self, config: Config) -> anyhow::Result<Snapshot> {
        let named = databases::named(&self.databases, self.recursive)?;
        databases::print_notes(&named.notes);
        let mut observer = Observer::new(&config.places, databases_to_sample(&named.paths, &config)?);
        if self.sample.is_some() {
            observer.watch_locks_steadily();
            observer.trace_locks(self.trace);
        }
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut endings = if self.trace == TraceMode::Off {
            None
        } else {
            Some(tokio.block_on(async { EndSignals::listen() })?)
        };
        let mut watch = Monitor::new(observer, config);
        let first = watch.sample();
        let time = self.sample.unwrap_or(BETWEEN_LOOKS);
        if let Some(signal) = tokio.block_on(wait(time, endings.as_mut())) {
            // The kernel would trace on without anybody who reads it.
            drop(watch);
            signal_hook::low_level::emulate_default_handler(signal.as_raw())?;
            bail!("ended by a signal");
        }
        for (index, database) in first.snapshot.databases.iter().enumerate().filter(|_| !self.no_connection) {
            let presence = database.presence();
            let is_readable = database.unfit.is_none() && database.is_readable_by_sqlite();
            if presence != Presence::Leftover && is_readable {
                // If the worker fails, its rows are left out; what the file keeps is shown anyway.
                let profile = &database.pragmas.profile;
                let asked = worker::pragmas(&database.path, presence, Some(profile));
                let (facts, _) = tokio.block_on(asked);
                watch.set_facts(index, facts.ok());
            }
        }
        watch.wait_for_libraries(LIBRARIES_WITHIN);
        let mut snapshot = watch.confirmed_sample().snapshot.clone();
        for database in &mut snapshot.databases {
            if database.is_gone_in_use() {
                database.unfit = None;
            }
        }
        Ok(snapshot)
    }
}

/// Waits for `time`, or until one of `endings` comes.
async fn wait(time: Duration, endings: Option<&mut EndSignals>) -> Option<Signal> {
    let Some(endings) = endings else {
        tokio::time::sleep(time).await;
        return None;
    };
    tokio::time::timeout(time, endings.next()).await.ok()
}

/// The databases of a command that only takes samples. If only some of several can be sampled, the others stay in the
/// list by their absolute paths.
pub fn databases_to_sample(named: &[PathBuf], config: &Config) -> anyhow::Result<Vec<PathBuf>> {
    let meant = if named.is_empty() { unnamed(config) } else { named };
    let first = match databases_by(named, config, observe::inspect_to_sample) {
        Ok(all) => return Ok(all),
        Err(error) => error,
    };
    let mut unseen = Vec::new();
    let mut can_look = |path: &PathBuf| match observe::inspect_from_outside(path) {
        Ok(_) => true,
        Err(UnfitPath::Missing { .. }) => is_held(path, config, &mut unseen),
        Err(_) => false,
    };
    // Check all of them, so that the reason does not depend on their order.
    if meant.iter().filter(|path| can_look(path)).count() == 0 {
        let Some(Unseen { what, why }) = unseen.into_iter().next() else { return Err(first) };
        bail!("{first}; not seen: {what}: {why}");
    }
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let one = |path| observe::inspect_to_sample(path).ok().or_else(|| paths::canonical_or_future(path).ok());
    Ok(meant.iter().map(|path| one(path).unwrap_or_else(|| absolute(path))).collect())
}

/// Whether a process has the former database at `path` open, where no file is now. What could not be read goes to
/// `unseen`.
fn is_held(path: &Path, config: &Config, unseen: &mut Vec<Unseen>) -> bool {
    let Ok(path) = paths::canonical_or_future(path) else { return false };
    let holders = observe::holders_of_deleted(&config.places.proc, &path);
    unseen.extend(holders.unseen);
    !holders.pids.is_empty()
}
