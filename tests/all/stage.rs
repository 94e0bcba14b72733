//! The console without a terminal: a fixture goes in, keys are pressed, a screen comes out.

use std::{
    cell::RefCell,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};
use jiff::{Timestamp, tz::TimeZone};
use ratatui::{Frame, Terminal, backend::TestBackend};
use serde_json::json;
use waltop::{
    act::{Effect, EffectReport, signal::SignalTarget},
    config::{Config, Palette, ReadOnly, profile::Profile},
    console::{
        app::{App, AppSetup, ConsoleKind, DrawnFrame, LogLine, Message},
        screen_map::ScreenTarget,
        view,
        widgets::theme::Theme,
    },
    diagnose,
    history::{DatabaseTrend, LastMinute, LockHistory, WriteLane},
    keymap::Keymap,
    sampler::Sample,
    snapshot::{Database, LabelRules, SamplingProcess, Snapshot},
    state::places::Places,
};

/// A console that has had a look.
pub struct Stage {
    pub app: App,
    /// What was sampled, and the present on the clock of the samples; by the calendar it is always the same time.
    pub history: Option<(LockHistory, Instant)>,
    size: (u16, u16),
    drawn: RefCell<DrawnFrame>,
}

impl Stage {
    pub fn new(look: Sample, size: (u16, u16)) -> Self {
        Self::with(look, size, false, Keymap::default())
    }

    pub fn with_keys(look: Sample, size: (u16, u16), keymap: Keymap) -> Self {
        Self::with(look, size, false, keymap)
    }

    pub fn readonly(look: Sample, size: (u16, u16)) -> Self {
        Self::with(look, size, true, Keymap::default())
    }

    fn with(look: Sample, size: (u16, u16), readonly: bool, keymap: Keymap) -> Self {
        let permit = Config { readonly, ..Config::new(Places::under("/nowhere".as_ref())) }.permit();
        Self::set_up(look, size, AppSetup { permit, keymap, ..Self::setup() })
    }

    /// The console of a replay, at the moment of `look`.
    pub fn of_replay(look: Sample, size: (u16, u16)) -> Self {
        let keymap = Keymap::default().for_replay();
        let permit = Err(ReadOnly::Replay);
        Self::set_up(
            look,
            size,
            AppSetup { permit, keymap, kind: ConsoleKind::Replay, py_spy: None, ..Self::setup() },
        )
    }

    /// The console of the hosts of `look`.
    pub fn of_hosts(look: Sample, size: (u16, u16)) -> Self {
        let setup = AppSetup { kind: ConsoleKind::Remote, profiles: Vec::new(), ..Self::setup() };
        Self::set_up(look, size, setup)
    }

    /// The console on databases that were found, each at one of `places`.
    pub fn discovered(look: Sample, size: (u16, u16), places: &[&str]) -> Self {
        let discovered = places.iter().map(|&place| place.to_owned()).collect();
        Self::set_up(look, size, AppSetup { discovered, ..Self::setup() })
    }

    fn setup() -> AppSetup {
        AppSetup {
            permit: Config::new(Places::under("/nowhere".as_ref())).permit(),
            profiles: vec![Profile::hardened(), Profile::hardened()],
            keymap: Keymap::default(),
            time_zone: TimeZone::UTC,
            folder: "/home/me/notes".into(),
            home: Some("/home/me".into()),
            banner: None,
            bell: true,
            py_spy: Some("/usr/bin/py-spy".into()),
            mouse: true,
            untraced: None,
            kind: ConsoleKind::Present,
            discovered: Vec::new(),
        }
    }

    fn set_up(look: Sample, size: (u16, u16), setup: AppSetup) -> Self {
        let app = App::new(setup, Duration::from_secs(1), now());
        let mut stage = Self { app, history: None, size, drawn: RefCell::default() };
        stage.update(Message::Look(Arc::new(look)));
        stage
    }

