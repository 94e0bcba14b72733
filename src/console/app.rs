//! The state of the console and how each message changes it. No I/O and no clock: messages carry the time.

use std::{sync::Arc, time::Duration};

use ::log::Level;
use crossterm::event::{KeyEvent, MouseEvent};
use jiff::Timestamp;

use crate::{
    act::{Effect, EffectReport, gate::ActionGate},
    history::{TimeWindow, Timeline},
    hosts::WatchedHosts,
    keymap::{Action, Panel},
    sampler::Sample,
    snapshot::{Database, Ingestion},
};

use super::{
    dialogs::{DialogKind, IngestDialog},
    screen_map::ScreenMap,
};

mod active_notice;
mod alerts;
mod asking;
mod database_state;
mod documents;
mod findings;
mod health;
mod ingestion;
mod ingestion_rows;
mod key_bar;
mod keys;
mod log;
mod mode;
mod mouse;
mod notice;
mod overview;
mod palette;
mod possible;
mod prompt;
mod python;
mod recording_notice;
mod remote;
mod replay;
mod rows;
mod schedule;
mod selection;
mod setup;
mod stopping;
mod subject;
mod tags;
mod timeline;
mod tree;

pub use documents::{DocumentSearch, OpenDocument, SearchState};
pub use findings::{FindingId, FindingRow, ResolvedFinding};
use ingestion::{EndedRun, StartingRun};
pub use ingestion_rows::IngestionRow;
pub use log::{KEPT_LINES, LogLine};
pub use mode::{Mode, Overlay};
pub use notice::{Notice, RowCover};
pub use overview::Overview;
pub use palette::CommandPalette;
pub use prompt::{FilterTarget, TextExtent, TextSearch};
pub use python::PythonStack;
pub use recording_notice::RecordingNotice;
pub use remote::RemoteNotice;
pub use rows::{HolderLock, HolderRow, PragmaLine, TableOrder, TableRow};
pub use selection::PanelCursors;
pub use setup::{AppSetup, ConsoleKind};
use stopping::BackgroundStop;
pub use stopping::{StopReport, StopTally};
pub use subject::DetailsSubject;
pub use timeline::{TimelineContent, TimelineView};
pub use tree::{TreeBranch, UnlistedParent};

use active_notice::ActiveNotice;
use database_state::DatabaseStates;
use log::LogHistory;
use mouse::Pointer;

#[derive(Debug, Clone)]
pub enum Message {
    Key(KeyEvent),
    Mouse(MouseEvent),
    Paste(String),
    Tick(Timestamp),
    Look(Arc<Sample>),
    /// A frame was drawn.
    Drawn(DrawnFrame),
    /// The requested period of the timeline; `None` if the locks are not sampled.
    Timeline {
        index: usize,
        window: TimeWindow,
        timeline: Option<Arc<Timeline>>,
    },
    /// The lines logged since the last message, oldest first.
    Logged(Vec<LogLine>),
    /// The settings or a profile were changed after this console has read them.
    SettingsChanged,
    /// The sampler ended, which is always an internal error.
    SamplerEnded,
    /// An effect reports its result.
    Report(EffectReport),
}

/// What a frame showed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DrawnFrame {
    /// The part of a long text over the panels.
    pub text: TextExtent,
    pub map: ScreenMap,
    /// How many lines the log can be scrolled back by; `None` if the panel was not drawn.
    pub log_end: Option<usize>,
}

/// The state of the console.
#[derive(Debug)]
pub struct App {
    pub(super) setup: AppSetup,
    /// The time of what is on the screen.
    pub(super) now: Timestamp,
    /// The present, which is another time in a replay.
    clock: Timestamp,
    /// The newest sample, whether or not it is on the screen.
    newest: Option<Arc<Sample>>,
    /// The sample that a pause keeps on the screen.
    frozen: Option<Arc<Sample>>,
    states: DatabaseStates,
    pub(super) mode: Mode,
    pub(super) overlay: Option<Overlay>,
    /// Lies over everything else; its action runs on what is below.
    pub(super) palette: Option<CommandPalette>,
    pub(super) focus: Panel,
    pub(super) zoomed: bool,
    pub(super) order: TableOrder,
    pub(super) scroll: u16,
    pub(super) search: TextSearch,
    /// The filter of the overview.
    database_filter: String,
    /// Whether Esc returns to the overview, from which the database was opened.
    is_from_overview: bool,
    /// What the last frame showed of the text over the panels.
    extent: TextExtent,
    pointer: Pointer,
    /// How many dialogs were opened.
    dialogs: u64,
    /// The last minutes of the database with this index, for the panel of a large screen.
    recent: Option<(usize, Arc<Timeline>)>,
    ended_run: Option<EndedRun>,
    /// The runs that the console started and that no sample has shown yet.
    starting_runs: Vec<StartingRun>,
    /// The dialog of the last confirmed ingestion. It reopens if the ingestion is refused.
    confirmed_ingest: Option<IngestDialog>,
    notice: Option<ActiveNotice>,
    python_stack: Option<PythonStack>,
    pub(super) switch: ActionGate,
    pub(super) interval: Duration,
    log: LogHistory,
    /// The dialog that opens once its processes are pinned.
    pending_pin: Option<DialogKind>,
    stopping: BackgroundStop,
}

