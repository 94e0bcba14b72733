//! `x` and `X`: which processes a dialog lists, how long waltop waits for them, and what their exit leaves behind.

use jiff::Timestamp;

use crate::{
    act::{
        ConfirmedAction, Effect, StopResult,
        reap::{self, GRACE, StopOutcome, StopRequest},
        signal::{SignalRefusal, SignalTarget, StopSignal},
    },
    keymap::{Action, Panel},
    sampler::Sample,
    snapshot::{Database, IngestWatcher, NotIdle, Process},
};

use super::{App, Notice, Overlay, ingestion::at_home, ingestion_rows::watch_target};
use crate::console::dialogs::{
    DialogKind, DialogReply, KillDialog, PendingStop, ReapList, ReapRow, StopDialog, StopIngestionDialog,
    StopMark, StopWatchDialog, StoppedProcess, TaggedDialog, WaitingDialog,
};

mod recheck;
mod report;

pub use report::{StopReport, StopTally};
use report::{announcement, in_all, in_the_way, record, verdict};

/// Processes that were sent a signal and whose dialog is closed.
#[derive(Debug, Default)]
pub(super) struct BackgroundStop {
    /// Processes that waltop still waits for.
    unwatched: Vec<PendingStop>,
    /// Processes that only need a later sample to complete their report.
    over: Vec<PendingStop>,
}

impl App {
    #[must_use]
    pub(super) fn ask_stop(&mut self) -> Vec<Effect> {
        if self.stops_tagged() {
            return self.ask_stop_tagged();
        }
        if let Some(watcher) = self.watch_to_stop().cloned() {
            return self.ask_stop_watch(watcher);
        }
        let Some(process) = self.stop_subject().cloned() else {
            return vec![self.notify(self.nothing_to_stop())];
        };
        let advice = self.stop_advice(std::slice::from_ref(&process));
        let (Some(look), Some(database)) = (self.sample(), self.database()) else { return Vec::new() };
        let signals = StopDialog::signals(&look.snapshot.databases, &process);
        let database = database.path.clone();
        match self.stop_request(&process) {
            Err(refusal) => vec![self.notify(refusal)],
            Ok(meant) => {
                let (target, signal) = (meant.target, signals[0]);
                let dialog =
                    StopDialog { process: Box::new(process), target, database, signals, signal, advice };
                self.pin(DialogKind::Stop(dialog), vec![meant])
            }
        }
    }

    /// Why the key that stops does nothing in the focused panel.
    fn nothing_to_stop(&self) -> Notice {
        if let Some(watcher) = self.database().and_then(|database| database.watchers.first()) {
            let [panel, stop] =
                [Action::Zoom(Panel::Ingestion), Action::Stop].map(|action| self.key_of(action).to_owned());
            let panel = Some(panel).filter(|_| self.focus != Panel::Ingestion);
            return Notice::WatchElsewhere { pid: watcher.pid, panel, stop };
        }
        if self.focus == Panel::Processes && !self.has_selected_row() {
            return self.no_process_selected();
        }
        let key = self.key_of(Action::Zoom(Panel::Processes)).to_owned();
        Notice::NoProcessToStop { panel: self.focus, key }
    }

    #[must_use]
    fn ask_stop_watch(&mut self, watcher: IngestWatcher) -> Vec<Effect> {
        let Some(target) = watch_target(&watcher) else {
            return vec![self.notify(Notice::UnknownStart { pid: watcher.pid })];
        };
        let Some(database) = self.database().map(|it| it.path.clone()) else { return Vec::new() };
        let dialog = StopWatchDialog { watcher, target, database, signal: StopSignal::Term };
        self.pin(DialogKind::StopWatch(dialog), vec![StopRequest::ingestion(target)])
    }

