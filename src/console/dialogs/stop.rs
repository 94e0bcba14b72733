//! Asks which signal to send to a process, which stays pinned while the dialog is open.

use std::{collections::BTreeSet, path::PathBuf};

use crossterm::event::{KeyCode, KeyEvent};
use log::Level;
use ratatui::text::Line;

use super::{DialogContent, DialogField, DialogPage, DialogScene, choice, neighbour};
use crate::{
    act::{
        ConfirmedAction, reap,
        signal::{SignalTarget, StopSignal},
    },
    console::process_columns,
    snapshot::{Database, Finding, FindingKind, LockHold, Process, ProcessState},
    text, units,
};

#[derive(Debug, Clone)]
pub struct StopDialog {
    /// The process at the time the dialog was requested.
    pub process: Box<Process>,
    pub target: SignalTarget,
    /// The database in which it was selected.
    pub database: PathBuf,
    /// The available signals, the default first.
    pub signals: &'static [StopSignal; 4],
    pub signal: StopSignal,
    pub advice: Option<StopAdvice>,
}

/// What to know of the findings before a process is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StopAdvice {
    /// Whether the stop may be meant for another process.
    pub is_warning: bool,
    pub text: String,
}

impl StopAdvice {
    pub(super) fn lines(&self, page: DialogPage<'_>) -> Vec<Line<'static>> {
        if self.is_warning {
            page.sentence(Level::Warn, &format!("▲ {}", self.text))
        } else {
            page.plain(&self.text)
        }
    }
}

impl StopDialog {
    /// The signals that a stop of `process` offers given `databases`, the default first.
    pub fn signals(databases: &[Database], process: &Process) -> &'static [StopSignal; 4] {
        if reap::is_split(databases, process) {
            return &StopSignal::FOR_SPLIT;
        }
        // A debugger controls a traced process, so SIGCONT has no effect on it.
        if process.state == ProcessState::Stopped { &StopSignal::FOR_STOPPED } else { &StopSignal::ALL }
    }
}

impl DialogContent for StopDialog {
    fn title(&self) -> String {
        format!("{} {}", verb(self.signal), text::clean(&self.process.who()))
    }

    fn pins(&self) -> bool {
        true
    }

    fn fields(&self) -> Vec<DialogField> {
        vec![signal_field(*self.signals, self.signal, "t c i k choose")]
    }

    fn choose(&mut self, by: isize) {
        self.signal = neighbour(self.signals, self.signal, by);
    }

    fn list_key(&mut self, key: KeyEvent) -> bool {
        let chosen = signal_of(key);
        self.signal = chosen.unwrap_or(self.signal);
        chosen.is_some()
    }

    fn confirm(&self) -> Option<Result<ConfirmedAction, String>> {
        Some(Ok(ConfirmedAction::Signal { targets: vec![self.target], signal: self.signal }))
    }

    /// The process that gets the signal, and what that costs.
    fn body(&self, scene: DialogScene<'_>, page: DialogPage<'_>) -> Vec<Line<'static>> {
        let now = scene.process(&self.database, Some(self.target));
        let process = now.map_or(&*self.process, |(_, process)| process);
        let mut lines = Vec::new();
        if let Some(advice) = &self.advice {
            lines.extend(advice.lines(page));
        }
        lines.push(Line::styled(text::fit(&process.command_line(), page.room), page.theme.accent));
        let Some((database, process)) = now else {
            let text = format!("▲ {} is gone: it has ended or closed the database.", process.who());
            lines.extend(page.sentence(Level::Warn, &text::clean(&text)));
            return lines;
        };
        let user = process.user.as_deref().unwrap_or("unknown user");
        let age = process_columns::age(process, scene.now).unwrap_or_else(|| "of unknown age".to_owned());
        let about = format!("process {} of {user}, {}, running for {age}", process.pid, process.state);
        lines.extend(page.sentence(Level::Info, &about));
        lines.extend(twins(database, process).iter().flat_map(|it| page.sentence(Level::Info, it)));
        for cause in reap::causes(process) {
            lines.extend(page.sentence(Level::Warn, &format!("▲ stale, {}: {cause}", cause.name())));
        }
        lines.extend(page.sentence(Level::Info, &process_columns::held_locks(database, process)));
        lines.extend(self.costs(scene, page, process));
        if self.signal.ends() && database.is_own_ingestion(process) {
            let text = "It is a waltop ingestion: committed files stay, and the next run resumes.";
            lines.extend(page.sentence(Level::Info, text));
        }
        lines
    }
}

