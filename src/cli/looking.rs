//! A look that takes its time, as `status` and `check` have it: the locks sampled, the pragmas asked for.

use std::{path::PathBuf, thread, time::Duration};

use crate::{
    act::worker,
    config::Config,
    document::value::duration_of,
    observe::Observer,
    sampler::Watch,
    snapshot::{Presence, Snapshot},
};

use super::{BETWEEN_LOOKS, databases_to_look_at};

/// What to look at, and for how long.
#[derive(Debug, clap::Args)]
pub struct Looking {
    /// The databases; where none is named, those of the settings, else the default one.
    #[arg(value_name = "DB")]
    databases: Vec<PathBuf>,
    /// Sample the locks for this long first, as in 2s.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration_of)]
    sample: Option<Duration>,
}

impl Looking {
    /// The last of at least two looks, with what our own connection answers for the pragmas where asking leaves no
    /// trace.
    ///
    /// # Errors
    ///
    /// Where no database can be looked at; of several, one that cannot is in the snapshot and says why.
    pub fn look(&self, config: Config) -> anyhow::Result<Snapshot> {
        let mut observer = Observer::new(&config.places, databases_to_look_at(&self.databases, &config)?);
        if self.sample.is_some() {
            observer.watch_locks_steadily();
        }
        let mut watch = Watch::new(observer, config);
        let first = watch.look();
        thread::sleep(self.sample.unwrap_or(BETWEEN_LOOKS));
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        for (index, database) in first.snapshot.databases.iter().enumerate() {
            let presence = database.presence();
            if presence != Presence::Leftover && database.unfit.is_none() {
                // A worker that cannot ask leaves the rows out; what the file keeps is shown all the same.
                let profile = &database.pragmas.profile;
                let asked = worker::pragmas(&database.path, presence, Some(profile));
                let (facts, _) = tokio.block_on(asked);
                watch.set_facts(index, facts.ok());
            }
        }
        Ok(watch.settled_look().snapshot.clone())
    }
}