    /// Presses keys: characters, or names in angle brackets as in `<Esc>`; all effects that came of them.
    pub fn keys(&mut self, keys: &str) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut rest = keys;
        while let Some(first) = rest.chars().next() {
            let (key, length) = match rest.strip_prefix('<').and_then(|rest| rest.split_once('>')) {
                Some((name, _)) => (named(name), name.len() + 2),
                None => (KeyEvent::new(KeyCode::Char(first), KeyModifiers::NONE), first.len_utf8()),
            };
            effects.extend(self.update(Message::Key(key)));
            self.frame();
            rest = &rest[length..];
        }
        effects
    }

    /// What the runtime does after each message: it draws, and tells the state what is on the screen.
    pub fn frame(&mut self) {
        self.screen();
        self.report_frame();
    }

    /// Tells the state of the last frame, whatever happened since.
    pub fn report_frame(&mut self) {
        let drawn = self.drawn.borrow().clone();
        self.update(Message::Drawn(drawn));
    }

    /// The first cell of the last frame, as column and row, that is `target`.
    pub fn place(&self, target: ScreenTarget) -> Option<(u16, u16)> {
        let drawn = self.drawn.borrow();
        let cells = (0..self.size.1).flat_map(|row| (0..self.size.0).map(move |column| (column, row)));
        cells.into_iter().find(|&(column, row)| drawn.map.at(column, row) == target)
    }

    /// Does that with the mouse in this cell; the next frame follows.
    pub fn mouse(&mut self, kind: MouseEventKind, (column, row): (u16, u16)) -> Vec<Effect> {
        let event = MouseEvent { kind, column, row, modifiers: KeyModifiers::NONE };
        let effects = self.update(Message::Mouse(event));
        self.frame();
        effects
    }

    /// Presses and releases the mouse in a cell.
    pub fn click_at(&mut self, place: (u16, u16)) -> Vec<Effect> {
        let mut effects = self.mouse(MouseEventKind::Down(MouseButton::Left), place);
        effects.extend(self.mouse(MouseEventKind::Up(MouseButton::Left), place));
        effects
    }

    /// Presses and releases the mouse on `target`, which is on the screen.
    pub fn click(&mut self, target: ScreenTarget) -> Vec<Effect> {
        self.frame();
        let place = self.place(target).unwrap_or_else(|| panic!("{target:?} is not on\n{}", self.screen()));
        self.click_at(place)
    }

    /// What the runtime answers to [`Effect::Pin`] when the process is still there.
    pub fn pinned(&mut self, target: SignalTarget) {
        self.update(Message::Report(EffectReport::Pinned(vec![(target, Ok(()))])));
    }

    pub fn look(&mut self, look: Sample) -> Vec<Effect> {
        self.update(Message::Look(Arc::new(look)))
    }

    /// What the runtime does: a timeline that is asked for comes at once, and a note is a line of the log.
    pub fn update(&mut self, message: Message) -> Vec<Effect> {
        let effects = self.app.update(message);
        for effect in &effects {
            let answer = match effect {
                Effect::Timeline { index, window } => {
                    let past = self.history.as_ref();
                    let timeline =
                        past.and_then(|(history, present)| history.timeline(*window, (*present, now())));
                    Message::Timeline { index: *index, window: *window, timeline: timeline.map(Arc::new) }
                }
                Effect::Note(level, text) => {
                    Message::Logged(vec![LogLine { at: now(), level: *level, text: text.clone() }])
                }
                _ => continue,
            };
            assert!(self.app.update(answer).is_empty(), "what an effect brings asks for nothing more");
        }
        effects
    }

    /// The screen as text, a line a row.
    pub fn screen(&self) -> String {
        self.drawn_with(Theme::of(Palette::Dark))
    }

    /// The same in a locale without UTF-8.
    pub fn ascii_screen(&self) -> String {
        self.drawn_with(Theme { is_ascii: true, ..Theme::of(Palette::Dark) })
    }

    fn drawn_with(&self, theme: Theme) -> String {
        let mut terminal = Terminal::new(TestBackend::new(self.size.0, self.size.1)).expect("a test screen");
        let mut drawn = DrawnFrame::default();
        let draw = |frame: &mut Frame| drawn = view::render(frame, &self.app, &theme);
        terminal.draw(draw).expect("it can be drawn");
        self.drawn.replace(drawn);
        let buffer = terminal.backend().buffer();
        let mut rows = Vec::new();
        for y in 0..self.size.1 {
            let mut row = String::new();
            let mut x = 0;
            while x < self.size.0 {
                let symbol = buffer[(x, y)].symbol();
                row.push_str(symbol);
                // A wide character covers the cell after it.
                x += u16::try_from(unicode_width::UnicodeWidthStr::width(symbol)).expect("one or two").max(1);
            }
            rows.push(row.trim_end().to_owned());
        }
        rows.join("\n")
    }
}

