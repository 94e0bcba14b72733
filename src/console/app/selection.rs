//! Which rows are shown, in which order, and which one is selected. The selection follows its process when rows move.

use crate::{
    act::signal::SignalTarget,
    console::process_columns,
    keymap::{Action, Panel},
    snapshot::{Database, Finding, Process, Severity},
};

use super::{
    App, FilterTarget, FindingRow, HolderRow, IngestionRow, Notice, TableRow, findings,
    ingestion_rows::IngestionId, tree,
};

/// The cursor of each panel that has one.
#[derive(Debug, Clone, Default)]
pub struct PanelCursors {
    process: Option<SignalTarget>,
    /// The selected lock, if its holder is not in the list of processes.
    holder: Option<HolderRow>,
    /// Row of the selected process when last seen.
    process_row: usize,
    /// Whether no process is selected until the user moves.
    is_cleared: bool,
    finding: Option<findings::FindingId>,
    /// The finding that was selected when the panel got the focus, until the user selects one.
    finding_at_focus: Option<findings::FindingId>,
    /// Row of the selected finding when last seen.
    finding_row: usize,
    pragma: Option<String>,
    /// Row of the selected pragma when it was last seen.
    pragma_row: usize,
    /// The selected watch or run.
    ingestion: Option<IngestionId>,
    /// Its row when it was last seen.
    ingestion_row: usize,
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
            let order = self.order.column.compare(a, b);
            if self.order.is_inverted { order.reverse() } else { order }
        });
        if self.order.is_tree { tree::in_tree_order(visible) } else { visible }
    }

    /// Whether a row of the table of locks and processes is selected. None is after the selected process left the table,
    /// until the user moves.
    pub fn has_selected_row(&self) -> bool {
        let cursor = self.cursor();
        let is_named = cursor.process.is_some() || cursor.holder.is_some();
        !cursor.is_cleared && (!is_named || self.row_of_process().is_some())
    }

    pub(super) fn no_process_selected(&self) -> Notice {
        Notice::NoProcessSelected { key: self.key_of(Action::Down).to_owned() }
    }

    /// Selects no process until the user moves.
    pub(super) fn clear_selection(&mut self) {
        self.states.shown_mut().cursor.is_cleared = true;
    }

    /// The user has stopped the process `stopped`. If it is the selected one, or several were stopped at once, the worst
    /// finding selects a row again, as at the start.
    pub(super) fn selected_was_stopped(&mut self, stopped: SignalTarget) {
        let is_it = |cursor: &PanelCursors| cursor.is_cleared || cursor.process == Some(stopped);
        for state in self.states.iter_mut().filter(|state| is_it(&state.cursor)) {
            (state.is_settled, state.selected_for) = (false, None);
        }
    }

    /// The selected process. It is always a visible one.
    pub fn selected_process(&self) -> Option<&Process> {
        self.selected_table_row()?.process()
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

    /// What identifies the finding of the selected row, current or resolved.
    pub fn selected_finding_id(&self) -> Option<findings::FindingId> {
        self.selected_finding_row().map(FindingRow::key)
    }

    /// The index of the selected row of `panel`.
    pub fn selected_row(&self, panel: Panel) -> usize {
        let last = self.rows(panel).saturating_sub(1);
        match panel {
            Panel::Processes => self.row_of_process().unwrap_or(self.cursor().process_row).min(last),
            Panel::Findings => self.row_of_finding().min(last),
            Panel::Pragmas => self.row_of_pragma().min(last),
            Panel::Ingestion => self.row_of_ingestion().min(last),
            Panel::Files | Panel::Log => 0,
        }
    }

    // The row of the same finding after rows moved. Among several of one rule and process, the selected one.
    fn row_of_finding(&self) -> usize {
        let cursor = self.cursor();
        let Some(wanted) = cursor.finding.as_ref().or(cursor.finding_at_focus.as_ref()) else {
            return cursor.finding_row;
        };
        let rows = self.finding_rows();
        let stands_at = |row: &FindingRow<'_>| row.key() == *wanted;
        if rows.get(self.cursor().finding_row).is_some_and(stands_at) {
            return self.cursor().finding_row;
        }
        rows.iter().position(stands_at).unwrap_or(self.cursor().finding_row)
    }

    fn row_of_process(&self) -> Option<usize> {
        let cursor = self.cursor();
        let is_it = |row: &TableRow<'_>| match row {
            TableRow::Process(process) => cursor.process.is_some_and(|target| is(process, target)),
            TableRow::Holder(holder) => cursor.holder == Some(*holder),
        };
        self.table_rows().iter().position(is_it)
    }

    fn row_of_pragma(&self) -> usize {
        let cursor = self.cursor();
        let Some(wanted) = cursor.pragma.as_deref() else { return cursor.pragma_row };
        self.pragma_lines().iter().position(|line| line.name == wanted).unwrap_or(cursor.pragma_row)
    }

    fn row_of_ingestion(&self) -> usize {
        let (cursor, rows) = (self.cursor(), self.ingestion_rows());
        match &cursor.ingestion {
            Some(wanted) => rows.iter().position(|row| row.id() == *wanted).unwrap_or(cursor.ingestion_row),
            // The newest run.
            None => rows.iter().position(|row| matches!(row, IngestionRow::Run(_))).unwrap_or(0),
        }
    }

    /// Gives `panel` the focus. In the findings the selection then stays with its finding: before that it is always the
    /// worst one, and a worse one may come between two keys.
    pub(super) fn set_focus(&mut self, panel: Panel) {
        if self.focus != panel {
            self.focus = panel;
            let at_focus = self.selected_finding_id().filter(|_| panel == Panel::Findings);
            self.states.shown_mut().cursor.finding_at_focus = at_focus;
        }
    }

    pub(super) fn move_selection(&mut self, by: isize) {
        let panel = self.focus;
        if panel == Panel::Log {
            return self.scroll_log(by);
        }
        let last = self.rows(panel).saturating_sub(1);
        let is_lost = panel == Panel::Processes && !self.has_selected_row();
        // The row where the process was that left the table.
        let by = if is_lost && by == 1 { 0 } else { by };
        let row = self.selected_row(panel).saturating_add_signed(by).min(last);
        self.select_row(panel, row);
    }

    pub(super) fn select_row(&mut self, panel: Panel, row: usize) {
        let (process, holder) = match self.table_rows().get(row) {
            Some(TableRow::Process(process)) => (target(process), None),
            Some(TableRow::Holder(holder)) => (None, Some(*holder)),
            None => (None, None),
        };
        let finding = self.finding_rows().get(row).map(|row| row.key());
        let pragma = self.pragma_lines().get(row).map(|line| line.name.to_owned());
        let ingestion = self.ingestion_rows().get(row).map(|row| row.id());
        let cursor = &mut self.states.shown_mut().cursor;
        match panel {
            Panel::Processes => {
                (cursor.process_row, cursor.process, cursor.holder) = (row, process, holder);
                cursor.is_cleared = false;
            }
            Panel::Findings => (cursor.finding_row, cursor.finding) = (row, finding),
            Panel::Pragmas => (cursor.pragma_row, cursor.pragma) = (row, pragma),
            Panel::Ingestion => (cursor.ingestion_row, cursor.ingestion) = (row, ingestion),
            Panel::Files | Panel::Log => {}
        }
    }

    /// Keeps the selection on the same process. After it has left the table by itself, no process is selected: a key must
    /// not hit one that the user has not chosen.
    pub(super) fn keep_selection(&mut self) {
        if let Some((severity, row)) = self.row_to_select() {
            self.states.shown_mut().selected_for = Some(severity);
            self.select_row(Panel::Processes, row);
        } else if self.has_selected_row() {
            self.select_row(Panel::Processes, self.selected_row(Panel::Processes));
        }
        // Until the user selects a finding or the panel, the worst one is selected.
        if self.cursor().finding.is_some() {
            let row = self.selected_row(Panel::Findings);
            self.select_row(Panel::Findings, row);
        }
    }

    // The row of the process of the worst finding that is about a process, with its severity. Only before the first key,
    // and only if no finding of that severity has selected a row yet: the target of a key must not change among equals.
    fn row_to_select(&self) -> Option<(Severity, usize)> {
        let state = self.states.shown();
        let is_about_one = |finding: &Finding| Some((finding.severity, finding.pid?));
        let (severity, pid) = self.database()?.findings.iter().find_map(is_about_one)?;
        let row = self.table_rows().iter().position(|row| row.process().is_some_and(|it| it.pid == pid))?;
        (!state.is_settled && Some(severity) > state.selected_for).then_some((severity, row))
    }

    /// After the filter changed: if it hides the selected row, the first visible row is selected.
    pub(super) fn filter_changed(&mut self) {
        if self.overview().is_some() {
            return;
        }
        let hidden = self.row_of_process().is_none();
        if hidden {
            self.select_row(Panel::Processes, 0);
        } else {
            self.keep_selection();
        }
    }

    pub(super) fn rows(&self, panel: Panel) -> usize {
        let Some(database) = self.database() else { return 0 };
        match panel {
            Panel::Processes => self.table_rows().len(),
            Panel::Findings => self.finding_rows().len(),
            Panel::Pragmas => self.pragma_lines().len(),
            Panel::Ingestion => database.watchers.len() + database.ingestions.len(),
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
