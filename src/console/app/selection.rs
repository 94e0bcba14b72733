//! Which rows are shown, in which order, and which one is selected. The selection follows its process when rows move.

use std::cmp::Reverse;

use crate::{
    act::signal::SignalTarget,
    console::process_columns,
    keymap::Panel,
    snapshot::{Database, Finding, PragmaRow, Process},
};

use super::{App, FilterTarget, FindingRow, PragmaKey, findings, tree};

/// The cursor of each panel that has one.
#[derive(Debug, Clone, Default)]
pub struct PanelCursors {
    process: Option<SignalTarget>,
    /// Row of the selected process when last seen; used after the process disappears.
    process_row: usize,
    finding: Option<findings::FindingId>,
    /// Row of the selected finding when last seen.
    finding_row: usize,
    pragma: Option<PragmaKey>,
    /// Row of the selected pragma when it was last seen.
    pragma_row: usize,
    /// The run of the selected ingestion.
    ingestion: Option<String>,
    /// Row of the selected ingestion when it was last seen.
    ingestion_row: usize,
    holder: Option<HolderRow>,
    /// Row of the selected holder when last seen.
    holder_row: usize,
}

/// A process that holds a lock, or may hold one: a row of the locks panel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HolderRow {
    pub lock: HolderLock,
    /// `None` if the process is not visible from this namespace.
    pub pid: Option<i32>,
}

/// What the process of a row holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HolderLock {
    Write,
    Checkpoint,
    Recovery,
    WholeFile,
    /// A read lock, by its index in the list of readers.
    Read(usize),
}

impl App {
    fn cursor(&self) -> &PanelCursors {
        &self.states.shown().cursor
    }

    /// The processes that match the filter, in the chosen order.
    pub fn visible_processes(&self) -> Vec<&Process> {
        let Some(database) = self.database() else { return Vec::new() };
        let passes =
            |process: &&Process| self.passes(FilterTarget::Processes, || searchable(database, process));
        let mut visible: Vec<&Process> = database.processes.iter().filter(passes).collect();
        visible.sort_by(|a, b| {
            let order = self.sort.compare(a, b);
            if self.inverted { order.reverse() } else { order }
        });
        if self.is_tree { tree::in_tree_order(visible) } else { visible }
    }

    /// The pragma rows, those that the profile checks first.
    pub fn visible_pragmas(&self) -> Vec<&PragmaRow> {
        let Some(database) = self.database() else { return Vec::new() };
        let mut rows: Vec<_> = database.pragmas.rows.iter().collect();
        rows.sort_by_key(|row| (row.ok.unwrap_or(true), Reverse(row.expected.is_some())));
        rows
    }

    /// The selected pragma row.
    pub fn selected_pragma(&self) -> Option<&PragmaRow> {
        self.visible_pragmas().get(self.selected_row(Panel::Pragmas)).copied()
    }

    /// The selected process. It is always a visible one.
    pub fn selected_process(&self) -> Option<&Process> {
        self.visible_processes().get(self.selected_row(Panel::Processes)).copied()
    }

    /// The selected finding, if it is current.
    pub fn selected_finding(&self) -> Option<&Finding> {
        match self.selected_finding_row()? {
            FindingRow::Now(finding) => Some(finding),
            FindingRow::Gone(_) => None,
        }
    }