    #[must_use]
    pub(super) fn ask_reap(&mut self) -> Vec<Effect> {
        // The newest sample, not the one that a pause keeps on the screen.
        let (Some(newest), Some(shown)) = (self.newest.clone(), self.database()) else { return Vec::new() };
        let databases = &newest.snapshot.databases;
        let Some(database) = databases.iter().find(|it| it.path == shown.path) else { return Vec::new() };
        let mut meant = Vec::new();
        let mut rows: Vec<ReapRow> = Vec::new();
        for process in reap::candidates(database) {
            let mark = match StopRequest::among_others(databases, process) {
                Err(refusal) => StopMark::Refused(refusal),
                Ok(StopRequest { target, protected: Some(why), .. }) => {
                    StopMark::Refused(SignalRefusal::Spared { pid: target.pid, why })
                }
                Ok(it) => {
                    let target = it.target;
                    meant.push(it);
                    StopMark::Ticked(target)
                }
            };
            rows.push(ReapRow { process: Box::new(process.clone()), mark });
        }
        if rows.is_empty() {
            let notice = not_yet_stale(database).unwrap_or(Notice::NothingStale);
            return vec![self.notify(notice)];
        }
        // Processes that can be stopped come first, oldest first.
        rows.sort_by_key(|row| (matches!(row.mark, StopMark::Refused(_)), row.process.start_ticks));
        let list = ReapList { database: database.path.clone(), rows, cursor: 0 };
        self.pin(DialogKind::Reap(list), meant)
    }

    /// Whether a reap dialog would have a row.
    pub(super) fn has_stale(&self) -> bool {
        self.database().is_some_and(|database| reap::candidates(database).next().is_some())
    }

    /// Requests pins for the processes of `kind`; its dialog opens once they are pinned. One request at a time.
    #[must_use]
    pub(super) fn pin(&mut self, kind: DialogKind, meant: Vec<StopRequest>) -> Vec<Effect> {
        if self.pending_pin.is_some() {
            return Vec::new();
        }
        self.pending_pin = Some(kind);
        vec![Effect::Pin(meant)]
    }

    /// Opens the dialog whose processes are pinned.
    #[must_use]
    pub(super) fn pinned(&mut self, pins: Vec<(SignalTarget, Result<(), SignalRefusal>)>) -> Vec<Effect> {
        let is_free = self.dialog().is_none() && self.palette.is_none();
        let Some(mut kind) = self.pending_pin.take().filter(|_| is_free) else {
            return vec![Effect::Unpin];
        };
        match &mut kind {
            DialogKind::Reap(list) | DialogKind::Tagged(TaggedDialog { list, .. }) => {
                for (target, pinned) in pins {
                    list.pinned(target, pinned);
                }
            }
            DialogKind::Stop(StopDialog { target, .. })
            | DialogKind::StopIngestion(StopIngestionDialog { target, .. })
            | DialogKind::StopWatch(StopWatchDialog { target, .. }) => match pins.as_slice() {
                [(pinned, Ok(()))] if pinned == target => {}
                [(_, Err(refusal)), ..] => return vec![self.notify(refusal.clone())],
                _ => return vec![Effect::Unpin],
            },
            _ => return vec![Effect::Unpin],
        }
        self.open_dialog(kind);
        Vec::new()
    }

    /// Applies the result of a key that the open dialog handled.
    #[must_use]
    pub(super) fn dialog_replied(&mut self, reply: DialogReply) -> Vec<Effect> {
        if reply == DialogReply::Open {
            return Vec::new();
        }
        if matches!(reply, DialogReply::Yes(_))
            && let Some(pid) = self.begun_meanwhile().map(|run| run.pid)
            && let Some(Overlay::Dialog(dialog)) = &mut self.overlay
        {
            dialog.complaint = Some(format!("nothing was started: the ingestion of process {pid} runs"));
            return Vec::new();
        }
        let Some(dialog) = self.take_dialog(|_| true) else { return Vec::new() };
        match reply {
            DialogReply::Yes(act) => self.recheck_confirmed(dialog.kind, act),
            DialogReply::No | DialogReply::Open => self.turned_down(dialog.kind),
        }
    }

    #[must_use]
    fn turned_down(&mut self, kind: DialogKind) -> Vec<Effect> {
        match kind {
            DialogKind::Waiting(WaitingDialog(ending)) => {
                let who = in_all(&ending.waiting);
                self.stopping.unwatched.push(ending);
                vec![self.notify(Notice::StillWaiting { who })]
            }
            DialogKind::Kill(KillDialog(ending)) => self.finish(ending),
            DialogKind::Checking(_) => {
                vec![self.notify(Notice::HealthCheckEnds), Effect::StopHealth]
            }
            kind if kind.content().pins() => vec![Effect::Unpin],
            _ => Vec::new(),
        }
    }

