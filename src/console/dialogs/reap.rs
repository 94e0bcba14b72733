//! Asks which of the stale processes to stop: one row each, and the details of the row under the cursor.

use std::path::PathBuf;

use crossterm::event::{KeyCode, KeyEvent};
use jiff::Timestamp;
use log::Level;
use ratatui::text::Line;

use super::{DialogContent, DialogPage, DialogRows, DialogScene};
use crate::{
    act::{
        ConfirmedAction, reap,
        signal::{SignalRefusal, SignalTarget, StopSignal},
    },
    console::{process_columns, widgets::first_row},
    snapshot::{Process, StaleCause},
    text, units,
};

/// Lines beside the rows: the count, a blank line, the row under the cursor, and the buttons.
pub(super) const BESIDE: usize = 10;
/// Lines for the causes of the row under the cursor.
const EVIDENCE: usize = 4;

/// Rows that a page moves by.
const PAGE: usize = 10;

/// The stale processes of a database, each pinned while the list is open.
#[derive(Debug, Clone)]
pub struct ReapList {
    pub database: PathBuf,
    /// One per process, oldest first.
    pub rows: Vec<ReapRow>,
    /// The row that Space marks.
    pub cursor: usize,
}

/// One process of a [`ReapList`].
#[derive(Debug, Clone)]
pub struct ReapRow {
    /// The process at the time the list was requested.
    pub process: Box<Process>,
    /// Whether it will be stopped.
    pub mark: StopMark,
}

/// Whether a process of a list will be stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StopMark {
    Ticked(SignalTarget),
    Unticked(SignalTarget),
    /// It cannot be stopped: it is protected, gone, or out of reach.
    Refused(SignalRefusal),
}

impl ReapList {
    /// The processes that will be stopped.
    pub fn ticked(&self) -> impl Iterator<Item = (SignalTarget, &Process)> {
        self.rows.iter().filter_map(|row| match row.mark {
            StopMark::Ticked(target) => Some((target, &*row.process)),
            StopMark::Unticked(_) | StopMark::Refused(_) => None,
        })
    }

    /// Records whether `target` could be pinned.
    pub(in crate::console) fn pinned(&mut self, target: SignalTarget, pinned: Result<(), SignalRefusal>) {
        let is_it = |row: &&mut ReapRow| matches!(row.mark, StopMark::Ticked(it) if it == target);
        if let (Err(refusal), Some(row)) = (pinned, self.rows.iter_mut().find(is_it)) {
            row.mark = StopMark::Refused(refusal);
        }
    }

    pub(super) fn move_cursor(&mut self, key: KeyEvent) -> bool {
        let last = self.rows.len().saturating_sub(1);
        self.cursor = match key.code {
            KeyCode::Down | KeyCode::Char('j') => (self.cursor + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => self.cursor.saturating_sub(1),
            KeyCode::PageDown => (self.cursor + PAGE).min(last),
            KeyCode::PageUp => self.cursor.saturating_sub(PAGE),
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => last,
            KeyCode::Char(' ') => {
                self.toggle();
                self.cursor
            }
            _ => return false,
        };
        true
    }

    fn toggle(&mut self) {
        if let Some(row) = self.rows.get_mut(self.cursor) {
            row.mark = match &row.mark {
                StopMark::Ticked(target) => StopMark::Unticked(*target),
                StopMark::Unticked(target) => StopMark::Ticked(*target),
                StopMark::Refused(refusal) => StopMark::Refused(refusal.clone()),
            };
        }
    }
}

impl DialogContent for ReapList {
    fn title(&self) -> String {
        "Reap what is stale".to_owned()
    }

    // The causes are beside the rows.
    fn width(&self) -> u16 {
        108
    }

    fn pins(&self) -> bool {
        true
    }

    fn list_key(&mut self, key: KeyEvent) -> bool {
        self.move_cursor(key)
    }

    fn confirm(&self) -> Option<Result<ConfirmedAction, String>> {
        let targets: Vec<SignalTarget> = self.ticked().map(|(target, _)| target).collect();
        Some(if targets.is_empty() {
            Err("nothing is ticked: Space ticks the row".to_owned())
        } else {
            Ok(ConfirmedAction::Signal { targets, signal: StopSignal::Term })
        })
    }

    fn body(&self, scene: DialogScene<'_>, page: DialogPage<'_>) -> Vec<Line<'static>> {
        let mut lines = self.head(page);
        let beside = BESIDE - 1 + lines.len();
        lines.extend(self.list(scene, page, beside));
        lines
    }

    fn rows(&self, page: DialogPage<'_>) -> Option<DialogRows> {
        let head = self.head(page).len();
        Some(self.rows_at(head, page, BESIDE - 1 + head))
    }