impl App {
    /// A console without a sample.
    pub fn new(mut setup: AppSetup, interval: Duration, now: Timestamp) -> Self {
        Self {
            pointer: Pointer::new(setup.mouse),
            dialogs: 0,
            states: DatabaseStates::new(std::mem::take(&mut setup.profiles)),
            switch: ActionGate::new(setup.permit),
            setup,
            now,
            clock: now,
            newest: None,
            frozen: None,
            mode: Mode::default(),
            overlay: None,
            palette: None,
            focus: Panel::Processes,
            zoomed: false,
            order: TableOrder::default(),
            scroll: 0,
            search: TextSearch::default(),
            database_filter: String::new(),
            is_from_overview: false,
            extent: TextExtent::default(),
            recent: None,
            ended_run: None,
            starting_runs: Vec::new(),
            confirmed_ingest: None,
            notice: None,
            python_stack: None,
            interval,
            log: LogHistory::default(),
            pending_pin: None,
            stopping: BackgroundStop::default(),
        }
    }

    /// Applies a message and returns the effects to run.
    #[must_use]
    pub fn update(&mut self, message: Message) -> Vec<Effect> {
        self.pointer.withdraw_for(&message);
        let mut effects = self.apply(message);
        effects.extend(self.due_preview());
        effects
    }

    #[must_use]
    fn apply(&mut self, message: Message) -> Vec<Effect> {
        match message {
            Message::Key(key) => self.key(key),
            Message::Mouse(event) => self.mouse(event),
            Message::Paste(text) => {
                self.paste(&text);
                Vec::new()
            }
            Message::Tick(now) => {
                self.clock = now;
                if !self.is_replay() {
                    self.now = self.time_of_shown();
                }
                self.drop_old_notice();
                Vec::new()
            }
            Message::Look(look) => self.sampled(&look),
            Message::Drawn(drawn) => {
                self.drawn(drawn.text);
                self.end_was_drawn();
                if let Some(farthest) = drawn.log_end {
                    self.limit_log(farthest);
                }
                self.pointer.drawn(drawn.map);
                if self.recent_timeline().is_none() { self.ask_recent() } else { Vec::new() }
            }
            Message::Timeline { index, window, timeline } => {
                self.timeline_arrived(index, window, timeline);
                Vec::new()
            }
            Message::Logged(lines) => {
                self.logged(lines);
                Vec::new()
            }
            Message::SettingsChanged => vec![self.notify(Notice::SettingsChanged)],
            Message::SamplerEnded => {
                vec![self.notify(Notice::SamplerEnded)]
            }
            Message::Report(EffectReport::Pinned(pinned)) => self.pinned(pinned),
            Message::Report(EffectReport::Ended(ended)) => self.ended(ended),
            Message::Report(EffectReport::Pragmas { index, refusal }) => {
                if let Some(state) = self.states.get_mut(index) {
                    state.refusal = refusal;
                }
                Vec::new()
            }
            Message::Report(EffectReport::Preview(preview)) => {
                self.previewed(preview);
                Vec::new()
            }
            Message::Report(EffectReport::DocumentsFound(found)) => {
                self.documents_found(found);
                Vec::new()
            }
            Message::Report(EffectReport::DocumentRead { path, text }) => {
                self.document_read(&path, text);
                Vec::new()
            }
            Message::Report(EffectReport::PythonStack { target, lines }) => {
                self.stack_arrived(target, lines);
                Vec::new()
            }
            Message::Report(EffectReport::IngestStarted { database, pid }) => {
                self.ingestion_started(&database, pid);
                vec![Effect::Refresh]
            }
            Message::Report(EffectReport::IngestGone { database }) => {
                self.starting_runs.retain(|starting| starting.database != database);
                Vec::new()
            }
            Message::Report(EffectReport::IngestRefused(why)) => self.ingest_refused(why),
            Message::Report(EffectReport::Ingested { name, pid, end }) => self.ingested(name, pid, end),
            Message::Report(EffectReport::Health(outcome)) => self.health_checked(outcome),
            Message::Report(EffectReport::Noted(outcome)) => {
                let note = if outcome.level == Level::Error {
                    self.notify(Notice::Outcome(outcome))
                } else {
                    Effect::Note(outcome.level, outcome.text)
                };
                vec![note, Effect::Refresh]
            }
            Message::Report(EffectReport::Outcome(outcome)) => self.action_finished(Notice::Outcome(outcome)),
        }
    }

