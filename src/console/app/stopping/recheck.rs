//! The check of a confirmed signal against the newest sample.

use crate::{
    act::{
        ConfirmedAction, Effect,
        reap::{self, StopRequest},
        signal::{SignalRefusal, SignalTarget, StopSignal},
    },
    console::{
        app::{App, Notice, ingestion_rows::watch_target, selection},
        dialogs::{DialogKind, StopDialog, StopIngestionDialog, StopWatchDialog, TaggedDialog},
    },
    snapshot::Database,
};

impl App {
    /// Removes the confirmed processes that must no longer get the signal, as of the newest sample. The dialog may have
    /// been open for an hour.
    #[must_use]
    pub(super) fn recheck_confirmed(
        &mut self,
        mut kind: DialogKind,
        mut act: ConfirmedAction,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        if let DialogKind::StopIngestion(StopIngestionDialog { target, .. }) = &kind
            && !self.is_ingesting(target.pid)
        {
            let figures = self.figures_of(target.pid);
            return vec![self.notify(Notice::IngestionEnded { figures }), Effect::Unpin];
        }
        if let DialogKind::StopWatch(StopWatchDialog { target, .. }) = &kind
            && !self.is_watching(*target)
        {
            return vec![self.notify(Notice::WatchEnded), Effect::Unpin];
        }
        if let (ConfirmedAction::Signal { targets, signal }, Some(newest)) = (&mut act, self.newest.clone()) {
            for target in std::mem::take(targets) {
                match again(&kind, target, *signal, &newest.snapshot.databases) {
                    Ok(()) => targets.push(target),
                    Err(refusal) => {
                        effects.push(self.notify(refusal.clone()));
                        if let DialogKind::Reap(list) | DialogKind::Tagged(TaggedDialog { list, .. }) =
                            &mut kind
                        {
                            list.pinned(target, Err(refusal));
                        }
                    }
                }
            }
            if targets.is_empty() {
                effects.push(Effect::Unpin);
                return effects;
            }
        }
        effects.extend(self.confirmed(kind, act));
        effects
    }

    /// Closes the dialog about an ingestion or a watch that has ended, as of the newest sample.
    #[must_use]
    pub(in crate::console::app) fn close_dialog_of_ended(&mut self) -> Vec<Effect> {
        let notice = match self.dialog() {
            Some(DialogKind::StopIngestion(StopIngestionDialog { target, .. }))
                if !self.is_ingesting(target.pid) =>
            {
                Notice::IngestionEnded { figures: self.figures_of(target.pid) }
            }
            Some(DialogKind::StopWatch(StopWatchDialog { target, .. })) if !self.is_watching(*target) => {
                Notice::WatchEnded
            }
            _ => return Vec::new(),
        };
        self.close_overlay();
        vec![self.notify(notice), Effect::Unpin]
    }

    /// Whether `pid` still runs an ingestion or a watch, as of the newest sample.
    fn is_ingesting(&self, pid: i32) -> bool {
        let databases = self.newest.as_ref().map_or(&[][..], |look| &look.snapshot.databases);
        let mut watchers = databases.iter().flat_map(|database| &database.watchers);
        watchers.any(|watcher| watcher.pid == pid) || self.running_ingestions().any(|it| it.pid == pid)
    }

    /// Whether `target` still watches, as of the newest sample.
    fn is_watching(&self, target: SignalTarget) -> bool {
        let databases = self.newest.as_ref().map_or(&[][..], |look| &look.snapshot.databases);
        let mut watchers = databases.iter().flat_map(|database| &database.watchers);
        watchers.any(|watcher| watch_target(watcher) == Some(target))
    }
}

/// Whether `target` may still get `signal`, which was confirmed in a dialog of this kind.
fn again(
    kind: &DialogKind,
    target: SignalTarget,
    signal: StopSignal,
    databases: &[Database],
) -> Result<(), SignalRefusal> {
    // It may be the last process that has the data by now, whatever was confirmed.
    if let Some(why) = reap::only_copy(target, databases).filter(|_| signal.ends()) {
        return Err(SignalRefusal::Spared { pid: target.pid, why });
    }
    match kind {
        // A process that is no longer listed has exited, or no longer has a cause against it.
        DialogKind::Reap(_) => StopRequest::again(target, databases),
        // The dialog gave no warning about a log that was deleted later.
        DialogKind::Stop(StopDialog { process, signals, .. })
            if matches!(signal, StopSignal::Term | StopSignal::Int)
                && **signals != StopSignal::FOR_SPLIT
                && reap::is_split(databases, process) =>
        {
            Err(SignalRefusal::Split { pid: target.pid })
        }
        DialogKind::Tagged(_) if matches!(signal, StopSignal::Term | StopSignal::Int) => {
            let mut all = databases.iter().flat_map(|database| &database.processes);
            match all.find(|process| selection::target(process) == Some(target)) {
                Some(process) if reap::is_split(databases, process) => {
                    Err(SignalRefusal::Split { pid: target.pid })
                }
                _ => Ok(()),
            }
        }
        _ => Ok(()),
    }
}