    #[must_use]
    fn confirmed(&mut self, kind: DialogKind, mut act: ConfirmedAction) -> Vec<Effect> {
        if let ConfirmedAction::Ingest { folder, .. } = &mut act {
            *folder = at_home(std::mem::take(folder), self.setup.home.as_deref());
        }
        let begins = Notice::Begins(announcement(&act, subject(&kind)));
        match self.switch.confirm(act) {
            Err(why) => {
                let notice = self.not_armed(why);
                vec![self.notify(notice), Effect::Unpin]
            }
            Ok(confirmed) => {
                if let ConfirmedAction::Ingest { database, folder, .. } = confirmed.act() {
                    self.ingestion_starts(database.clone(), folder.clone());
                }
                self.wait_for(kind);
                vec![self.notify(begins), Effect::Act(confirmed)]
            }
        }
    }

    /// Tracks the processes of a confirmed dialog.
    fn wait_for(&mut self, kind: DialogKind) {
        let until = self.now.checked_add(GRACE).unwrap_or(Timestamp::MAX);
        let newest = self.newest.clone();
        let begin = |database: std::path::PathBuf, signal, waiting| PendingStop {
            were_in_the_way: in_the_way(newest.as_deref(), &database),
            database,
            signal,
            until,
            known_at: Timestamp::MIN,
            waiting,
            gone: Vec::new(),
            stays: Vec::new(),
            refused: 0,
        };
        let named = |target, process: &Process| StoppedProcess { target, label: process.label.clone() };
        let all_named = |list: &ReapList| list.ticked().map(|(target, it)| named(target, it)).collect();
        let ending = match kind {
            DialogKind::Stop(StopDialog { process, target, database, signal, .. }) => {
                begin(database, signal, vec![named(target, &process)])
            }
            DialogKind::Reap(list) => {
                let waiting = all_named(&list);
                begin(list.database, StopSignal::Term, waiting)
            }
            DialogKind::Tagged(TaggedDialog { list, signal, .. }) => {
                self.clear_selection();
                let waiting = all_named(&list);
                begin(list.database, signal, waiting)
            }
            DialogKind::Kill(KillDialog(ending)) => ending.again(StopSignal::Kill, until),
            DialogKind::StopIngestion(StopIngestionDialog { target, database, .. }) => {
                // It exits after its batch, which may have to wait; waltop does not ask again.
                let stopped = StoppedProcess { target, label: "ingestion".to_owned() };
                self.stopping.unwatched.push(begin(database, StopSignal::Term, vec![stopped]));
                return;
            }
            DialogKind::StopWatch(StopWatchDialog { target, database, signal, .. }) => {
                // As an ingestion, of which it may be in the middle.
                let stopped = StoppedProcess { target, label: "waltop watch".to_owned() };
                self.stopping.unwatched.push(begin(database, signal, vec![stopped]));
                return;
            }
            DialogKind::Health(asked) => return self.checking(asked),
            DialogKind::Ingest(dialog) => {
                self.confirmed_ingest = Some(dialog);
                return;
            }
            _ => return,
        };
        if ending.signal.ends() {
            self.open_dialog(DialogKind::Waiting(WaitingDialog(ending)));
        } else {
            self.stopping.unwatched.push(ending);
        }
    }

