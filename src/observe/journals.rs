//! Ingestions, from the journals that they write: live ones, past ones, and those whose process died.
//!
//! A journal is read once and then followed: a look reads what was appended since the look before. It lists the
//! folder, asks once for the size of each of the newest 500 journals, and opens those that have changed.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    fs::{self, File, Metadata},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::{Duration, Instant, SystemTime},
};

use jiff::Timestamp;

use super::{process_start, processes, timing::Now, watchers};
use crate::{
    journal::{EXTENSION, Event, Line, Outcome},
    snapshot::{Batch, FailedFile, Ingestion, IngestionState, Spread, Unseen, Watcher},
};

/// How many ingestions are shown of each database, the newest.
pub const SHOWN: usize = 20;

/// How many journals are looked at, the newest by name, which begins with the time.
pub const FOLLOWED: usize = 500;

/// What the file of a watch ends with: its PID, and a line of JSON behind it.
pub const WATCH_EXTENSION: &str = "watch";

/// Of how many batches, the newest, the spreads are made.
const SPREAD_OVER: usize = 4096;

/// Follows the journals in a folder.
#[derive(Debug)]
pub struct Journals {
    runs: PathBuf,
    proc: PathBuf,
    shown: usize,
    followed: HashMap<PathBuf, Followed>,
    watch_files: Vec<PathBuf>,
    // Of each run that goes on: when its journal was last written, and which look saw that first.
    told: HashMap<String, (Timestamp, Instant)>,
}

/// A transaction of an ingestion, as its journal tells it.
#[derive(Debug, Clone, PartialEq)]
pub struct Transaction {
    /// Absolute path of the database.
    pub database: String,
    /// The process.
    pub pid: i32,
    /// Its start in clock ticks since boot.
    pub start_ticks: Option<u64>,
    /// When it had committed.
    pub at: Timestamp,
    /// How long it waited for the write lock, in ms.
    pub wait_ms: f64,
    /// How long it held the lock, in ms.
    pub hold_ms: f64,
}

impl Journals {
    /// Follows the journals in `runs`; `proc` tells which of their processes live.
    #[must_use]
    pub fn new(runs: PathBuf, proc: PathBuf) -> Self {
        Self {
            runs,
            proc,
            shown: SHOWN,
            followed: HashMap::new(),
            watch_files: Vec::new(),
            told: HashMap::new(),
        }
    }

    /// Shows at most `count` ingestions of each database.
    #[must_use]
    pub fn showing(self, count: usize) -> Self {
        Self { shown: count, ..self }
    }

    /// The ingestions with the path of their database, newest first, at most [`SHOWN`] of each database, or as many
    /// as [`Journals::showing`] says; and what could not be seen. Where there is no such folder there are no ingestions.
    pub fn look(&mut self) -> (Vec<(String, Ingestion)>, Vec<Unseen>) {
        let mut unseen = Vec::new();
        let (paths, watch_files) = newest(&self.runs).unwrap_or_else(|error| {
            unseen.push(told(&format!("the ingestions in {}", self.runs.display()), &error));
            (Vec::new(), Vec::new())
        });
        self.watch_files = watch_files;
        let newest: HashSet<&PathBuf> = paths.iter().collect();
        self.followed.retain(|path, _| newest.contains(path));
        for path in &paths {
            let followed = self.followed.entry(path.clone()).or_default();
            let what = || format!("the whole ingestion in {}", path.display());
            if let Err(error) = followed.catch_up(path, &self.proc) {
                unseen.push(told(&what(), &error));
            } else if let Some(why) = followed.nonsense.clone() {
                unseen.push(Unseen { what: what(), why });
            }
        }
        let mut shown: BTreeMap<&str, usize> = BTreeMap::new();
        let mut ingestions = Vec::new();
        for story in paths.iter().filter_map(|path| self.followed.get(path)?.story.as_ref()) {
            let count = shown.entry(&story.database).or_default();
            *count += 1;
            if *count <= self.shown {
                ingestions.push((story.database.clone(), story.ingestion.clone()));
            }
        }
        (ingestions, unseen)
    }

