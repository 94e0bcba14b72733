//! A console without a terminal whose effects reach real processes, and the database that those have open.

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use log::Level;
use tempfile::TempDir;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use waltop::{
    act::{Effect, EffectReport, executor::EffectExecutor},
    config::Config,
    console::{
        app::{App, Message, Notice},
        dialogs::DialogKind,
    },
    observe::Observer,
    sampler::{Monitor, Sample},
    snapshot::{Process, StaleVerdict},
    state::places::Places,
};

use super::USUAL;
use crate::{stage::Stage, support::Actor};

/// Longer than any healthy run needs.
const PATIENCE: Duration = Duration::from_secs(30);

type Judge = Box<dyn Fn(&Process) -> Option<StaleVerdict>>;

/// A console without a terminal on a real database, whose effects are carried out.
pub struct Console {
    pub stage: Stage,
    executor: EffectExecutor,
    inbox: UnboundedReceiver<EffectReport>,
    pub watch: Monitor,
    is_stale: Judge,
    pub log: Vec<(Level, String)>,
    /// What was shown, each once in a row.
    pub notices: Vec<Notice>,
}

impl Console {
    pub fn open(scene: &Scene, is_stale: impl Fn(&Process) -> Option<StaleVerdict> + 'static) -> Self {
        Self::with(scene, Config::new(Places::under(scene.state.path())), is_stale)
    }

    pub fn with(
        scene: &Scene,
        config: Config,
        is_stale: impl Fn(&Process) -> Option<StaleVerdict> + 'static,
    ) -> Self {
        let places = config.places.clone();
        let observer = Observer::new(&config.places, vec![scene.db()]);
        let mut watch = Monitor::new(observer, config);
        let (outbox, inbox) = unbounded_channel();
        let stage = Stage::new(seen(&mut watch, &is_stale), USUAL);
        let executor = EffectExecutor::new(outbox, &places);
        Self {
            stage,
            executor,
            inbox,
            watch,
            is_stale: Box::new(is_stale),
            log: Vec::new(),
            notices: Vec::new(),
        }
    }

    pub async fn keys(&mut self, keys: &str) {
        let effects = self.stage.keys(keys);
        self.carry_out(effects).await;
    }

    /// Presses `keys`, and waits until the dialog that they ask for is open.
    pub async fn ask(&mut self, keys: &str, is_meant: impl Fn(&DialogKind) -> bool) {
        self.keys(keys).await;
        self.wait_for_dialog(is_meant).await;
    }

    pub async fn ask_stop(&mut self, keys: &str, pid: i32) {
        self.ask(keys, |kind| matches!(kind, DialogKind::Stop(it) if it.process.pid == pid)).await;
    }

    pub async fn wait_for_dialog(&mut self, is_meant: impl Fn(&DialogKind) -> bool) {
        self.wait_until(|console| console.stage.app.dialog().is_some_and(&is_meant)).await;
    }

    /// Handles reports until a notice is shown that `is_meant`.
    pub async fn wait_for(&mut self, is_meant: impl Fn(&Notice) -> bool) {
        self.wait_until(|console| console.stage.app.notice().is_some_and(&is_meant)).await;
    }

    async fn wait_until(&mut self, is_over: impl Fn(&Self) -> bool) {
        while !is_over(self) {
            let report = tokio::time::timeout(PATIENCE, self.inbox.recv()).await;
            let report = report.unwrap_or_else(|_| panic!("no report came: {}", self.stage.screen()));
            let effects = self.stage.update(Message::Report(report.expect("an executor")));
            self.carry_out(effects).await;
        }
    }

    /// Handles reports and samples until a notice was shown that `is_meant`.
    pub async fn look_until(&mut self, is_meant: impl Fn(&Notice) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !self.notices.iter().any(&is_meant) {
            assert!(Instant::now() < deadline, "it was never reported: {:?}", self.notices);
            while let Ok(report) = self.inbox.try_recv() {
                let effects = self.stage.update(Message::Report(report));
                self.carry_out(effects).await;
            }
            self.look().await;
        }
    }

    pub async fn look_until_stale(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let processes = |app: &App| app.database().map_or_else(Vec::new, |it| it.processes.clone());
        while !processes(&self.stage.app).iter().any(Process::is_stale) {
            assert!(Instant::now() < deadline, "nothing ever was stale: {}", self.stage.screen());
            self.look().await;
        }
    }

    pub async fn look(&mut self) {
        let look = seen(&mut self.watch, &self.is_stale);
        let effects = self.stage.update(Message::Look(Arc::new(look)));
        self.carry_out(effects).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    pub async fn carry_out(&mut self, effects: Vec<Effect>) {
        if let Some(notice) = self.stage.app.notice().filter(|it| self.notices.last() != Some(*it)) {
            self.notices.push(notice.clone());
        }
        for effect in effects {
            match effect {
                Effect::Pin(meant) => self.executor.pin(&meant),
                Effect::Unpin => self.executor.unpin(),
                Effect::Act(confirmed) => self.executor.act(confirmed),
                Effect::Note(level, text) => self.log.push((level, text)),
                _ => {}
            }
        }
        tokio::task::yield_now().await;
    }
}

pub fn seen(watch: &mut Monitor, is_stale: &dyn Fn(&Process) -> Option<StaleVerdict>) -> Sample {
    let mut look = (*watch.sample()).clone();
    for process in look.snapshot.databases.iter_mut().flat_map(|it| &mut it.processes) {
        process.stale = is_stale(process);
    }
    look
}

pub struct Scene {
    pub folder: TempDir,
    pub state: TempDir,
}

impl Scene {
    /// A database in WAL mode, closed again.
    pub fn new() -> Self {
        let folder = || TempDir::new().expect("a folder");
        let scene = Self { folder: folder(), state: folder() };
        let mut maker = scene.actor();
        maker.sql("PRAGMA journal_mode = wal").sql("CREATE TABLE t(x)").sql("INSERT INTO t VALUES (1)");
        maker.close();
        scene
    }

    pub fn db(&self) -> PathBuf {
        self.folder.path().canonicalize().expect("there").join("notes.db")
    }

    pub fn actor(&self) -> Actor {
        Actor::open(&self.db())
    }

    /// One that has the log open and holds nothing.
    pub fn holder(&self) -> Actor {
        let mut actor = self.actor();
        actor.sql("SELECT * FROM t");
        actor
    }

    /// The same, deaf to TERM: what a shell ignores stays ignored in what it becomes.
    pub fn stubborn(&self) -> Actor {
        let mut actor = Actor::open_through(&["sh", "-c", "trap '' TERM; exec \"$@\"", "sh"], &self.db());
        actor.sql("SELECT * FROM t");
        actor
    }
}
