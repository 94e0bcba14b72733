//! The console: state, keys, screen, and the loop that joins them to the world.

pub mod app;
pub mod dialogs;
pub(crate) mod log_file;
mod log_lines;
pub mod process_columns;
mod runtime;
pub mod screen_map;
mod settings_watch;
mod source;
mod terminal;
pub mod view;
pub mod widgets;

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
};

use jiff::{Timestamp, tz::TimeZone};
use rustix::{io::Errno, process::Signal};

use crate::{
    act::py_spy,
    config::{Config, Palette, ReadOnly, TraceMode, profile::Profile},
    endings::exit_code,
    hosts::LinkFailure,
    observe::Observer,
    recording::Recording,
    remote::{RemoteHosts, SshHost, StreamRequest},
    replay::{Replay, ReplayError},
    sampler::{Monitor, Sampler},
    state::places::Places,
    text,
};

use app::{App, AppSetup, ConsoleKind};
use source::{RecordingSetup, SampleSource};
use widgets::theme::Theme;

/// Why the console did not open, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// Stdin or stdout is a pipe or a file.
    #[error("the console needs a terminal; for a script, use waltop status --json")]
    NoTerminal,
    /// The operating system gave no thread, signal or terminal.
    #[error("cannot run the console: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    LogFile(#[from] log_file::LogFileError),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// No host has sent a sample.
    #[error(transparent)]
    Link(#[from] LinkFailure),
}

/// Takes the terminal over and panics: what a test of the way back needs.
///
/// # Errors
///
/// Where there is no terminal to take over.
///
/// # Panics
///
/// Otherwise.
pub fn crash() -> io::Result<u8> {
    let _screen = terminal::TerminalGuard::enter(true)?;
    panic!("as asked");
}

/// The databases that a console watches.
#[derive(Debug, Default)]
pub struct ConsoleDatabases {
    pub paths: Vec<PathBuf>,
    /// Where each is, if they were found and not named.
    pub discovered: Vec<String>,
    /// What else the user has to know, one sentence each.
    pub notes: Vec<String>,
}

/// Opens the console on `watched` and runs it until the user ends it; returns the exit code. Its notes are logged.
///
/// # Errors
///
/// Where there is no terminal, or the operating system refuses what a console needs.
pub fn run(config: Config, watched: ConsoleDatabases, banner: Option<String>) -> Result<u8, ConsoleError> {
    let ConsoleDatabases { paths: databases, discovered, notes } = watched;
    let databases = &*databases;
    let theme = prepare(&config, databases)?;
    let places = config.places.clone();
    for path in databases {
        log::info!("watching {}", text::clean(&path.display().to_string()));
    }
    let profiles = databases.iter().map(|path| config.profile_of(path).clone()).collect();
    let mut observer = Observer::new(&config.places, databases.to_vec());
    let mut untraced = None;
    if config.sampling {
        observer.watch_locks();
        untraced = observer.trace_locks(config.trace).map(|why| text::clean(&why));
    }
    let is_trace_wanted = config.trace == TraceMode::On;
    if let Some(why) = &untraced {
        let level = if is_trace_wanted { log::Level::Warn } else { log::Level::Info };
        log::log!(level, "lock times are sampled, so each is at least that long: {why}");
    }
    let setup = AppSetup {
        banner,
        bell: config.bell,
        py_spy: py_spy::find(),
        untraced: untraced.filter(|_| is_trace_wanted),
        discovered,
        ..setup(&config, profiles)
    };
    let every = config.refresh;
    let app = App::new(setup, every, Timestamp::now());
    for note in notes {
        log::warn!("{note}");
    }
    let histories = observer.histories();
    let host = Monitor::recorder_host(&config, every);
    let recording = RecordingSetup { folder: config.places.recordings(), host };
    let is_recorded = config.record;
    let (sampler, looks) = Sampler::start(Monitor::new(observer, config), every)?;
    let source = SampleSource::present(sampler, looks, histories, databases, recording);
    if is_recorded {
        let outcome = source.origin.record(true);
        log::log!(outcome.level, "{}", text::clean(&outcome.text));
    }
    show(app, theme, source, &places)
}

