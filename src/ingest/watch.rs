//! Keeps a database in step with folders: a run at the start, and one after each change.
//!
//! `folder_watcher` receives events, `debounce` groups them, `wake_signal` wakes the watch, and the run is the one of
//! `waltop ingest`. Between two runs the database is not open. After the first run no error ends a watch: it reports
//! the problem once, and retries.

mod backoff;
mod debounce;
mod folder_watcher;
mod folders;
mod trouble;
mod vectors;
mod wake_signal;

use std::{
    mem,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use jiff::Timestamp;

pub use self::wake_signal::WakeSignal;
use self::{
    backoff::RetryBackoff,
    debounce::WatchEvent,
    folder_watcher::{FolderWatcher, WatchInterest},
    folders::WatchedFolders,
    trouble::{ReportedRun, is_waited_for},
    vectors::EmbedderStatus,
    wake_signal::{WakeOn, Wakeup},
};
use super::{
    IngestError, IngestRequest, ReportedFailures, RunSummary, StoreError, discover, discover::IngestFolder,
    embed::ExistingVectors, journal_error,
};
use crate::{
    database::factory,
    observe::{journals, process_start, sidecar},
    snapshot::{FailedFile, Ingestion},
    state::{
        journal::{RunOutcome, WatcherRecord},
        run_lock::{ExclusiveJob, RunLock, RunLockRefusal},
    },
    text::Advised,
};

/// How often the folders are checked, because no event reports that a parent folder was moved; and how often everything
/// is ingested again if some folders are not watchable.
const PULSE: Duration = Duration::from_secs(30);

/// The same while a folder is missing.
const PULSE_WHILE_MISSING: Duration = Duration::from_secs(1);

/// The caller of a watch.
pub trait WatchHost {
    /// Whether a connection to `database` loses no data now.
    ///
    /// # Errors
    ///
    /// The reason, if one could.
    fn may_connect(&mut self, database: &Path) -> Result<(), String>;
    /// A run ended: the first one, or one that changed something, met a new failure or ended an earlier one.
    fn ran(&mut self, summary: &RunSummary);
    /// Another message for the user, as one line.
    fn notice(&mut self, line: &str);
    /// When the caller's next task between two runs is due; `None` if it has none.
    fn next_task_at(&mut self) -> Option<Instant>;
    /// Runs that task. The database is not open in this process during it, and no run starts before it ends.
    fn run_task(&mut self);
}

/// Ingests the folders of `request`, and again after each change, until `bell` ends it.
///
/// # Errors
///
/// Before anything is ingested: a folder cannot be ingested, another watch is active, or the database cannot be used.
/// If the database is locked, or no document exists yet, the watch waits.
pub fn watch(
    request: &IngestRequest,
    bell: &WakeSignal,
    host: &mut dyn WatchHost,
) -> Result<(), IngestError> {
    let folders = request.open_folders()?;
    let database = request.resolve()?;
    factory::refuse_strays(&database).map_err(StoreError::from)?;
    let _locks = lock_folders(request, &database, &folders)?;
    let names: Vec<String> = folders.iter().map(|folder| folder.path.display().to_string()).collect();
    host.notice(&format!(
        "process {} watches {} for {}",
        std::process::id(),
        names.join(" "),
        database.display()
    ));
    let mut watch = FolderWatch::new(request, &database, &folders, bell, host);
    watch.told = reported_before(request, &database, &names);
    watch.begin()?;
    watch.follow_folders();
    Ok(())
}

/// What the newest run over `folders` into `database` left out, as its journal says: once a run finds that mended, its
/// own journal has to say so.
fn reported_before(request: &IngestRequest, database: &Path, folders: &[String]) -> ReportedFailures {
    let database = database.display().to_string();
    let (runs, _) = journals::Journals::new(request.runs.clone(), request.proc.clone()).look();
    let is_same = |(into, run): &&(String, Ingestion)| *into == database && run.folders == folders;
    // The newest is the first.
    let newest = runs.iter().find(is_same);
    newest.map(|(_, run)| ReportedFailures::after(&run.failures, run.error.clone())).unwrap_or_default()
}

fn lock_folders(
    request: &IngestRequest,
    database: &Path,
    folders: &[IngestFolder],
) -> Result<Vec<RunLock>, IngestError> {
    let wrap = |source| journal_error(&request.runs, source);
    let pid = std::process::id().cast_signed();
    let since = Timestamp::now();
    let lock = |folder: &IngestFolder| {
        let taken = RunLock::acquire(ExclusiveJob::Watch, &request.runs, database, &folder.path);
        let mut lock = taken.map_err(|refusal| match refusal {
            RunLockRefusal::Taken(pid) => {
                IngestError::Watched { folder: folder.path.display().to_string(), pid }
            }
            RunLockRefusal::Io(source) => wrap(source),
        })?;
        let watcher = WatcherRecord {
            pid,
            start_ticks: process_start(&request.proc, pid),
            boot: journals::boot(&request.proc),
            database: database.display().to_string(),
            folder: folder.path.display().to_string(),
            since,
        };
        let line = serde_json::to_string(&watcher).map_err(|error| wrap(error.into()))?;
        lock.write_line(&line).map_err(wrap)?;
        Ok(lock)
    };
    folders.iter().map(lock).collect()
}

struct FolderWatch<'a> {
    request: &'a IngestRequest,
    database: &'a Path,
    bell: &'a WakeSignal,
    host: &'a mut dyn WatchHost,
    folders: WatchedFolders,
    /// `None` if it has to be created again before the next run.
    ears: Option<FolderWatcher>,
    backoff: RetryBackoff,
    told: ReportedFailures,
    warned: ReportedFailures,
    trouble: Option<String>,
    deafness: Option<String>,
    vectors: EmbedderStatus,
    /// Runs that finished.
    runs: u64,
    /// Whether the database that they wrote is gone and has not been replaced yet.
    is_gone: bool,
}