    /// Fills in for how long each of `ingestions` that goes on has told nothing. The calendar counts the time that the
    /// machine slept; so it counts as far as the machine has not slept since it was started, and otherwise the looks do.
    pub fn fill_in_silence(
        &mut self,
        ingestions: &mut [(String, Ingestion)],
        now: Now,
        slept: Option<Duration>,
    ) {
        let mut told = std::mem::take(&mut self.told);
        for (_, run) in ingestions.iter_mut().filter(|(_, run)| run.is_running()) {
            let Some(at) = run.last_told_at else { continue };
            let known = told.remove(&run.run).filter(|(before, _)| *before == at);
            let (_, first) = *self.told.entry(run.run.clone()).or_insert(known.unwrap_or((at, now.instant)));
            let watched = now.instant.saturating_duration_since(first);
            // Where the clock was set back, nothing is known but what was watched.
            let by_calendar = Duration::try_from(now.timestamp.duration_since(at)).unwrap_or_default();
            let awake = slept.and_then(|slept| by_calendar.checked_sub(slept)).unwrap_or_default();
            run.silent_ms = Some(watched.max(awake).as_secs_f64() * 1000.0);
        }
    }

    /// Those who keep a database in step with folders, as of the newest look, each with its database.
    #[must_use]
    pub fn watchers(&self) -> Vec<(String, Watcher)> {
        watchers::read(&self.watch_files, &self.proc)
    }

    /// The transactions that were read since this was asked last, at most the newest few thousand of each journal.
    pub fn take_transactions(&mut self) -> Vec<Transaction> {
        let stories = self.followed.values_mut().filter_map(|followed| followed.story.as_mut());
        stories.flat_map(|story| std::mem::take(&mut story.fresh)).collect()
    }
}

/// What names the running boot of the system; `None` where nothing does.
#[must_use]
pub fn boot(proc: &Path) -> Option<String> {
    Some(processes::boot(proc)).filter(|boot| !boot.is_empty())
}

/// Whether the process that wrote `started` is there: not where its PID is another's by now, or of another boot.
/// What is not known speaks for it. `false` for any other event.
#[must_use]
pub fn lives(proc: &Path, started: &Event) -> bool {
    let Event::Started { pid, start_ticks, boot, .. } = started else { return false };
    is_there(proc, *pid, *start_ticks, boot.as_deref())
}

/// Whether the process `pid` that began `since`, at the boot that is named `then`, is there.
pub(super) fn is_there(proc: &Path, pid: i32, since: Option<u64>, then: Option<&str>) -> bool {
    let Some(now) = process_start(proc, pid) else { return false };
    since.is_none_or(|since| since == now)
        && then.is_none_or(|then| boot(proc).is_none_or(|boot| boot == then))
}

/// The newest journals in `runs`, newest first, and the files of watches.
fn newest(runs: &Path) -> io::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let entries = match fs::read_dir(runs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), Vec::new())),
        other => other?,
    };
    let (mut paths, mut watch_files) = (Vec::new(), Vec::new());
    for entry in entries {
        let entry = entry?;
        let path = entry.path();
        // Anything but a regular file is not ours, and a pipe would keep us waiting.
        let kept = match path.extension() {
            Some(it) if it == EXTENSION => &mut paths,
            Some(it) if it == WATCH_EXTENSION => &mut watch_files,
            _ => continue,
        };
        if entry.file_type()?.is_file() {
            kept.push(path);
        }
    }
    paths.sort_unstable_by(|a, b| b.cmp(a));
    paths.truncate(FOLLOWED);
    watch_files.sort_unstable();
    Ok((paths, watch_files))
}

fn told(what: &str, error: &io::Error) -> Unseen {
    Unseen { what: what.to_owned(), why: error.to_string() }
}

/// A journal, and how far it has been read.
#[derive(Debug, Default)]
struct Followed {
    inode: u64,
    read_to: u64,
    // Size and time of the journal when it was last read.
    read_at: Option<(u64, SystemTime)>,
    story: Option<Story>,
    /// What was wrong with a line that was passed over.
    nonsense: Option<String>,
}

