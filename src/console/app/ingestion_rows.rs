//! The rows of the ingestion panel: the watches, then the runs, newest first.

use crate::{
    act::signal::SignalTarget,
    keymap::Panel,
    snapshot::{IngestWatcher, Ingestion},
};

use super::App;

#[derive(Debug, Clone, Copy)]
pub enum IngestionRow<'a> {
    Watch(&'a IngestWatcher),
    Run(&'a Ingestion),
}

/// What identifies a row from sample to sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum IngestionId {
    /// A watch, by its process.
    Watch(i32, Option<u64>),
    /// A run, by its name.
    Run(String),
}

impl IngestionRow<'_> {
    pub(super) fn id(self) -> IngestionId {
        match self {
            Self::Watch(watcher) => IngestionId::Watch(watcher.pid, watcher.start_ticks),
            Self::Run(run) => IngestionId::Run(run.run.clone()),
        }
    }

    /// Its process, if that is there.
    pub(super) fn pid(self) -> Option<i32> {
        match self {
            Self::Watch(watcher) => Some(watcher.pid),
            Self::Run(run) => run.is_running().then_some(run.pid),
        }
    }
}

/// The process of `watcher`; `None` if its start is unknown.
pub(super) fn watch_target(watcher: &IngestWatcher) -> Option<SignalTarget> {
    Some(SignalTarget { pid: watcher.pid, start_ticks: watcher.start_ticks? })
}

fn is_of(run: &Ingestion, watcher: &IngestWatcher) -> bool {
    run.pid == watcher.pid && (run.start_ticks == watcher.start_ticks || run.start_ticks.is_none())
}

impl App {
    pub fn ingestion_rows(&self) -> Vec<IngestionRow<'_>> {
        let Some(database) = self.database() else { return Vec::new() };
        let watches = database.watchers.iter().map(IngestionRow::Watch);
        watches.chain(database.ingestions.iter().map(IngestionRow::Run)).collect()
    }

    /// The selected row of the ingestion panel.
    pub fn selected_ingestion_row(&self) -> Option<IngestionRow<'_>> {
        self.ingestion_rows().get(self.selected_row(Panel::Ingestion)).copied()
    }

    /// The run that the selected row stands for: itself, or the newest run of the watch.
    pub fn selected_run(&self) -> Option<&Ingestion> {
        match self.selected_ingestion_row()? {
            IngestionRow::Run(run) => Some(run),
            IngestionRow::Watch(watcher) => self.database()?.ingestions.iter().find(|it| is_of(it, watcher)),
        }
    }

    /// The watch of the selected row, or the one that made the selected run, while the ingestions have the focus.
    pub(super) fn watch_to_stop(&self) -> Option<&IngestWatcher> {
        let is_shown = self.overlay.is_none() && self.timeline().is_none() && self.overview().is_none();
        if !is_shown || self.focus != Panel::Ingestion {
            return None;
        }
        match self.selected_ingestion_row()? {
            IngestionRow::Watch(watcher) => Some(watcher),
            IngestionRow::Run(run) => self.database()?.watchers.iter().find(|it| is_of(run, it)),
        }
    }
}