    fn point(&mut self, at: usize) {
        self.cursor = at.min(self.rows.len().saturating_sub(1));
    }
}

impl ReapList {
    fn head(&self, page: DialogPage<'_>) -> Vec<Line<'static>> {
        let mut lines = page
            .plain(&format!("{}: y sends them TERM, Space ticks or unticks a row, j k move.", self.counts()));
        if let Some(watched_ms) = self.watched_ms() {
            lines.extend(page.muted(&format!(
                "Idle means in the {} that waltop has watched: work that is rarer looks idle.",
                units::duration(watched_ms)
            )));
        }
        lines
    }

    /// The shortest time for which a process was watched that is listed for being idle; `None` if none is.
    fn watched_ms(&self) -> Option<f64> {
        let rests_on_idleness =
            |row: &&ReapRow| reap::causes(&row.process).iter().any(|cause| cause.idle_ms().is_some());
        let watched =
            self.rows.iter().filter(rests_on_idleness).filter_map(|row| row.process.idleness.watched_ms);
        watched.min_by(f64::total_cmp)
    }

    /// The rows that fit beside `beside` other lines, from the line `line` of the body on.
    pub(super) fn rows_at(&self, line: usize, page: DialogPage<'_>, beside: usize) -> DialogRows {
        let shown = page.height.saturating_sub(beside).clamp(1, self.rows.len().max(1));
        let first = first_row(self.cursor, u16::try_from(shown).unwrap_or(u16::MAX));
        DialogRows { line, first, shown }
    }

    /// How many of the rows that can be stopped are ticked.
    pub(super) fn counts(&self) -> String {
        let offered = self.rows.iter().filter(|row| !matches!(row.mark, StopMark::Refused(_))).count();
        format!("{} of {offered} ticked", self.ticked().count())
    }

    /// The rows that fit beside `beside` other lines, and the evidence of the row under the cursor.
    pub(super) fn list(
        &self,
        scene: DialogScene<'_>,
        page: DialogPage<'_>,
        beside: usize,
    ) -> Vec<Line<'static>> {
        let mut lines = Vec::new();
        let DialogRows { first, shown, .. } = self.rows_at(0, page, beside);
        for (at, row) in self.rows.iter().enumerate().skip(first).take(shown) {
            let text = text::pad(&row_text(scene.now, row), page.room);
            let style = match row.mark {
                _ if at == self.cursor => page.theme.selected,
                StopMark::Refused(_) => page.theme.muted,
                StopMark::Ticked(_) | StopMark::Unticked(_) => ratatui::style::Style::new(),
            };
            lines.push(Line::styled(text, style));
        }
        if self.rows.len() > shown {
            let text = format!("rows {} to {} of {}", first + 1, first + shown, self.rows.len());
            lines.push(Line::styled(text, page.theme.muted));
        }
        lines.push(Line::default());
        if let Some(row) = self.rows.get(self.cursor) {
            lines.extend(self.evidence(scene, row, page));
        }
        lines
    }

    fn evidence(&self, scene: DialogScene<'_>, row: &ReapRow, page: DialogPage<'_>) -> Vec<Line<'static>> {
        let process = &row.process;
        let mut lines = vec![Line::styled(text::fit(&process.command_line(), page.room), page.theme.accent)];
        let mut told: Vec<Line> = Vec::new();
        if let StopMark::Refused(refusal) = &row.mark {
            told.extend(page.sentence(Level::Warn, &refusal.to_string()));
        }
        for cause in reap::causes(process) {
            let text = format!("▲ {}: {cause}", cause.name());
            told.extend(page.sentence(Level::Warn, &text));
        }
        let about = match scene.process(&self.database, process.identity()) {
            Some((database, now)) => process_columns::held_locks(database, now),
            None => "It is gone: it has ended or closed the database.".to_owned(),
        };
        told.extend(page.plain(&about));
        told.truncate(EVIDENCE);
        lines.extend(told);
        lines
    }
}

fn row_text(now: Timestamp, row: &ReapRow) -> String {
    let process = &row.process;
    let sign = match row.mark {
        StopMark::Ticked(_) => "[x]",
        StopMark::Unticked(_) => "[ ]",
        StopMark::Refused(_) => " – ",
    };
    let age = process_columns::age(process, now).unwrap_or_else(|| "?".to_owned());
    let causes: Vec<&str> = reap::causes(process).iter().map(StaleCause::name).collect();
    let why = match &row.mark {
        StopMark::Refused(SignalRefusal::Spared { why, .. }) => format!("left alone: {why}"),
        StopMark::Refused(refusal) => refusal.to_string(),
        StopMark::Ticked(_) | StopMark::Unticked(_) => causes.join(", "),
    };
    let name = text::pad(&process.label, 12);
    format!("{sign} {:>7}  {age:>8}  {name}  {why}", process.pid)
}