    /// The sample on the screen: the newest, or the one that a pause keeps.
    pub fn sample(&self) -> Option<&Arc<Sample>> {
        self.frozen.as_ref().or(self.newest.as_ref())
    }

    /// The database on the screen.
    pub fn database(&self) -> Option<&Database> {
        self.sample()?.snapshot.databases.get(self.current())
    }

    /// The key bound to `action`, for a sentence that names it.
    pub fn key_of(&self, action: Action) -> &str {
        self.setup.keymap.key(action)
    }

    /// The ingestion that runs into the database on the screen.
    pub fn running_ingestion(&self) -> Option<&Ingestion> {
        self.database()?.ingestions.iter().find(|ingestion| ingestion.is_running())
    }

    /// The ingestions that run into any of the databases, as of the newest sample.
    pub fn running_ingestions(&self) -> impl Iterator<Item = &Ingestion> {
        let databases = self.newest.as_ref().map_or(&[][..], |look| &look.snapshot.databases);
        databases.iter().flat_map(|database| &database.ingestions).filter(|ingestion| ingestion.is_running())
    }

    /// Whether a pause keeps the screen.
    pub fn is_paused(&self) -> bool {
        self.frozen.is_some()
    }

    #[must_use]
    fn sampled(&mut self, look: &Arc<Sample>) -> Vec<Effect> {
        if let Some(moment) = &look.replay {
            self.replayed(moment, &look.snapshot);
        } else if self.is_remote() {
            self.follow_links(look);
            self.clock =
                look.hosts.iter().filter_map(WatchedHosts::newest_here).fold(self.clock, Timestamp::max);
        } else {
            self.now = self.now.max(look.snapshot.taken_at);
            self.clock = self.now;
        }
        // While samples arrive in time, no tick does.
        self.drop_old_notice();
        let before = self.selected_process().map(|process| (process.pid, process.who()));
        let trouble = self.recorder().and_then(|recorder| recorder.trouble.clone());
        let running = self.running_ingestion().map(|ingestion| (ingestion.run.clone(), ingestion.pid));
        if self.newest.replace(Arc::clone(look)).is_none() {
            self.open_on_many();
        }
        if self.is_remote() {
            self.now = self.time_of_shown();
        }
        self.states.make_room(look.snapshot.databases.len());
        for (state, database) in self.states.iter_mut().zip(&look.snapshot.databases) {
            state.drop_gone_tags(database);
        }
        let mut effects = self.follow_findings(look);
        self.keep_selection();
        self.note_ended_run(running);
        self.drop_shown_runs();
        effects.extend(self.close_dialog_of_ended());
        effects.extend(self.follow_timeline());
        effects.extend(self.ask_recent());
        if let Some(moment) = &look.replay {
            return self.effects_of_moment(moment, effects);
        }
        effects.extend(self.note_recorder(trouble.as_deref()));
        // No row is selected now. The user has to know before pressing a key.
        if let Some((pid, who)) = before
            && self.database().is_some_and(|database| database.process(pid).is_none())
            && !self.is_being_stopped(pid)
        {
            effects.push(self.notify(Notice::ProcessGone { who }));
        }
        effects.extend(self.verify(look));
        if !self.is_remote() {
            effects.extend(self.due_checkpoints(&look.snapshot));
            effects.extend(self.due_questions(look));
        }
        effects
    }

    #[must_use]
    fn action_finished(&mut self, notice: Notice) -> Vec<Effect> {
        let note = self.notify(notice);
        self.ask_again();
        vec![note, Effect::Refresh]
    }
}
