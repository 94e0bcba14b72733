//! What a daemon that only samples does until a signal ends it.

use std::{collections::HashMap, path::PathBuf, sync::Arc};

use rustix::process::Signal;
use tokio::sync::watch;

use super::output::notice;
use crate::{
    config::Config,
    endings::{self, EndSignals},
    sampler::{Sample, Sampler, SamplerCommand},
    snapshot::PathReach,
};

/// Where the settings and the databases of a daemon come from.
pub struct SamplingLoop<'a> {
    pub load: &'a dyn Fn() -> anyhow::Result<Config>,
    pub databases: &'a dyn Fn(&Config) -> anyhow::Result<Vec<PathBuf>>,
}

impl SamplingLoop<'_> {
    /// Calls `on_sample` with each sample until a signal ends it; returns the exit code. TERM is the usual end of a
    /// daemon: 0; INT gives the code that shells use for it. HUP reads the settings again.
    ///
    /// # Errors
    ///
    /// The sampler has ended.
    pub async fn run(
        &self,
        endings: &mut EndSignals,
        sampler: &Sampler,
        newest: &mut watch::Receiver<Option<Arc<Sample>>>,
        mut on_sample: impl FnMut(&Sample),
    ) -> anyhow::Result<u8> {
        let mut reaches = HashMap::new();
        loop {
            tokio::select! {
                signal = endings.next() => match signal {
                    Signal::HUP => self.reload(sampler),
                    Signal::TERM => return Ok(0),
                    signal => return Ok(endings::exit_code(signal)),
                },
                changed = newest.changed() => {
                    if changed.is_err() {
                        anyhow::bail!("the sampling ended unexpectedly; start it again");
                    }
                    let sample = newest.borrow_and_update().clone();
                    if let Some(sample) = sample {
                        note_reaches(&sample, &mut reaches);
                        on_sample(&sample);
                    }
                }
            }
        }
    }

    fn reload(&self, sampler: &Sampler) {
        let read = (self.load)().and_then(|config| Ok(((self.databases)(&config)?, config)));
        match read {
            Ok((databases, config)) => {
                sampler.order(SamplerCommand::Reconfigure { config: Box::new(config), databases });
                notice("has read its settings again");
            }
            Err(error) => notice(&format!("keeps its settings: {error}")),
        }
    }
}

// A line for each database whose container is gone, or is there again.
fn note_reaches(sample: &Sample, reaches: &mut HashMap<PathBuf, PathReach>) {
    for database in &sample.snapshot.databases {
        let before = reaches.insert(database.path.clone(), database.reach).unwrap_or(database.reach);
        if let Some(change) = database.reach.change_from(before) {
            notice(&format!("{} {change}", database.path.display()));
        }
    }
}