impl<'a> FolderWatch<'a> {
    fn new(
        request: &'a IngestRequest,
        database: &'a Path,
        folders: &[IngestFolder],
        bell: &'a WakeSignal,
        host: &'a mut dyn WatchHost,
    ) -> Self {
        Self {
            request,
            database,
            bell,
            host,
            folders: WatchedFolders::new(folders),
            ears: None,
            backoff: RetryBackoff::default(),
            told: ReportedFailures::default(),
            warned: ReportedFailures::default(),
            trouble: None,
            deafness: None,
            vectors: EmbedderStatus::default(),
            runs: 0,
            is_gone: false,
        }
    }

    fn begin(&mut self) -> Result<(), IngestError> {
        match self.run() {
            Err(error) if !is_waited_for(&error) => Err(error),
            ended => {
                self.finish_run(ended);
                Ok(())
            }
        }
    }

    fn follow_folders(&mut self) {
        let mut pulse = self.next_poll();
        loop {
            let (until, mind) = match self.backoff.until() {
                Some(until) => (until, WakeOn::OnlyTime),
                // A changed document need not wait until the next try for vectors.
                None => (self.vectors.until().map_or(pulse, |again| again.min(pulse)), WakeOn::Changes),
            };
            let errand = self.host.next_task_at();
            match self.bell.wait(errand.map_or(until, |errand| errand.min(until)), mind) {
                Wakeup::ToEnd => return,
                Wakeup::By(wave) => {
                    self.handle_event(wave.heard);
                    self.run_again();
                    pulse = self.next_poll();
                }
                Wakeup::InTime if until <= Instant::now() => {
                    self.tick();
                    pulse = self.next_poll();
                }
                Wakeup::InTime => {}
            }
            // Whatever woke it: a change may always be pending.
            if errand.is_some_and(|errand| errand <= Instant::now()) && !self.bell.stop().is_raised() {
                self.host.run_task();
            }
        }
    }

    fn next_poll(&self) -> Instant {
        Instant::now() + self.poll_interval()
    }

    fn poll_interval(&self) -> Duration {
        if self.folders.is_any_missing() { PULSE_WHILE_MISSING } else { PULSE }
    }

    /// Runs when no event arrived for a while, or a retry is due.
    fn tick(&mut self) {
        let is_to_retry = self.backoff.until().is_some()
            || self.vectors.until().is_some_and(|until| until <= Instant::now());
        if self.check_folders() || is_to_retry || self.deafness.is_some() {
            self.run_again();
        }
    }

    fn run_again(&mut self) {
        let ended = self.run();
        self.finish_run(ended);
    }

    fn handle_event(&mut self, heard: WatchEvent) {
        if heard > WatchEvent::Document {
            self.ears = None;
        }
    }

    /// Whether a folder was replaced, removed or restored since the last check; reports it.
    fn check_folders(&mut self) -> bool {
        let Some(lines) = self.folders.changes() else { return false };
        self.ears = None;
        for line in lines {
            self.host.notice(&line);
        }
        true
    }