impl Followed {
    fn catch_up(&mut self, path: &Path, proc: &Path) -> io::Result<()> {
        // A process that was gone before its journal is read has written all that it ever will. Where the
        // journal had not named it yet, it is asked for after the reading, and what came in between is read too.
        let mut known_to_live = self.story.as_ref().map(|story| story.lives(proc));
        let metadata = match fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        if metadata.ino() != self.inode || metadata.len() < self.read_to {
            *self = Self { inode: metadata.ino(), ..Self::default() };
            known_to_live = None;
        }
        self.read_on(path, &metadata)?;
        let lives =
            known_to_live.or_else(|| self.story.as_ref().map(|story| story.lives(proc))).unwrap_or(true);
        if known_to_live.is_none() && !lives {
            self.read_on(path, &fs::symlink_metadata(path)?)?;
        }
        if let Some(story) = &mut self.story {
            story.settle(lives);
        }
        Ok(())
    }

    /// Reads the whole lines that were appended; one that is being written is left for the next look.
    fn read_on(&mut self, path: &Path, metadata: &Metadata) -> io::Result<()> {
        let state = (metadata.len(), metadata.modified()?);
        if metadata.len() <= self.read_to || self.read_at == Some(state) {
            return Ok(());
        }
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(self.read_to))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        self.read_at = Some(state);
        let Some(end) = bytes.iter().rposition(|&byte| byte == b'\n') else { return Ok(()) };
        self.read_to += end as u64 + 1;
        for line in bytes[..end].split(|&byte| byte == b'\n') {
            if let Err(nonsense) = self.take(line) {
                self.nonsense = Some(nonsense);
            }
        }
        Ok(())
    }

    fn take(&mut self, line: &[u8]) -> Result<(), String> {
        let line = serde_json::from_slice(line).map_err(|error| format!("a line makes no sense: {error}"))?;
        match &mut self.story {
            Some(story) => story.go_on(line),
            None => self.story = Some(Story::begin(line)?),
        }
        Ok(())
    }
}

/// An ingestion as far as its journal tells it.
#[derive(Debug)]
struct Story {
    database: String,
    boot: Option<String>,
    ingestion: Ingestion,
    holds: VecDeque<f64>,
    waits: VecDeque<f64>,
    /// What nobody has taken yet.
    fresh: VecDeque<Transaction>,
}

impl Story {
    fn begin(line: Line) -> Result<Self, String> {
        let Event::Started { run, pid, start_ticks, boot, database, folders, batch: _ } = line.event else {
            return Err("its first line tells no start".to_owned());
        };
        let ingestion = Ingestion {
            run,
            pid,
            start_ticks,
            state: IngestionState::Running,
            folders,
            files_total: None,
            files_done: 0,
            files_unchanged: 0,
            files_failed: 0,
            batches: 0,
            batch_size: None,
            hold_ms: None,
            wait_ms: None,
            busy_retries: 0,
            started_at: line.at,
            finished_at: None,
            recent_holds_ms: Vec::new(),
            recent_batches: Vec::new(),
            slowest_batch: None,
            last_batch_at: None,
            last_told_at: Some(line.at),
            silent_ms: None,
            failures: Vec::new(),
            error: None,
        };
        let [holds, waits] = [const { VecDeque::new() }; 2];
        Ok(Self { database, boot, ingestion, holds, waits, fresh: VecDeque::new() })
    }

    fn go_on(&mut self, line: Line) {
        let ingestion = &mut self.ingestion;
        ingestion.last_told_at = Some(line.at);
        match line.event {
            Event::Discovered { files, unchanged } => {
                ingestion.files_total = Some(files);
                ingestion.files_unchanged += unchanged;
                ingestion.files_done += unchanged;
            }
            Event::Unchanged { files } => {
                ingestion.files_unchanged += files;
                ingestion.files_done += files;
            }
            Event::Batch { files, bytes, wait_ms, hold_ms, retries } => {
                ingestion.files_done += files;
                ingestion.batch_size = Some(files);
                self.transaction(Batch { at: line.at, files, bytes: Some(bytes), wait_ms, hold_ms, retries });
            }
            Event::Removed { files, wait_ms, hold_ms, retries } => {
                self.transaction(Batch { at: line.at, files, bytes: None, wait_ms, hold_ms, retries });
            }
            Event::Merged { wait_ms, hold_ms, retries } => {
                self.transaction(Batch { at: line.at, files: 0, bytes: None, wait_ms, hold_ms, retries });
            }
            Event::FileFailed { path, reason } => {
                ingestion.files_failed += 1;
                if ingestion.failures.len() < Ingestion::RECENT {
                    ingestion.failures.push(FailedFile { path, reason });
                }
            }
            Event::Finished { outcome, error } => {
                ingestion.finished_at = Some(line.at);
                ingestion.error = error;
                ingestion.state = match outcome {
                    Outcome::Completed => IngestionState::Completed,
                    Outcome::Stopped => IngestionState::Stopped,
                    Outcome::Failed => IngestionState::Failed,
                };
            }
            Event::Started { .. } | Event::FileWarned { .. } | Event::Unknown => {}
        }
    }

