//! Tagged processes, which are stopped together. A filter may hide some: those are named, and not stopped.

use crate::{
    act::{
        Effect,
        reap::{self, StopRequest},
        signal::{SignalRefusal, StopSignal},
    },
    console::dialogs::{DialogKind, ReapList, ReapRow, StopAdvice, StopMark, TaggedDialog},
    diagnose::checkpoint::obstacle,
    keymap::{Action, Panel},
    snapshot::{
        Database, Finding, Process, ProcessId, ProcessState, RemedyAction, Severity, StaleProtection,
    },
};

use super::{App, Notice, database_state::DatabaseState, selection::target};

impl DatabaseState {
    /// Removes the tags of processes that no longer have `database` open.
    pub(super) fn drop_gone_tags(&mut self, database: &Database) {
        if !self.tags.is_empty() {
            let listed: Vec<ProcessId> = database.processes.iter().filter_map(target).collect();
            self.tags.retain(|tag| listed.contains(tag));
        }
    }
}

impl App {
    pub fn is_tagged(&self, process: &Process) -> bool {
        target(process).is_some_and(|it| self.states.shown().tags.contains(&it))
    }

    /// How many processes are tagged, and how many of those the filter hides.
    pub fn tag_counts(&self) -> (usize, usize) {
        (self.states.shown().tags.len(), self.hidden_tags().len())
    }

    fn hidden_tags(&self) -> Vec<&Process> {
        if self.states.shown().tags.is_empty() {
            return Vec::new();
        }
        let visible: Vec<_> = self.visible_processes().into_iter().filter_map(target).collect();
        let processes = self.database().map_or(&[][..], |database| &database.processes);
        let is_hidden = |process: &&Process| {
            self.is_tagged(process) && target(process).is_some_and(|it| !visible.contains(&it))
        };
        processes.iter().filter(is_hidden).collect()
    }

    #[must_use]
    pub(super) fn toggle_tag(&mut self) -> Vec<Effect> {
        if self.focus != Panel::Processes || self.overlay.is_some() {
            let key = self.key_of(Action::Zoom(Panel::Processes)).to_owned();
            return vec![self.notify(Notice::NotTaggable { key })];
        }
        let Some(process) = self.selected_process() else {
            return vec![self.notify(Notice::NothingSelected)];
        };
        let Some(tag) = target(process) else {
            let pid = process.pid;
            return vec![self.notify(Notice::UntaggableStart { pid })];
        };
        let tags = &mut self.states.shown_mut().tags;
        if !tags.remove(&tag) {
            tags.insert(tag);
        }
        self.move_selection(1);
        Vec::new()
    }

    /// Whether a stop is about the tagged processes: some are, and their panel has the focus.
    pub(super) fn stops_tagged(&self) -> bool {
        self.focus == Panel::Processes && self.overlay.is_none() && !self.states.shown().tags.is_empty()
    }

    /// Removes all tags of the database on the screen; returns whether there were any.
    pub(super) fn clear_tags(&mut self) -> bool {
        !std::mem::take(&mut self.states.shown_mut().tags).is_empty()
    }

    #[must_use]
    pub(super) fn ask_stop_tagged(&mut self) -> Vec<Effect> {
        let name = |process: &Process| format!("{} ({})", process.pid, process.name);
        let hidden: Vec<String> = self.hidden_tags().into_iter().map(name).collect();
        let shown = self.visible_processes().into_iter().filter(|process| self.is_tagged(process));
        let tagged: Vec<Process> = shown.cloned().collect();
        if tagged.is_empty() {
            let [filter, back] = [Action::Filter, Action::Back].map(|action| self.key_of(action).to_owned());
            return vec![self.notify(Notice::TagsHidden { who: hidden, filter, back })];
        }
        let Some(path) = self.database().map(|it| it.path.clone()) else { return Vec::new() };
        let (mut meant, mut rows) = (Vec::new(), Vec::new());
        let is_stopped = |process: &Process| process.state == ProcessState::Stopped;
        let signals = if tagged.iter().all(is_stopped) { &StopSignal::FOR_STOPPED } else { &StopSignal::ALL };
        let advice = self.stop_advice(&tagged);
        for process in tagged {
            let mark = match self.request_among_tagged(&process) {
                Err(refusal) => StopMark::Refused(refusal),
                Ok(request) => {
                    let target = request.target;
                    meant.push(request);
                    StopMark::Ticked(target)
                }
            };
            rows.push(ReapRow { process: Box::new(process), mark });
        }
        let list = ReapList { database: path, rows, cursor: 0 };
        let dialog = TaggedDialog { list, signals, signal: signals[0], hidden, advice };
        self.pin(DialogKind::Tagged(dialog), meant)
    }

    fn request_among_tagged(&self, process: &Process) -> Result<StopRequest, SignalRefusal> {
        let request = self.stop_request(process)?;
        let pid = process.pid;
        if let Some(why) = request.protected {
            return Err(SignalRefusal::Spared { pid, why });
        }
        let databases = self.databases();
        if reap::is_split(databases, process) {
            return Err(SignalRefusal::Split { pid });
        }
        Ok(request)
    }

    /// A request to stop a process that the user selected. Being an ingestion of waltop protects it from a reaper; if
    /// the user selects it, they may stop it, as with its own key. Its other protections apply.
    pub(super) fn stop_request(&self, process: &Process) -> Result<StopRequest, SignalRefusal> {
        let is_ours = self.database().is_some_and(|database| database.is_own_ingestion(process));
        let request = StopRequest::new(process)?;
        let protected =
            request.protected.filter(|it| !is_ours || !matches!(it, StaleProtection::OwnKind { .. }));
        Ok(StopRequest { protected, ..request })
    }

    /// What to know before `processes` are stopped: first that the worst error is about another process, unless an error
    /// is about one of them; then that a finding is about one of them, or that one of them blocks the log.
    pub(super) fn stop_advice(&self, processes: &[Process]) -> Option<StopAdvice> {
        let database = self.database()?;
        let it = if processes.len() == 1 { "it" } else { "one of them" };
        let is_meant = |pid: Option<i32>| processes.iter().any(|process| Some(process.pid) == pid);
        // A warning about a setting of its own is no reason to stop a process.
        let calls_for_it = |finding: &&Finding| {
            let action = finding.remedy.action;
            let is_signal = matches!(action, Some(RemedyAction::StopProcess | RemedyAction::ContinueProcess));
            finding.severity == Severity::Error || finding.severity == Severity::Warning && is_signal
        };
        let mut findings = database.findings.iter().filter(calls_for_it);
        let own = findings.find(|finding| is_meant(finding.pid));
        let blocks = obstacle(database).filter(|obstacle| is_meant(obstacle.pid()));
        let about_it = match own {
            Some(own) => Some(format!("The {} {} is about {it}", own.severity, own.kind)),
            None => blocks.map(|_| {
                format!("The log waits for {it}: no frame can be moved before its read or checkpoint ends")
            }),
        };
        let is_own_error = own.is_some_and(|own| own.severity == Severity::Error);
        let other = self.worst_error().filter(|_| !is_own_error);
        let about_other = other.map(|(finding, other)| {
            format!("The error {} is about another process: {}", finding.kind, other.who())
        });
        let is_warning = about_other.is_some();
        let text = about_other.into_iter().chain(about_it).collect::<Vec<_>>().join(". ");
        (!text.is_empty()).then_some(StopAdvice { is_warning, text })
    }
}