    /// One run over the existing folders; `None` if there is nothing to ingest. It covers the events before it; later
    /// changes cause events.
    fn run(&mut self) -> Result<Option<RunSummary>, IngestError> {
        if let Some(wave) = self.bell.take() {
            self.handle_event(wave.heard);
        }
        self.check_folders();
        let mut folders = self.folders.present();
        self.listen(&folders);
        self.is_gone |= self.runs > 0 && !self.database.exists();
        let mut seen = ReportedRun::default();
        let ended = loop {
            if folders.is_empty() {
                return Ok(None);
            }
            self.host.may_connect(self.database).map_err(IngestError::Unfit)?;
            let mut request = IngestRequest {
                folders: folders.clone(),
                told: Some(self.told.clone()),
                ..self.request.clone()
            };
            if let Some(embed) = request.embed.as_mut().filter(|_| self.runs > 0) {
                // The vectors of the first run are new.
                embed.have = ExistingVectors::Kept;
            }
            match super::run(&request, self.bell.stop(), &mut seen) {
                // An empty folder is no reason to leave the others out.
                Err(IngestError::Folder(discover::DiscoverError::NoDocuments(path)))
                    if folders.len() > 1 && folders.iter().any(|it| it.display().to_string() == path) =>
                {
                    folders.retain(|folder| folder.display().to_string() != path);
                }
                ended => break ended,
            }
        };
        for (files, known, what) in
            [(&seen.failed, &self.told, "failed"), (&seen.warned, &self.warned, "in part")]
        {
            for FailedFile { path, reason } in files.iter().filter(|file| !known.knows(file)) {
                self.host.notice(&format!("{what}: {path}: {reason}"));
            }
        }
        self.warned = ReportedFailures::after(&seen.warned, None);
        ended.map(Some)
    }

    fn listen(&mut self, folders: &[PathBuf]) {
        if self.ears.is_some() {
            return;
        }
        let ours = ["", "-wal", "-shm", "-journal"].map(|suffix| sidecar(self.database, suffix));
        let ours = ours.into_iter().chain([self.request.runs.clone()]).collect();
        let interest = WatchInterest { folders: folders.to_vec(), hidden: self.request.hidden, ours };
        let deafness = match FolderWatcher::listen(&interest, self.bell) {
            Ok(ears) => self.ears.insert(ears).deaf.clone(),
            Err(reason) => Some(reason),
        };
        if let Some(reason) = deafness.as_ref().filter(|_| deafness != self.deafness) {
            self.host.notice(&format!(
                "some changes cannot be watched, so all files are compared every {} s: {reason}",
                PULSE.as_secs()
            ));
        }
        self.deafness = deafness;
    }

    fn finish_run(&mut self, ended: Result<Option<RunSummary>, IngestError>) {
        match ended {
            Ok(None) => {
                self.backoff.went_well();
                self.vectors.wait();
            }
            Ok(Some(summary)) => self.went_well(&summary),
            // It had to stop while it waited.
            Err(IngestError::Store(StoreError::Stopped)) => {}
            Err(error) => self.report_error(&error),
        }
    }

    fn went_well(&mut self, summary: &RunSummary) {
        self.backoff.went_well();
        if self.trouble.take().is_some() {
            self.host.notice(&format!("{} is up to date with its folders", self.database.display()));
        }
        if mem::take(&mut self.is_gone) {
            self.host
                .notice(&format!("{} was missing: created again from the folders", self.database.display()));
        }
        let is_new = summary.failed.iter().any(|file| !self.told.knows(file))
            || self.told.has_more_than(&summary.failed);
        let embedded = summary.embedding.as_ref().map_or(0, |it| it.embedded);
        if self.runs == 0 || summary.ingested > 0 || summary.removed > 0 || embedded > 0 || is_new {
            self.host.ran(summary);
        }
        self.runs += 1;
        self.told = ReportedFailures::after(&summary.failed, None);
        // A stopped run says nothing about the embedder.
        let embedding = summary.embedding.as_ref().filter(|_| summary.outcome == RunOutcome::Completed);
        if let Some(line) = self.vectors.after(embedding, Instant::now()) {
            self.host.notice(&line);
        }
    }

    fn report_error(&mut self, error: &IngestError) {
        // The next successful run retries them too.
        self.vectors.wait();
        let line = error.to_string();
        let waits = matches!(error, IngestError::Folder(discover::DiscoverError::NoDocuments(_)));
        // The process that closes the last connection has a deleted index open for a moment: the error is reported only
        // if it persists.
        let passes = matches!(error, IngestError::Unfit(_)) && self.backoff.until().is_none();
        if waits {
            // Any new document causes an event.
            self.backoff.went_well();
        } else {
            self.backoff.failed(Instant::now());
        }
        if matches!(error, IngestError::Store(_)) {
            // The run's journal has it already.
            self.told = self.told.clone().and_error(line.clone());
        }
        if !passes && self.trouble.as_ref() != Some(&line) {
            let what = if waits { "waiting" } else { "trying again later" };
            self.host.notice(&format!("{what}: {}", error.line_for_retry()));
            self.trouble = Some(line);
        }
    }
}
