//! `waltop stream`: the samples as lines on stdout, for a console on another machine.

use std::{
    io::{self, Read, Write},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use rustix::process::Signal;
use tokio::sync::mpsc;

use self::recorded::RecordedArgs;
use super::{databases, sample_args::databases_to_sample};
use crate::{
    config::{Config, TraceMode, duration_of},
    endings::{self, EndSignals},
    observe::Observer,
    recording::{LONGEST_INTERVAL, LineStream, StreamOutbox},
    sampler::{Monitor, Sampler},
    threads, units,
};

mod recorded;

/// What to sample, and how often.
#[derive(Debug, clap::Args)]
pub struct StreamArgs {
    /// The databases, or folders with databases; default: those in the settings, else the default database.
    #[arg(value_name = "DB")]
    databases: Vec<PathBuf>,
    /// Also sample the databases in the folders below a folder.
    #[arg(short, long)]
    recursive: bool,
    /// Write lines of JSON, as recordings have them. There is no other format.
    #[arg(long, required = true)]
    json: bool,
    /// Time between two samples, at most 5 s. Locks are sampled in between.
    #[arg(long, value_name = "DURATION", value_parser = duration_of, default_value = "1s")]
    every: Duration,
    /// Do not sample the locks between snapshots.
    #[arg(long)]
    no_sampling: bool,
    /// Read every lock request from the kernel's trace, which needs root [default: the setting `trace`, else auto].
    #[arg(long, value_name = "WHEN")]
    trace: Option<TraceMode>,
    #[command(flatten)]
    recorded: RecordedArgs,
}

/// Why a stream ends.
#[derive(Debug)]
enum StreamEnd {
    /// No reader is at the other end: stdin or stdout is closed.
    Closed,
    Failed(io::Error),
}

/// Writes a line for the start and lines for each sample until the reader has gone or a signal ends it; or what was
/// recorded, if that is asked for.
///
/// # Errors
///
/// A database cannot be sampled, or stdout fails for another reason than a closed pipe.
pub fn run(args: &StreamArgs, config: Config) -> anyhow::Result<u8> {
    match args.recorded.time() {
        Some(time) => args.recorded.write(&time, &args.databases, &config),
        None => sample(args, config),
    }
}

fn sample(args: &StreamArgs, config: Config) -> anyhow::Result<u8> {
    if args.every > LONGEST_INTERVAL {
        let longest = units::duration(units::milliseconds(LONGEST_INTERVAL));
        anyhow::bail!("--every is longer than {longest}: give at most that");
    }
    let named = databases::named(&args.databases, args.recursive)?;
    databases::print_notes(&named.notes);
    let databases = databases_to_sample(&named.paths, &config)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut endings = {
        let _context = runtime.enter();
        EndSignals::listen()?
    };
    let paths = databases.iter().map(|path| path.to_string_lossy().into_owned()).collect();
    let mut observer = Observer::new(&config.places, databases);
    if !args.no_sampling {
        observer.watch_locks();
        // Each snapshot says whether the kernel's trace is read.
        observer.trace_locks(args.trace.unwrap_or(config.trace));
    }
    let host = Monitor::recorder_host(&config, args.every);
    let first = LineStream::header(host.header(&host_name(), paths))?;
    let (stream, outbox) = LineStream::new(host);
    let mut monitor = Monitor::new(observer, config);
    monitor.stream(stream);
    let (ended, mut endings_of_pipes) = mpsc::unbounded_channel();
    let end_of_input = ended.clone();
    threads::start("waltop-input", move || end_of_input.send(wait_for_end(io::stdin())))?;
    threads::start("waltop-output", move || ended.send(write(&first, &outbox)))?;
    let (sampler, mut newest) = Sampler::start(monitor, args.every)?;
    let end = runtime.block_on(async {
        loop {
            tokio::select! {
                signal = endings.next() => return Ok(Some(signal)),
                Some(end) = endings_of_pipes.recv() => return match end {
                    StreamEnd::Closed => Ok(None),
                    StreamEnd::Failed(error) => Err(anyhow::anyhow!("cannot write to stdout: {error}")),
                },
                changed = newest.changed() => if changed.is_err() {
                    anyhow::bail!("internal error: sampling stopped; start it again");
                },
            }
        }
    });
    // A thread that is still in a write ends with the process.
    drop(sampler);
    Ok(match end? {
        None | Some(Signal::TERM) => 0,
        Some(signal) => endings::exit_code(signal),
    })
}

fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

// Reads until the end of `input`, and throws away what comes.
fn wait_for_end(mut input: impl Read) -> StreamEnd {
    let mut bytes = [0; 4096];
    loop {
        match input.read(&mut bytes) {
            Ok(0) => return StreamEnd::Closed,
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return StreamEnd::Closed,
            _ => {}
        }
    }
}

fn write(first: &str, outbox: &Arc<StreamOutbox>) -> StreamEnd {
    let mut lines = first.as_bytes().to_vec();
    loop {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(&lines).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return StreamEnd::Closed,
            Err(error) => return StreamEnd::Failed(error),
            Ok(()) => {}
        }
        lines = outbox.next();
    }
}
