//! `waltop record`: writes down what happens to the locks of databases, for the time after it.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use super::{
    databases, listen_args::ListenArgs, output::notice, sample_args::databases_to_sample,
    sampling_loop::SamplingLoop,
};
use crate::{
    config::{Config, TraceMode, duration_of, size_of},
    endings::EndSignals,
    observe::Observer,
    recording::{LONGEST_INTERVAL, Recorder, RetentionLimits},
    sampler::{Monitor, Sample, Sampler},
    text, units,
};

/// What to record, where, and how much of it is kept.
#[derive(Debug, clap::Args)]
pub struct RecordArgs {
    /// The databases, or folders with databases; default: those in the settings, else the default database.
    #[arg(value_name = "DB")]
    databases: Vec<PathBuf>,
    /// Also record the databases in the folders below a folder.
    #[arg(short, long)]
    recursive: bool,
    /// Remove a day's recording when the day has been over for this long.
    #[arg(long, value_name = "DURATION", value_parser = duration_of, default_value = "7d")]
    keep: Duration,
    /// Remove the oldest recordings when all together are larger.
    #[arg(long, value_name = "SIZE", value_parser = size_of, default_value = "1GiB")]
    max_size: u64,
    /// Pause while the file system of the recordings has less than this free.
    #[arg(long, value_name = "SIZE", value_parser = size_of, default_value = "512MiB")]
    min_free: u64,
    /// Time between two samples, at most 5 s. Locks are sampled in between.
    #[arg(long, value_name = "DURATION", value_parser = duration_of, default_value = "1s")]
    every: Duration,
    /// The folder of the recordings [default: `recordings` in waltop's state folder].
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Read every lock request from the kernel's trace, which needs root [default: the setting `trace`, else auto].
    #[arg(long, value_name = "WHEN")]
    trace: Option<TraceMode>,
    #[command(flatten)]
    listen: ListenArgs,
}

impl RecordArgs {
    fn limits(&self) -> RetentionLimits {
        RetentionLimits { keep: self.keep, max_size: self.max_size, min_free: self.min_free }
    }

    fn databases(&self, config: &Config) -> anyhow::Result<Vec<PathBuf>> {
        let named = databases::named(&self.databases, self.recursive)?;
        databases::print_notes(&named.notes);
        databases_to_sample(&named.paths, config)
    }
}

/// Records until a signal ends it. HUP reads the settings again, by `load`.
///
/// # Errors
///
/// The settings are invalid, a database cannot be sampled, or the folder cannot be written.
pub fn run(args: &RecordArgs, load: &dyn Fn() -> anyhow::Result<Config>) -> anyhow::Result<u8> {
    if args.every > LONGEST_INTERVAL {
        let longest = units::duration(units::milliseconds(LONGEST_INTERVAL));
        anyhow::bail!(
            "--every is longer than {longest}: give at most that, or the time between would not be watched"
        );
    }
    let config = load()?;
    let databases = args.databases(&config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut endings = {
        let _context = runtime.enter();
        EndSignals::listen()?
    };
    let count = databases.len() as u64;
    let mut observer = Observer::new(&config.places, databases);
    observer.watch_locks();
    let folder = args.dir.clone().unwrap_or_else(|| config.places.recordings());
    let host = Monitor::recorder_host(&config, args.every);
    let recorder = Recorder::start(&folder, args.limits(), host)?;
    let untraced = observer.trace_locks(args.trace.unwrap_or(config.trace));
    notice(&format!("records {} into {}", units::plural(count, "database"), folder.display()));
    if let Some(why) = untraced {
        notice(&format!("samples the locks, so that a hold of less than a few ms can be missed: {why}"));
    }
    let mut monitor = Monitor::new(observer, config);
    monitor.record(Some(recorder));
    if args.listen.is_wanted() {
        monitor.count_metrics();
    }
    let (sampler, mut newest) = Sampler::start(monitor, args.every)?;
    let _listener = args.listen.start(&newest, args.every)?;
    let sampling = SamplingLoop { load, databases: &|config| args.databases(config) };
    let mut trouble = None;
    let on_sample = |sample: &Sample| report_trouble(sample, &mut trouble);
    let begun = Instant::now();
    let code = runtime.block_on(sampling.run(&mut endings, &sampler, &mut newest, on_sample))?;
    let lasted = units::duration(units::milliseconds(begun.elapsed()));
    let of_folder =
        args.dir.as_ref().map(|dir| format!(" --dir {}", text::shell_word(&dir.to_string_lossy())));
    notice(&format!(
        "recorded for {lasted}; summarize it with: waltop report{}",
        of_folder.unwrap_or_default()
    ));
    Ok(code)
}

// One line when nothing can be written, and one when it can again.
fn report_trouble(sample: &Sample, trouble: &mut Option<String>) {
    let now = sample.recorder.as_ref().and_then(|it| it.trouble.clone());
    if now == *trouble {
        return;
    }
    match &now {
        Some(why) => notice(&format!("writes nothing for now: {why}; free some space, or give --min-free")),
        None => notice("writes again"),
    }
    *trouble = now;
}
