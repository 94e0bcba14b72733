//! `waltop metrics`: the numbers of the samples for Prometheus.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, bail};

use super::{
    databases,
    listen_args::ListenArgs,
    output::{notice, print_line},
    sample_args::databases_to_sample,
    sampling_loop::SamplingLoop,
};
use crate::{
    config::{Config, TraceMode, duration_of},
    endings::{self, EndSignals},
    observe::Observer,
    sampler::{Monitor, Sample, Sampler},
    units,
};

/// What to count, and where the numbers go.
#[derive(Debug, clap::Args)]
pub struct MetricsArgs {
    /// The databases, or folders with databases; default: those in the settings, else the default database.
    #[arg(value_name = "DB")]
    databases: Vec<PathBuf>,
    /// Also count the databases in the folders below a folder.
    #[arg(short, long)]
    recursive: bool,
    /// Write FILE after each sample, for the textfile collector of `node_exporter`.
    #[arg(long, value_name = "FILE", conflicts_with = "listen")]
    textfile: Option<PathBuf>,
    #[command(flatten)]
    listen: ListenArgs,
    /// Time between two samples. Locks are sampled in between.
    #[arg(long, value_name = "DURATION", value_parser = duration_of, default_value = "1s")]
    every: Duration,
    /// Without --textfile and --listen: count for this long, and print.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration_of, default_value = "2s")]
    window: Duration,
    /// Read every lock request from the kernel's trace, which needs root [default: the setting `trace`, else auto].
    #[arg(long, value_name = "WHEN")]
    trace: Option<TraceMode>,
}

impl MetricsArgs {
    fn databases(&self, config: &Config) -> anyhow::Result<Vec<PathBuf>> {
        let named = databases::named(&self.databases, self.recursive)?;
        databases::print_notes(&named.notes);
        databases_to_sample(&named.paths, config)
    }

    fn is_daemon(&self) -> bool {
        self.textfile.is_some() || self.listen.is_wanted()
    }

    fn monitor(&self, config: Config) -> anyhow::Result<Monitor> {
        let mut observer = Observer::new(&config.places, self.databases(&config)?);
        if self.is_daemon() {
            observer.watch_locks();
        } else {
            observer.watch_locks_steadily();
        }
        if let Some(why) = observer.trace_locks(self.trace.unwrap_or(config.trace)) {
            notice(&format!("samples the locks, so that a hold of less than a few ms can be missed: {why}"));
        }
        let mut monitor = Monitor::new(observer, config);
        monitor.count_metrics();
        Ok(monitor)
    }
}

/// Prints the metrics of one window, or keeps a file or a listener up to date until a signal ends it.
///
/// # Errors
///
/// The settings are invalid, a database cannot be sampled, or the file or the address cannot be used.
pub fn run(args: &MetricsArgs, load: &dyn Fn() -> anyhow::Result<Config>) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut endings = {
        let _context = runtime.enter();
        EndSignals::listen()?
    };
    let mut monitor = args.monitor(load()?)?;
    if !args.is_daemon() {
        monitor.sample();
        let wait = async { tokio::time::timeout(args.window, endings.next()).await };
        if let Ok(signal) = runtime.block_on(wait) {
            return Ok(endings::exit_code(signal));
        }
        return print_window(&mut monitor, args.window);
    }
    let mut file = args.textfile.as_deref().map(TextFile::new).transpose()?;
    let (sampler, mut newest) = Sampler::start(monitor, args.every)?;
    let _listener = args.listen.start(&newest, args.every)?;
    if let Some(file) = &file {
        notice(&format!("writes metrics to {}", file.path.display()));
    }
    let sampling = SamplingLoop { load, databases: &|config| args.databases(config) };
    let on_sample = |sample: &Sample| file.iter_mut().for_each(|file| file.report_written(sample));
    runtime.block_on(sampling.run(&mut endings, &sampler, &mut newest, on_sample))
}

fn print_window(monitor: &mut Monitor, window: Duration) -> anyhow::Result<u8> {
    let sample = monitor.sample();
    let text = sample.metrics.as_ref().map(|metrics| metrics.plain.as_ref()).unwrap_or_default();
    let window = units::duration(units::milliseconds(window));
    print_line(&format!("# Counters and histograms cover {window}.\n{}", text.trim_end()))?;
    Ok(0)
}

/// The file that a textfile collector reads. It goes at the end: old numbers would look like new ones.
struct TextFile {
    path: PathBuf,
    folder: PathBuf,
    is_written: bool,
    trouble: Option<String>,
}

impl TextFile {
    fn new(path: &Path) -> anyhow::Result<Self> {
        let path = std::path::absolute(path)?;
        // A collector reads no other names, and a database that was named by mistake keeps its content.
        let is_other = fs::symlink_metadata(&path).is_ok_and(|facts| !facts.is_file());
        if is_other || path.extension().is_none_or(|extension| extension != "prom") {
            bail!("{} is no file of metrics: give a name that ends in .prom", path.display());
        }
        let folder = path.parent().filter(|it| it.is_dir()).map(Path::to_owned);
        let folder = folder.with_context(|| {
            format!("there is no folder for {}: create it, or give another file", path.display())
        })?;
        Ok(Self { path, folder, is_written: false, trouble: None })
    }

    // One line when it cannot be written, and one when it can again.
    fn report_written(&mut self, sample: &Sample) {
        let text = sample.metrics.as_ref().map(|metrics| metrics.plain.as_ref()).unwrap_or_default();
        let now = self.write(text).err().map(|error| error.to_string());
        if now != self.trouble {
            match &now {
                Some(why) => notice(&format!("cannot write {}: {why}", self.path.display())),
                None => notice("writes again"),
            }
        }
        self.is_written |= now.is_none();
        self.trouble = now;
    }

    // A collector sees the old file or the new one. It runs as another user, and reads names that end in .prom.
    fn write(&self, text: &str) -> io::Result<()> {
        let mut file = tempfile::Builder::new().prefix(".waltop").suffix(".tmp").tempfile_in(&self.folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
        file.persist(&self.path)?;
        Ok(())
    }
}

impl Drop for TextFile {
    fn drop(&mut self) {
        if self.is_written {
            // It may have been removed by others.
            let _ = fs::remove_file(&self.path);
        }
    }
}