    /// Records what happened to one process. After the last process of its group, starts the next step for the group.
    #[must_use]
    pub(super) fn ended(&mut self, ended: StopResult) -> Vec<Effect> {
        let waits = |it: &PendingStop| {
            it.signal == ended.signal && it.waiting.iter().any(|stopped| stopped.target == ended.target)
        };
        let unwatched = self.stopping.unwatched.iter().position(waits);
        let is_meant =
            |kind: &DialogKind| matches!(kind, DialogKind::Waiting(WaitingDialog(it)) if waits(it));
        let watched = self.take_dialog(is_meant).map(|dialog| dialog.kind);
        let (mut ending, is_watched) = if let Some(DialogKind::Waiting(WaitingDialog(ending))) = watched {
            (ending, true)
        } else {
            let Some(at) = unwatched else { return Vec::new() };
            (self.stopping.unwatched.swap_remove(at), false)
        };
        let restart = ended.restart.clone();
        if ended.end == StopOutcome::Gone {
            self.selected_was_stopped(ended.target);
        }
        let report = record(&mut ending, ended);
        let mut effects = if ending.count() == 1 {
            vec![self.notify(Notice::Stop(report))]
        } else {
            vec![Effect::Note(report.level(), report.to_string())]
        };
        if let (Some(restart), Some(gone)) = (restart, ending.gone.last()) {
            effects.push(Effect::Note(log::Level::Info, format!("to start {gone} again: {restart}")));
        }
        let is_over = ending.waiting.is_empty();
        let may_ask = is_watched && ending.signal != StopSignal::Kill && self.switch.is_armed();
        if is_over && may_ask && !ending.stays.is_empty() {
            self.open_dialog(DialogKind::Kill(KillDialog(ending)));
        } else if is_over {
            effects.extend(self.finish(ending));
        } else if is_watched {
            self.open_dialog(DialogKind::Waiting(WaitingDialog(ending)));
        } else {
            self.stopping.unwatched.push(ending);
        }
        effects
    }

    /// Only the next sample of their locks is missing for these.
    #[must_use]
    fn finish(&mut self, ending: PendingStop) -> Vec<Effect> {
        self.stopping.over.push(ending);
        let is_pinned_for_another =
            self.pending_pin.is_some() || self.dialog().is_some_and(|kind| kind.content().pins());
        let mut effects = vec![Effect::Refresh];
        if !is_pinned_for_another {
            effects.push(Effect::Unpin);
        }
        effects
    }

    /// Reports what the exited processes left behind, if the sample was taken after their exit.
    #[must_use]
    pub(super) fn verify(&mut self, look: &Sample) -> Vec<Effect> {
        let is_shown = |it: &PendingStop| {
            let index = look.snapshot.databases.iter().position(|database| database.path == it.database);
            it.known_at <= index.map_or(look.snapshot.taken_at, |index| look.taken_at(index))
        };
        let over = std::mem::take(&mut self.stopping.over);
        let (shown, over): (Vec<_>, Vec<_>) = over.into_iter().partition(is_shown);
        self.stopping.over = over;
        let mut effects = Vec::new();
        for ending in shown {
            let database = look.snapshot.databases.iter().find(|it| it.path == ending.database);
            if let Some(report) = database.and_then(|database| verdict(&ending, database)) {
                effects.push(self.notify(Notice::Stop(report)));
            }
        }
        effects
    }

    /// Whether `pid` was sent a signal whose report is incomplete; that report covers its exit.
    pub(super) fn is_being_stopped(&self, pid: i32) -> bool {
        let shown = match self.dialog() {
            Some(DialogKind::Waiting(WaitingDialog(ending)) | DialogKind::Kill(KillDialog(ending))) => {
                Some(ending)
            }
            _ => None,
        };
        let mut all = self.stopping.unwatched.iter().chain(&self.stopping.over).chain(shown);
        all.any(|ending| ending.is_about(pid))
    }
}

/// The process of `database` that was not watched for long enough to know whether it is stale.
fn not_yet_stale(database: &Database) -> Option<Notice> {
    database.processes.iter().find_map(|process| {
        let why = process.stale.as_ref()?.past_max_age.as_ref()?;
        let is_brief = matches!(why.not_idle, NotIdle::BriefWatch { .. });
        is_brief.then(|| Notice::NotStaleYet { who: process.who(), why: why.to_string() })
    })
}

/// The process of a dialog about one.
fn subject(kind: &DialogKind) -> Option<String> {
    match kind {
        DialogKind::Stop(dialog) => Some(dialog.process.who()),
        DialogKind::Reap(list) => list.ticked().next().map(|(_, process)| process.who()),
        DialogKind::Kill(KillDialog(ending)) => ending.stays.first().map(ToString::to_string),
        _ => None,
    }
}