    fn transaction(&mut self, batch: Batch) {
        let Batch { at, wait_ms, hold_ms, retries, .. } = batch;
        if self.ingestion.slowest_batch.is_none_or(|slowest| slowest.hold_ms < hold_ms) {
            self.ingestion.slowest_batch = Some(batch);
        }
        self.ingestion.last_batch_at = Some(at);
        let Ingestion { pid, start_ticks, .. } = self.ingestion;
        let database = self.database.clone();
        self.fresh.push_back(Transaction { database, pid, start_ticks, at, wait_ms, hold_ms });
        if self.fresh.len() > SPREAD_OVER {
            self.fresh.pop_front();
        }
        self.ingestion.batches += 1;
        self.ingestion.busy_retries += retries;
        for (values, value) in [(&mut self.holds, hold_ms), (&mut self.waits, wait_ms)] {
            values.push_back(value);
            if values.len() > SPREAD_OVER {
                values.pop_front();
            }
        }
        let older = self.holds.len().saturating_sub(Ingestion::RECENT);
        self.ingestion.recent_holds_ms = self.holds.iter().skip(older).copied().collect();
        let recent = &mut self.ingestion.recent_batches;
        if recent.len() == Ingestion::RECENT {
            recent.remove(0);
        }
        recent.push(batch);
        self.ingestion.hold_ms = None;
        self.ingestion.wait_ms = None;
    }

    /// Whether its process may still write: not after the end, nor where it is gone, or its PID another's or of another boot.
    fn lives(&self, proc: &Path) -> bool {
        if self.ingestion.finished_at.is_some() {
            return true;
        }
        let Ingestion { pid, start_ticks, .. } = self.ingestion;
        is_there(proc, pid, start_ticks, self.boot.as_deref())
    }