fn named(name: &str) -> KeyEvent {
    let plain = |code| KeyEvent::new(code, KeyModifiers::NONE);
    match name {
        "Enter" => plain(KeyCode::Enter),
        "Esc" => plain(KeyCode::Esc),
        "Tab" => plain(KeyCode::Tab),
        "Up" => plain(KeyCode::Up),
        "Down" => plain(KeyCode::Down),
        "Left" => plain(KeyCode::Left),
        "Right" => plain(KeyCode::Right),
        "Home" => plain(KeyCode::Home),
        "End" => plain(KeyCode::End),
        "PgUp" => plain(KeyCode::PageUp),
        "PgDn" => plain(KeyCode::PageDown),
        "Shift-Tab" => plain(KeyCode::BackTab),
        "Backspace" => plain(KeyCode::Backspace),
        "Space" => plain(KeyCode::Char(' ')),
        other if let Some(letter) = other.strip_prefix("C-").or(other.strip_prefix("Ctrl-")) => {
            let letter = letter.to_ascii_lowercase().chars().next().expect("a letter");
            KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL)
        }
        other => match other.strip_prefix('F').and_then(|number| number.parse().ok()) {
            Some(number) => plain(KeyCode::F(number)),
            None => panic!("no such key: {other}"),
        },
    }
}

pub fn now() -> Timestamp {
    "2026-01-15T14:03:22Z".parse().expect("a time")
}

/// A look at `databases`, diagnosed as the sampler does.
pub fn look(databases: Vec<Database>) -> Sample {
    let count = databases.len();
    let mut snapshot = Snapshot {
        taken_at: now(),
        host: "host".to_owned(),
        looker: Some(SamplingProcess { pid: 72_000, uid: 1000, ancestors: vec![71_999, 1] }),
        databases,
        pidfiles: Vec::new(),
        trace: None,
        sampling: None,
        unseen: Vec::new(),
    };
    let config = Config::new(Places::under(Path::new("/srv")));
    let profile = &config.profile;
    let facts: Vec<(String, String)> = profile
        .pragmas
        .iter()
        .filter(|it| it.name != "journal_mode")
        .map(|it| (it.name.clone(), it.expected.clone()))
        .collect();
    for database in &mut snapshot.databases {
        database.pragmas = diagnose::compliance::rows(database, profile, Some(&facts));
    }
    diagnose::diagnose(&mut snapshot, None, &config);
    let cells = (0..WriteLane::CELLS).map(|at| if at % 6 < 2 { 0.0 } else { 1.0 }).collect();
    let lanes = vec![
        WriteLane { pid: Some(71201), name: "amalfa".to_owned(), cells },
        WriteLane { pid: Some(71168), name: "amalfa".to_owned(), cells: vec![0.1; WriteLane::CELLS] },
    ];
    let trend = DatabaseTrend {
        wal_bytes_per_second: Some(1_200_000.0),
        frames_moved_per_second: Some(1200.0),
        minute: LastMinute { lanes, unwatched: Vec::new() },
    };
    Sample { took: Duration::from_millis(3), ..Sample::of(snapshot, vec![trend; count]) }
}