impl StopDialog {
    /// What the signal does to `process`, and what can be lost.
    fn costs(&self, scene: DialogScene<'_>, page: DialogPage<'_>, process: &Process) -> Vec<Line<'static>> {
        let mut lines = Vec::new();
        if process.state == ProcessState::Traced {
            let text =
                "▲ Its debugger holds it: no signal but KILL reaches it until the debugger lets it go.";
            lines.extend(page.sentence(Level::Warn, text));
        }
        if reap::is_split(scene.databases, process) {
            let text = "▲ Its log was deleted under it. Closed in good order, as after TERM, it can undo what others \
                        committed: copy the files first (Enter on its split-wal finding says how), then KILL it.";
            lines.extend(page.sentence(Level::Error, text));
        }
        if process.inner_pid == Some(1) {
            let text = "▲ It is the first process of its PID namespace: with it every process there ends, and TERM and INT \
                        reach it only if it handles them.";
            lines.extend(page.sentence(Level::Warn, text));
        }
        lines.extend(page.sentence(Level::Warn, &consequence(process, self.signal)));
        lines
    }
}

/// What `signal` asks for, as the first word of a title.
pub(super) fn verb(signal: StopSignal) -> &'static str {
    if signal.ends() { "Stop" } else { "Continue" }
}

/// The choice of a signal, by arrow keys or by the first letter.
pub(super) fn signal_field(
    signals: [StopSignal; 4],
    chosen: StopSignal,
    letters: &'static str,
) -> DialogField {
    match choice("signal", &signals, chosen) {
        DialogField::Choice { label, options, chosen, .. } => {
            DialogField::Choice { label, options, chosen, letters }
        }
        text @ DialogField::Text { .. } => text,
    }
}

/// The signal whose first letter `key` is.
pub(super) fn signal_of(key: KeyEvent) -> Option<StopSignal> {
    match key.code {
        KeyCode::Char('t') => Some(StopSignal::Term),
        KeyCode::Char('c') => Some(StopSignal::Cont),
        KeyCode::Char('i') => Some(StopSignal::Int),
        KeyCode::Char('k' | 'K') => Some(StopSignal::Kill),
        _ => None,
    }
}

/// How many twins are named.
const TWINS: usize = 3;

/// The processes that a finding names as twins of `process`, and which of them is older.
fn twins(database: &Database, process: &Process) -> Vec<String> {
    let is_about_twins =
        |it: &&Finding| matches!(it.kind, FindingKind::DuplicateDaemon | FindingKind::StaleDaemon);
    let named = |finding: &Finding| -> Vec<i32> {
        let pids = finding.evidence.get("processes").and_then(serde_json::Value::as_array);
        pids.into_iter().flatten().filter_map(|pid| i32::try_from(pid.as_i64()?).ok()).collect()
    };
    let groups = database.findings.iter().filter(is_about_twins).map(named);
    let pids: BTreeSet<i32> = groups.filter(|pids| pids.contains(&process.pid)).flatten().collect();
    let others = pids.into_iter().filter(|pid| *pid != process.pid).filter_map(|pid| database.process(pid));
    let twin = |other: &Process| {
        let later = other.started_at?.duration_since(process.started_at?).as_millis_f64();
        let order = if later < 0.0 { "earlier" } else { "later" };
        Some(format!("Its twin {} started {} {order}.", other.who(), units::duration(later.abs())))
    };
    others.filter_map(twin).take(TWINS).collect()
}

fn consequence(process: &Process, signal: StopSignal) -> String {
    let writes = process.holds.iter().any(|hold| {
        matches!(hold, LockHold::Write | LockHold::Reserved | LockHold::Pending | LockHold::Exclusive)
    });
    match (signal, writes) {
        (StopSignal::Cont, _) if process.state == ProcessState::Stopped => {
            "CONT lets it continue, so that it can finish and release its locks: try this first.".to_owned()
        }
        (StopSignal::Cont, _) => "CONT continues a stopped process; this one is not stopped.".to_owned(),
        (StopSignal::Kill, true) => {
            "▲ KILL ends it at once. Its open write transaction rolls back; what it committed stays."
                .to_owned()
        }
        (StopSignal::Kill, false) => "▲ KILL ends it at once, without a chance to tidy up.".to_owned(),
        (_, true) => {
            "▲ Its open write transaction rolls back unless it finishes first; what it committed stays."
                .to_owned()
        }
        (_, false) => "It is asked to exit; it has no open write transaction.".to_owned(),
    }
}