    fn settle(&mut self, lives: bool) {
        let ingestion = &mut self.ingestion;
        if ingestion.hold_ms.is_none() {
            ingestion.hold_ms = Spread::of(self.holds.make_contiguous());
            ingestion.wait_ms = Spread::of(self.waits.make_contiguous());
        }
        if ingestion.finished_at.is_none() {
            ingestion.state = if lives { IngestionState::Running } else { IngestionState::Crashed };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use tempfile::TempDir;

    use super::*;

    struct Scene {
        dir: TempDir,
        journals: Journals,
    }

    impl Scene {
        fn new() -> Self {
            let dir = TempDir::new().expect("a folder");
            fs::create_dir_all(dir.path().join("runs")).expect("a folder");
            let journals = Journals::new(dir.path().join("runs"), dir.path().join("proc"));
            Self { dir, journals }
        }

        fn process(&self, pid: i32, state: char, ticks: u64) {
            let proc = self.dir.path().join("proc").join(pid.to_string());
            fs::create_dir_all(&proc).expect("a folder");
            let zeros = "0 ".repeat(18);
            fs::write(proc.join("stat"), format!("{pid} (a ) b) {state} {zeros}{ticks} 0 0\n"))
                .expect("a file");
        }

        fn append(&self, run: &str, text: &str) {
            let path = self.dir.path().join("runs").join(format!("{run}.jsonl"));
            let mut file = File::options().create(true).append(true).open(path).expect("a journal");
            file.write_all(text.as_bytes()).expect("a line");
        }

        fn tell(&self, run: &str, event: Event) {
            let line = Line { at: "2026-01-02T03:04:05Z".parse().expect("a time"), event };
            self.append(run, &(serde_json::to_string(&line).expect("JSON") + "\n"));
        }

        fn start(&self, run: &str, pid: i32) {
            self.tell(run, started(run, pid));
        }

        fn only(&mut self) -> Ingestion {
            let (mut ingestions, unseen) = self.journals.look();
            assert_eq!(unseen, []);
            assert_eq!(ingestions.len(), 1);
            ingestions.remove(0).1
        }
    }

    fn started(run: &str, pid: i32) -> Event {
        Event::Started {
            run: run.to_owned(),
            pid,
            start_ticks: Some(500),
            boot: Some("this one".to_owned()),
            database: "/x/notes.db".to_owned(),
            folders: vec!["/x/notes".to_owned()],
            batch: "auto".to_owned(),
        }
    }

    fn batch(files: u64, hold_ms: f64) -> Event {
        Event::Batch { files, bytes: 10, wait_ms: 1.0, hold_ms, retries: 1 }
    }

    #[test]
    fn a_missing_folder_is_no_ingestion() {
        let (ingestions, unseen) = Journals::new("/nowhere/at/all".into(), "/proc".into()).look();
        assert!(ingestions.is_empty());
        assert_eq!(unseen, []);
    }

    #[test]
    fn a_live_run_is_followed_to_its_end() {
        let mut scene = Scene::new();
        scene.process(7, 'S', 500);
        scene.start("r", 7);
        let ingestion = scene.only();
        assert_eq!((ingestion.state, ingestion.files_total), (IngestionState::Running, None));
        scene.tell("r", Event::Discovered { files: 10, unchanged: 2 });
        scene.tell("r", batch(3, 4.0));
        scene.tell("r", Event::Unchanged { files: 1 });
        scene.tell("r", Event::FileFailed { path: "p".into(), reason: "why".into() });
        scene.append("r", "{\"at\":\"2026-01-02T03:04:05Z\",\"event\":\"of_tomorrow\",\"x\":1}\n");
        let ingestion = scene.only();
        assert_eq!(
            (ingestion.files_total, ingestion.files_done, ingestion.files_unchanged),
            (Some(10), 6, 3)
        );
        assert_eq!((ingestion.files_failed, ingestion.failures.len()), (1, 1));
        assert_eq!((ingestion.batches, ingestion.batch_size, ingestion.busy_retries), (1, Some(3), 1));
        scene.tell("r", batch(4, 8.0));
        scene.tell("r", Event::Removed { files: 5, wait_ms: 2.0, hold_ms: 1.0, retries: 0 });
        scene.tell("r", Event::Finished { outcome: Outcome::Completed, error: None });
        let ingestion = scene.only();
        assert_eq!((ingestion.state, ingestion.files_done), (IngestionState::Completed, 10));
        assert_eq!(ingestion.hold_ms, Some(Spread { p50: 4.0, p99: 8.0, max: 8.0 }));
        assert_eq!(ingestion.recent_holds_ms, [4.0, 8.0, 1.0]);
        let recent: Vec<_> =
            ingestion.recent_batches.iter().map(|it| (it.files, it.bytes, it.wait_ms, it.retries)).collect();
        assert_eq!(recent, [(3, Some(10), 1.0, 1), (4, Some(10), 1.0, 1), (5, None, 2.0, 0)]);
        assert_eq!(ingestion.slowest_batch.map(|it| (it.files, it.hold_ms)), Some((4, 8.0)));
        assert!(ingestion.last_batch_at.is_some() && ingestion.last_told_at == ingestion.finished_at);
        let told = scene.journals.take_transactions();
        assert_eq!(
            told.iter().map(|it| (it.wait_ms, it.hold_ms)).collect::<Vec<_>>(),
            [(1.0, 4.0), (1.0, 8.0), (2.0, 1.0)]
        );
        assert_eq!(
            (told[0].database.as_str(), told[0].pid, told[0].start_ticks),
            ("/x/notes.db", 7, Some(500))
        );
        assert_eq!(scene.journals.take_transactions(), [], "once is enough");
        assert!(ingestion.finished_at.is_some());
    }

    #[test]
    fn a_line_that_is_being_written_waits_for_its_end() {
        let mut scene = Scene::new();
        scene.process(7, 'S', 500);
        scene.start("r", 7);
        let line = serde_json::to_string(&Line { at: jiff::Timestamp::UNIX_EPOCH, event: batch(3, 4.0) });
        let line = line.expect("JSON");
        let (first, second) = line.split_at(20);
        scene.append("r", first);
        assert_eq!(scene.only().batches, 0);
        scene.append("r", second);
        assert_eq!(scene.only().batches, 0);
        scene.append("r", "\n");
        assert_eq!(scene.only().batches, 1);
    }

    #[test]
    fn a_run_without_an_end_whose_process_is_gone_has_crashed() {
        let mut scene = Scene::new();
        scene.start("r", 7);
        assert_eq!(scene.only().state, IngestionState::Crashed);
        scene.process(7, 'S', 500);
        assert_eq!(scene.only().state, IngestionState::Running);
        // The PID is somebody else's now, then that of a process that nobody has collected yet.
        scene.process(7, 'S', 501);
        assert_eq!(scene.only().state, IngestionState::Crashed);
        scene.process(7, 'Z', 500);
        assert_eq!(scene.only().state, IngestionState::Crashed);
        scene.append("r", "{\"at\":");
        assert_eq!(scene.only().state, IngestionState::Crashed);
    }

    #[test]
    fn a_run_of_another_boot_has_crashed_whoever_has_its_number_now() {
        let mut scene = Scene::new();
        scene.process(7, 'S', 500);
        scene.start("r", 7);
        assert_eq!(scene.only().state, IngestionState::Running, "nothing names the boot");
        for (boot, state) in [("this one", IngestionState::Running), ("the next", IngestionState::Crashed)] {
            let random = scene.dir.path().join("proc/sys/kernel/random");
            fs::create_dir_all(&random).expect("a folder");
            fs::write(random.join("boot_id"), format!("{boot}\n")).expect("a file");
            assert_eq!(scene.only().state, state, "{boot}");
        }
    }

    #[test]
    fn a_journal_that_names_no_boot_is_read_as_before() {
        let mut scene = Scene::new();
        scene.process(7, 'S', 500);
        scene.append(
            "r",
            "{\"at\":\"2026-01-02T03:04:05Z\",\"event\":\"started\",\"run\":\"r\",\"pid\":7,\"start_ticks\":500,\
             \"database\":\"/x/notes.db\",\"folders\":[],\"batch\":\"auto\"}\n",
        );
        assert_eq!(scene.only().state, IngestionState::Running);
    }

    #[test]
    fn a_run_that_ended_has_not_crashed_though_its_process_is_gone() {
        let mut scene = Scene::new();
        scene.start("r", 7);
        scene.tell("r", Event::Finished { outcome: Outcome::Failed, error: Some("disk full".into()) });
        let ingestion = scene.only();
        assert_eq!(
            (ingestion.state, ingestion.error.as_deref()),
            (IngestionState::Failed, Some("disk full"))
        );
    }

    #[test]
    fn the_newest_come_first_and_only_so_many_of_each_database() {
        let mut scene = Scene::new();
        for number in 0..SHOWN + 3 {
            scene.start(&format!("r{number:02}"), 7);
        }
        let (ingestions, _) = scene.journals.look();
        assert_eq!(ingestions.len(), SHOWN);
        assert_eq!((ingestions[0].1.run.as_str(), ingestions[0].0.as_str()), ("r22", "/x/notes.db"));
        let Scene { dir: _dir, journals } = scene;
        assert_eq!(journals.showing(SHOWN + 1).look().0.len(), SHOWN + 1);
    }

    #[test]
    fn only_the_newest_batches_are_carried_along() {
        let mut scene = Scene::new();
        scene.start("r", 7);
        for files in 1..=Ingestion::RECENT as u64 + 3 {
            scene.tell("r", batch(files, 1.0));
        }
        let recent = scene.only().recent_batches;
        assert_eq!((recent.len(), recent[0].files), (Ingestion::RECENT, 4));
    }

    #[test]
    fn what_makes_no_sense_is_told_and_hides_nothing_else() {
        let mut scene = Scene::new();
        scene.append("bad", "not JSON\n");
        scene.tell("headless", batch(1, 1.0));
        scene.append("empty", "");
        scene.start("good", 7);
        fs::create_dir(scene.dir.path().join("runs/folder.jsonl")).expect("a folder");
        for _ in 0..2 {
            let (ingestions, unseen) = scene.journals.look();
            assert_eq!(ingestions.len(), 1);
            assert_eq!(unseen.len(), 2, "{unseen:?}");
        }
    }

    #[test]
    fn the_time_that_the_machine_slept_is_no_silence() {
        let mut scene = Scene::new();
        scene.process(7, 'S', 500);
        scene.start("r", 7);
        let began = Instant::now();
        let told: Timestamp = "2026-01-02T03:04:05Z".parse().expect("a time");
        let mut silent = |calendar: i64, awake: u64, slept: Option<u64>| {
            let (mut ingestions, _) = scene.journals.look();
            let timestamp = told + jiff::SignedDuration::from_secs(calendar);
            let now = Now { timestamp, instant: began + Duration::from_secs(awake) };
            scene.journals.fill_in_silence(&mut ingestions, now, slept.map(Duration::from_secs));
            ingestions.remove(0).1.silent_ms
        };
        assert_eq!(silent(40, 0, Some(0)), Some(40_000.0), "it never slept");
        let night = 8 * 3600;
        assert_eq!(silent(night + 40, 1, Some(28_790)), Some(50_000.0));
        assert_eq!(silent(night + 40, 2, None), Some(2000.0), "what the looks have seen of it");
        assert_eq!(silent(night + 70, 32, Some(30_000)), Some(32_000.0));
        assert_eq!(silent(-5, 33, Some(0)), Some(33_000.0), "the clock was set back");
        scene.tell("r", batch(1, 1.0));
        let (mut ingestions, _) = scene.journals.look();
        ingestions[0].1.last_told_at = Some(told + jiff::SignedDuration::from_secs(1));
        let now = Now { timestamp: told, instant: began + Duration::from_secs(40) };
        scene.journals.fill_in_silence(&mut ingestions, now, None);
        assert_eq!(ingestions[0].1.silent_ms, Some(0.0), "it told something");
    }

    #[test]
    fn a_spoilt_line_takes_no_other_with_it() {
        let mut scene = Scene::new();
        scene.process(7, 'S', 500);
        scene.start("r", 7);
        scene.tell("r", batch(3, 4.0));
        scene.append("r", "spoilt\n");
        scene.tell("r", batch(3, 4.0));
        for _ in 0..2 {
            let (ingestions, unseen) = scene.journals.look();
            assert_eq!((ingestions[0].1.batches, unseen.len()), (2, 1));
        }
    }

    #[test]
    fn a_finished_journal_is_not_read_again_until_it_changes() {
        let mut scene = Scene::new();
        scene.start("r", 7);
        scene.tell("r", Event::Finished { outcome: Outcome::Completed, error: None });
        scene.append("r", "torn off");
        scene.only();
        // Whoever reads it again finds a whole line, which makes no sense.
        let path = scene.dir.path().join("runs/r.jsonl");
        let text = fs::read_to_string(&path).expect("a journal").replace("torn off", "spoiled\n");
        let modified = fs::metadata(&path).expect("a journal").modified().expect("a time");
        fs::write(&path, text).expect("written in place");
        let file = File::options().append(true).open(&path).expect("a journal");
        file.set_modified(modified).expect("a time");
        assert_eq!(scene.only().state, IngestionState::Completed);
        file.set_modified(modified + std::time::Duration::from_secs(1)).expect("a time");
        assert_eq!(scene.journals.look().1.len(), 1);
    }

    #[test]
    fn journals_that_went_away_are_forgotten() {
        let mut scene = Scene::new();
        scene.start("a", 7);
        scene.start("b", 7);
        assert_eq!(scene.journals.look().0.len(), 2);
        fs::remove_file(scene.dir.path().join("runs/a.jsonl")).expect("removed");
        assert_eq!(scene.only().run, "b");
        assert_eq!(scene.journals.followed.len(), 1);
    }

    #[test]
    fn a_journal_that_was_replaced_is_read_anew() {
        let mut scene = Scene::new();
        scene.start("r", 7);
        scene.tell("r", batch(3, 4.0));
        assert_eq!(scene.only().batches, 1);
        let path = scene.dir.path().join("runs/r.jsonl");
        fs::write(&path, "").expect("an empty file");
        scene.start("r", 7);
        assert_eq!(scene.only().batches, 0);
    }
}