/// The situation of the first field report: two daemons from Tuesday, and an ingestion that holds the lock.
pub fn contended() -> Database {
    let mut writer = process(71201, "bun", &["bun", "amalfa", "init"], "2026-01-15T14:02:20Z");
    writer["holds"] = json!(["write", "read:2"]);
    writer["cpu_percent"] = json!(88.0);
    let mut watcher = process(71168, "bun", &["bun", "amalfa", "watch"], "2026-01-11T18:00:00Z");
    watcher["holds"] = json!(["read:1"]);
    let mut vectors = process(71166, "bun", &["bun", "amalfa", "vector", "daemon"], "2026-01-11T18:00:00Z");
    vectors["read_only"] = json!(true);
    vectors["handles"] = json!({"db": 1, "wal": 0, "shm": 0});
    vectors["maps_database"] = json!(true);
    let mut stopped = process(71300, "python3", &["python3", "report.py"], "2026-01-15T13:00:00Z");
    stopped["state"] = json!("stopped");
    stopped["holds"] = json!(["read:2"]);
    let batch = |second: u64, hold_ms: f64, wait_ms: f64, retries: u64| {
        json!({"at": format!("2026-01-15T14:03:{second}Z"), "files": 10, "bytes": 41_000, "wait_ms": wait_ms,
               "hold_ms": hold_ms, "retries": retries})
    };
    let file = |bytes: u64, inode: u64| json!({"bytes": bytes, "device": "fe:00", "inode": inode, "uid": 1000, "mode": 0o644, "modified_at": null});
    serde_json::from_value(json!({
        "path": "/home/me/notes.db",
        "files": {"db": file(5_922_816, 1), "wal": file(78_200_032, 2), "shm": file(163_840, 3)},
        "header": {"journal_mode": "wal", "page_size": 4096, "page_count": 1446, "user_version": 3,
                   "application_id": 0, "auto_vacuum": "none", "schema_cookie": 9, "written_by": "3.54.1"},
        "wal": {"frames": 19031, "backfilled": 812, "pending": 18219, "checkpoint_sequence": 7,
                "source": "index", "page_count": 1446, "slots": 19031, "commits": 400,
                "read_marks": [0, 812, 19031, null, null]},
        "locks": {
            "writer": {"pid": 71201, "held_ms": 840.0}, "checkpointer": null, "recoverer": null, "exclusive": null,
            "readers": [{"pid": 71168, "slot": 1, "frame": 812, "held_ms": 331_200_000.0},
                        {"pid": 71201, "slot": 2, "frame": 19031, "held_ms": 840.0},
                        {"pid": 71300, "slot": 2, "frame": 19031, "held_ms": 100.0}],
            "index_held": true, "window_ms": 60000.0,
            "write_holds": {"count": 56, "p50_ms": 900.0, "p99_ms": 1600.0, "max_ms": 6500.0, "held_ratio": 0.37,
                            "by_process": [{"pid": 71201, "count": 55, "max_ms": 6500.0, "total_ms": 22000.0},
                                           {"pid": 71168, "count": 1, "max_ms": 40.0, "total_ms": 40.0}]}},
        "processes": [stopped, vectors, watcher, writer],
        "pragmas": {"profile": "hardened", "rows": []},
        "ingestions": [
            {"run": "20260115T140220Z-71201", "pid": 71201, "start_ticks": 71201, "state": "running",
             "folders": ["/home/me/notes"], "files_total": 556, "files_done": 312, "files_unchanged": 0,
             "files_failed": 1, "batches": 32, "batch_size": 10,
             "hold_ms": {"p50": 40.0, "p99": 44.0, "max": 51.0}, "wait_ms": {"p50": 1.0, "p99": 3.0, "max": 9.0},
             "busy_retries": 0, "started_at": "2026-01-15T14:02:20Z", "finished_at": null,
             "decided": {"most_files": 10, "most_ms": 13.3, "gap_ms": 41.0, "sharing": "open_elsewhere"},
             "recent_holds_ms": [20.0, 30.0, 41.0, 22.0, 51.0],
             "recent_batches": [batch(18, 20.0, 1.0, 0), batch(19, 30.0, 9.0, 0), batch(20, 41.0, 1.0, 0),
                                batch(21, 22.0, 0.4, 0), batch(22, 51.0, 3.0, 0)],
             "failures": [{"path": "/home/me/notes/a.md", "reason": "not valid UTF-8"}], "error": null}],
        "findings": []
    }))
    .expect("the fixture keeps to the contract")
}

/// A database in rollback mode that one process reads.
pub fn rollback() -> Database {
    let mut database = contended();
    database.path = "/home/me/queue/huey.db".into();
    database.files.wal = None;
    database.files.shm = None;
    database.wal = None;
    database.ingestions.clear();
    database.locks = waltop::snapshot::DatabaseLocks::default();
    database.processes.truncate(3);
    for process in &mut database.processes {
        process.holds.clear();
        process.holds_index = false;
        process.maps_index = Some(false);
        process.read_only = Some(false);
        process.state = waltop::snapshot::ProcessState::Sleeping;
    }
    if let Some(header) = &mut database.header {
        header.journal_mode = waltop::snapshot::JournalMode::Rollback;
    }
    database
}

/// A database that is not there yet.
pub fn missing() -> Database {
    let mut database = rollback();
    database.files.db = None;
    database.header = None;
    database.processes.clear();
    database
}

pub fn process(pid: i32, name: &str, command: &[&str], started: &str) -> serde_json::Value {
    let words: Vec<String> = command.iter().map(|&word| word.to_owned()).collect();
    let label = LabelRules::default().label(name, &words);
    json!({
        "pid": pid, "started_at": started, "start_ticks": pid, "name": name, "label": label, "command": command, "user": "me",
        "uid": 1000, "parent": 1, "state": "sleeping", "cpu_percent": 0.0, "memory_bytes": 41_000_000,
        "handles": {"db": 1, "wal": 1, "shm": 1}, "read_only": false, "index_read_only": false,
        "maps_database": false, "temp_files": 0, "maps_index": true, "holds_index": true, "replaced": [], "holds": [], "stale": null,
        "pairing": {"holds_main": true, "only_reads_files": false, "writes_log": true, "other_log": [], "outdated": [], "inherited_from": null}
    })
}
