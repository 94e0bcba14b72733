//! The writers that were refused the write lock, and those that may be waiting for it: below the table of panel 2, and in the details of victim and holder.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::{
    labelled::{LabelledRows, row},
    who,
};
use crate::{
    console::widgets::theme::Theme,
    snapshot::{Database, PossibleWaiter, RefusedWriter},
    text, units,
};

/// How many of them the zoomed panel shows, and how many the details.
const MOST_SHOWN: usize = 8;
/// Columns of a label in the panel.
const LABEL: usize = 12;

/// Rows for the panel: the first victim only, or those that fit a zoomed panel.
pub fn lines(database: &Database, is_zoomed: bool, theme: &Theme, width: usize) -> Vec<Line<'static>> {
    let victims = victims(database);
    let shown = if is_zoomed { MOST_SHOWN } else { 1 };
    let line = |(row, victim): (usize, &RefusedWriter)| {
        let more = victims.len() - shown.min(victims.len());
        let more = if more > 0 && row + 1 == shown { format!(" (and {more} more)") } else { String::new() };
        let room = width.saturating_sub(LABEL + more.len());
        let by = by(database, victim);
        let words = text::fit(&format!("{}{by}: {victim}", who(database, Some(victim.pid))), room);
        labelled_line(row, "refused", words + &more, style(victim, theme), theme)
    };
    victims.iter().take(shown).enumerate().map(line).collect()
}

/// The same of the processes that may be waiting: several in one row, or each with its evidence in a zoomed panel.
pub fn possible_lines(
    database: &Database,
    is_zoomed: bool,
    theme: &Theme,
    width: usize,
) -> Vec<Line<'static>> {
    let waiters = &database.locks.possible_waiters;
    if !is_zoomed && waiters.len() > 1 {
        let names: Vec<String> = waiters.iter().map(|waiter| who(database, Some(waiter.pid))).collect();
        let words =
            text::fit(&format!("{}, as their sleep looks", names.join(", ")), width.saturating_sub(LABEL));
        return vec![labelled_line(0, "may wait", words, theme.muted, theme)];
    }
    let shown = if is_zoomed { MOST_SHOWN } else { 1 };
    let line = |(row, waiter): (usize, &PossibleWaiter)| {
        let words = format!("{}: {waiter}", who(database, Some(waiter.pid)));
        let words = text::fit(&words, width.saturating_sub(LABEL));
        labelled_line(row, "may wait", words, theme.muted, theme)
    };
    waiters.iter().take(shown).enumerate().map(line).collect()
}

// Only the first row has the label.
fn labelled_line(row: usize, label: &str, words: String, style: Style, theme: &Theme) -> Line<'static> {
    let label = if row == 0 { label } else { "" };
    Line::from(vec![Span::styled(format!("{label:<LABEL$}"), theme.title), Span::styled(words, style)])
}

/// What the details of the process `pid` say: who refused it and whom it hurt, as far as the trace or its sleep show.
pub fn rows(database: &Database, pid: i32) -> LabelledRows {
    let mut rows = possible_rows(database, pid);
    rows.extend(refused_rows(database, pid));
    rows
}

fn possible_rows(database: &Database, pid: i32) -> LabelledRows {
    let waiters = &database.locks.possible_waiters;
    let own = waiters.iter().filter(|waiter| waiter.pid == pid);
    let own =
        own.map(|waiter| row("may be waiting", format!("for {}: {waiter}", who(database, waiter.holder))));
    let others = waiters.iter().filter(|waiter| waiter.holder == Some(pid)).take(MOST_SHOWN);
    let others =
        others.map(|waiter| row("may block", format!("{}: {waiter}", who(database, Some(waiter.pid)))));
    own.chain(others).collect()
}

fn refused_rows(database: &Database, pid: i32) -> LabelledRows {
    let Some(refusals) = &database.locks.refusals else { return LabelledRows::new() };
    let last = format!("in the last {}", units::duration(refusals.window_ms));
    let victims = || refusals.victims.iter();
    let mut rows = LabelledRows::new();
    for victim in victims().filter(|victim| victim.pid == pid).take(MOST_SHOWN) {
        let by = by(database, victim);
        rows.push(row("was refused", format!("the write lock{by} {last}: {victim}")));
    }
    let hurt: Vec<_> = victims().filter(|victim| victim.holder == Some(pid)).collect();
    for victim in hurt.iter().take(MOST_SHOWN) {
        rows.push(row("blocked", format!("{} {last}: {victim}", who(database, Some(victim.pid)))));
    }
    if let more @ 1.. = hurt.len().saturating_sub(MOST_SHOWN) {
        rows.push(row("blocked", format!("and {more} more, each for less")));
    }
    rows
}

fn victims(database: &Database) -> &[RefusedWriter] {
    database.locks.refusals.as_ref().map_or(&[], |refusals| &refusals.victims)
}

fn by(database: &Database, victim: &RefusedWriter) -> String {
    victim.holder.map_or_else(String::new, |holder| format!(" by {}", who(database, Some(holder))))
}

fn style(victim: &RefusedWriter, theme: &Theme) -> Style {
    if victim.gave_up > 0 || victim.waiting_ms.is_some() { theme.warning } else { Style::new() }
}