    /// The selected row of the findings.
    pub(super) fn selected_finding_row(&self) -> Option<FindingRow<'_>> {
        self.finding_rows().get(self.selected_row(Panel::Findings)).copied()
    }

    /// The processes that hold a lock, in the order of the locks panel.
    pub fn holder_rows(&self) -> Vec<HolderRow> {
        let Some(locks) = self.database().map(|it| &it.locks) else { return Vec::new() };
        let one = [
            (HolderLock::Write, &locks.writer),
            (HolderLock::Checkpoint, &locks.checkpointer),
            (HolderLock::Recovery, &locks.recoverer),
            (HolderLock::WholeFile, &locks.exclusive),
        ];
        let one = one
            .into_iter()
            .filter_map(|(lock, holder)| holder.as_ref().map(|holder| HolderRow { lock, pid: holder.pid }));
        let readers = locks.readers.iter().enumerate();
        one.chain(readers.map(|(at, reader)| HolderRow { lock: HolderLock::Read(at), pid: reader.pid }))
            .collect()
    }

    /// The selected holder.
    pub fn selected_holder(&self) -> Option<HolderRow> {
        self.holder_rows().get(self.selected_row(Panel::Locks)).copied()
    }

    /// The index of the selected row of `panel`.
    pub fn selected_row(&self, panel: Panel) -> usize {
        let last = self.rows(panel).saturating_sub(1);
        match panel {
            Panel::Processes => {
                let visible = self.visible_processes();
                let found = self
                    .cursor()
                    .process
                    .and_then(|target| visible.iter().position(|process| is(process, target)));
                found.unwrap_or(self.cursor().process_row).min(last)
            }
            Panel::Findings => self.row_of_finding().min(last),
            Panel::Pragmas => self.row_of_pragma().min(last),
            Panel::Ingestion => self.row_of_ingestion().min(last),
            Panel::Locks => self.row_of_holder().min(last),
            Panel::Files | Panel::Log => 0,
        }
    }

    // The row of the same finding after rows moved. Among several of one rule and process, the selected one.
    fn row_of_finding(&self) -> usize {
        let Some(wanted) = &self.cursor().finding else { return self.cursor().finding_row };
        let rows = self.finding_rows();
        let stands_at = |row: &FindingRow<'_>| row.key() == *wanted;
        if rows.get(self.cursor().finding_row).is_some_and(stands_at) {
            return self.cursor().finding_row;
        }
        rows.iter().position(stands_at).unwrap_or(self.cursor().finding_row)
    }

    // The row of the same lock of the same process; else any row of that process, which may hold another lock by now.
    fn row_of_holder(&self) -> usize {
        let (rows, cursor) = (self.holder_rows(), self.cursor());
        let Some(wanted) = cursor.holder else { return cursor.holder_row };
        if rows.get(cursor.holder_row).is_some_and(|row| row.pid == wanted.pid) {
            return cursor.holder_row;
        }
        let same = rows.iter().position(|row| *row == wanted);
        let same = same.or_else(|| rows.iter().position(|row| row.pid.is_some() && row.pid == wanted.pid));
        same.unwrap_or(cursor.holder_row)
    }

    fn row_of_pragma(&self) -> usize {
        let cursor = self.cursor();
        let Some(wanted) = &cursor.pragma else { return cursor.pragma_row };
        self.visible_pragmas().iter().position(|row| wanted.is(row)).unwrap_or(cursor.pragma_row)
    }

    fn row_of_ingestion(&self) -> usize {
        let cursor = self.cursor();
        let (Some(wanted), Some(database)) = (&cursor.ingestion, self.database()) else {
            return cursor.ingestion_row;
        };
        database.ingestions.iter().position(|it| it.run == *wanted).unwrap_or(cursor.ingestion_row)
    }

    pub(super) fn move_selection(&mut self, by: isize) {
        let panel = self.focus;
        let last = self.rows(panel).saturating_sub(1);
        let row = self.selected_row(panel).saturating_add_signed(by).min(last);
        self.select_row(panel, row);
    }

    pub(super) fn select_row(&mut self, panel: Panel, row: usize) {
        let process = self.visible_processes().get(row).and_then(|process| target(process));
        let finding = self.finding_rows().get(row).map(|row| row.key());
        let holder = self.holder_rows().get(row).copied();
        let pragma = self.visible_pragmas().get(row).map(|row| PragmaKey::of(row));
        let ingestion = self.database().and_then(|it| it.ingestions.get(row)).map(|it| it.run.clone());
        let cursor = &mut self.states.shown_mut().cursor;
        match panel {
            Panel::Processes => (cursor.process_row, cursor.process) = (row, process),
            Panel::Findings => (cursor.finding_row, cursor.finding) = (row, finding),
            Panel::Pragmas => (cursor.pragma_row, cursor.pragma) = (row, pragma),
            Panel::Ingestion => (cursor.ingestion_row, cursor.ingestion) = (row, ingestion),
            Panel::Locks => (cursor.holder_row, cursor.holder) = (row, holder),
            Panel::Files | Panel::Log => {}
        }
    }

    /// Keeps the selection on a visible row: the same process if it is still there, else the one at its row.
    pub(super) fn keep_selection(&mut self) {
        let subject = if self.states.shown().is_touched { None } else { self.row_of_worst() };
        let row = subject.unwrap_or_else(|| self.selected_row(Panel::Processes));
        self.select_row(Panel::Processes, row);
        // Until the user selects a finding, the worst one is selected.
        if self.cursor().finding.is_some() {
            let row = self.selected_row(Panel::Findings);
            self.select_row(Panel::Findings, row);
        }
    }

    // The row of the process of the worst finding that is about a process.
    fn row_of_worst(&self) -> Option<usize> {
        let pid = self.database()?.findings.iter().find_map(|finding| finding.pid)?;
        self.visible_processes().iter().position(|process| process.pid == pid)
    }

    /// After the filter changed: if it hides the selected row, the first visible row is selected.
    pub(super) fn filter_changed(&mut self) {
        let hidden = self
            .cursor()
            .process
            .is_none_or(|target| !self.visible_processes().iter().any(|process| is(process, target)));
        if hidden {
            self.select_row(Panel::Processes, 0);
        } else {
            self.keep_selection();
        }
    }

    pub(super) fn rows(&self, panel: Panel) -> usize {
        let Some(database) = self.database() else { return 0 };
        match panel {
            Panel::Processes => self.visible_processes().len(),
            Panel::Findings => self.finding_rows().len(),
            Panel::Pragmas => database.pragmas.rows.len(),
            Panel::Ingestion => database.ingestions.len(),
            Panel::Locks => self.holder_rows().len(),
            Panel::Files | Panel::Log => 0,
        }
    }
}

/// Identifies `process` by PID and start time; `None` if its start is unknown.
pub(super) fn target(process: &Process) -> Option<SignalTarget> {
    Some(SignalTarget { pid: process.pid, start_ticks: process.start_ticks? })
}

fn is(process: &Process, wanted: SignalTarget) -> bool {
    target(process) == Some(wanted)
}

// The text that a filter matches: PID, label, name, command line, user, locks, and whether the process is stale.
fn searchable(database: &Database, process: &Process) -> String {
    let Process { pid, label, name, user, state, .. } = process;
    let (command, locks) = (process.command_line(), process_columns::locks(database, process));
    let stale = if process.is_stale() { "STALE" } else { "" };
    format!("{pid} {label} {name} {command} {} {state} {locks} {stale}", user.as_deref().unwrap_or_default())
}