/// Opens the console on `recording`, at `at` or at its newest moment, and runs it until the user ends it; returns the
/// exit code.
///
/// # Errors
///
/// Where there is no terminal, the recording cannot be read, or the operating system refuses what a console needs.
pub fn replay(
    config: &Config,
    recording: Recording,
    at: Option<Timestamp>,
    speed: f64,
) -> Result<u8, ConsoleError> {
    let databases: Vec<_> = recording.databases().iter().map(PathBuf::from).collect();
    let theme = prepare(config, &databases)?;
    let profiles = databases.iter().map(|path| config.profile_of(path).clone()).collect();
    let setup = AppSetup {
        permit: Err(ReadOnly::Replay),
        keymap: config.keymap.clone().for_replay(),
        kind: ConsoleKind::Replay,
        ..setup(config, profiles)
    };
    let app = App::new(setup, config.refresh, Timestamp::now());
    let (replay, output) = Replay::start(recording, at, speed)?;
    show(app, theme, SampleSource::recording(replay, output), &config.places)
}

/// Opens the console on the databases of `hosts`, of which `request` says which, and runs it until the user ends it;
/// returns the exit code. It opens if one of them answers.
///
/// # Errors
///
/// Where there is no terminal, no host answers, or the operating system refuses what a console needs.
pub fn watch_hosts(
    config: &Config,
    hosts: Vec<SshHost>,
    request: &StreamRequest,
) -> Result<u8, ConsoleError> {
    let theme = prepare(config, &[])?;
    let count = hosts.len();
    let (links, timelines) = RemoteHosts::start(hosts, request)?;
    let mut failures = links.first_failures();
    if failures.len() == count
        && let Some(last) = failures.pop()
    {
        for failure in failures {
            // If stderr is closed, the exit code is left.
            let _ = writeln!(io::stderr(), "waltop: {}", text::clean(&failure.to_string()));
        }
        return Err(last.into());
    }
    let setup = AppSetup { kind: ConsoleKind::Remote, bell: config.bell, ..setup(config, Vec::new()) };
    let app = App::new(setup, request.every, Timestamp::now());
    show(app, theme, SampleSource::hosts(links, timelines), &config.places)
}

// Refuses without a terminal; begins the log, and chooses the colours.
fn prepare(config: &Config, databases: &[PathBuf]) -> Result<Theme, ConsoleError> {
    if !io::stdin().is_terminal() || !io::stdout().is_terminal() {
        return Err(ConsoleError::NoTerminal);
    }
    let log_file = config.log_file.as_ref().map(|path| {
        let named = databases.iter().chain(&config.databases).chain([&config.places.default_database]);
        log_file::open(path, named)
    });
    log_lines::collect(log_file.transpose()?);
    let palette = if text::is_colourless() { Palette::None } else { config.theme };
    Ok(Theme { is_ascii: text::is_ascii_locale(), ..Theme::of(palette) })
}

// What all consoles have in common.
fn setup(config: &Config, profiles: Vec<Profile>) -> AppSetup {
    AppSetup {
        permit: config.permit(),
        profiles,
        keymap: config.keymap.clone(),
        time_zone: TimeZone::system(),
        folder: std::env::current_dir().unwrap_or_default(),
        home: directories::BaseDirs::new().map(|dirs| dirs.home_dir().to_owned()),
        banner: None,
        bell: false,
        py_spy: None,
        mouse: config.mouse,
        untraced: None,
        kind: ConsoleKind::Present,
        discovered: Vec::new(),
    }
}

fn show(app: App, theme: Theme, source: SampleSource, places: &Places) -> Result<u8, ConsoleError> {
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = tokio.block_on(runtime::run(app, theme, source, places));
    // A worker that still runs is left to finish; nobody waits for it.
    tokio.shutdown_background();
    match code {
        // It hung up: whether its signal comes first, or at all, is not known.
        Err(error) if is_hang_up(&error) => Ok(exit_code(Signal::HUP)),
        code => Ok(code?),
    }
}

/// Whether `error` says that the terminal has hung up: a read or write of it fails, or `/dev/tty` leads nowhere, which
/// the SIGCONT that comes with a hang-up makes waltop open.
fn is_hang_up(error: &io::Error) -> bool {
    [Errno::IO, Errno::NXIO].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
