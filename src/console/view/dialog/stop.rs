//! Before a signal: whom it reaches and what that costs. After it: how long is waited, and for whom.

use jiff::Timestamp;
use log::Level;
use ratatui::text::Line;

use crate::{
    act::{reap, signal::StopSignal},
    console::{
        app::{App, PendingStop, StoppedProcess},
        process_columns,
        view::theme::Theme,
    },
    snapshot::{LockHold, Process, ProcessState},
    text,
};

use super::sentence;

/// How many of those that are waited for are named.
const NAMED: usize = 5;

/// Who is about to get a signal, and what that costs.
pub fn before(
    app: &App,
    process: &Process,
    signal: StopSignal,
    theme: &Theme,
    room: usize,
) -> Vec<Line<'static>> {
    let say = |text: &str, level| sentence(text, theme, level, room);
    let mut lines = vec![Line::styled(text::fit(&process.command_line(), room), theme.accent)];
    let user = process.user.as_deref().unwrap_or("unknown user");
    let age = process_columns::age(process, app.now).unwrap_or_else(|| "of unknown age".to_owned());
    let about = format!("process {} of {user}, {}, running for {age}", process.pid, process.state);
    lines.extend(say(&about, Level::Info));
    for cause in reap::causes(process) {
        lines.extend(say(&format!("▲ stale, {}: {}", cause.cause, cause.evidence), Level::Warn));
    }
    let database = app.database();
    let locks = database.map_or_else(String::new, |database| process_columns::locks(database, process));
    lines.extend(say(&format!("locks held: {locks}"), Level::Info));
    if process.state == ProcessState::Traced {
        let text = "▲ Its debugger holds it: no signal but KILL reaches it until the debugger lets it go.";
        lines.extend(say(text, Level::Warn));
    }
    if app.look().is_some_and(|look| reap::is_split(&look.snapshot.databases, process)) {
        let text = "▲ Its log was deleted under it. Closed in good order, as after TERM, it can undo what others \
                    committed: copy the files first (Enter on its split-wal finding says how), then KILL it.";
        lines.extend(say(text, Level::Error));
    }
    lines.extend(say(&consequence(process, signal), Level::Warn));
    if signal.ends() && database.is_some_and(|database| database.is_own_ingestion(process)) {
        let text = "It is an ingestion of ours: what is committed stays, and the next run carries on.";
        lines.extend(say(text, Level::Info));
    }
    lines
}

/// Whom the console waits for, and how long it will.
pub fn waiting(app: &App, ending: &PendingStop, theme: &Theme, room: usize) -> Vec<Line<'static>> {
    let all =
        if ending.count() == 1 { "1 process".to_owned() } else { format!("{} processes", ending.count()) };
    let mut lines = sentence(&format!("{} was sent to {all}.", ending.signal), theme, Level::Info, room);
    let left = seconds(app.now, ending.until);
    let then = match ending.signal {
        StopSignal::Kill => "",
        _ => ", then KILL is asked about",
    };
    let text =
        format!("{} gone, {} still there: {left} s left{then}.", ending.gone.len(), ending.waiting.len());
    lines.extend(sentence(&text, theme, Level::Warn, room));
    lines.extend(named(&ending.waiting, room));
    lines
}

/// Who did not go, and what KILL costs.
pub fn kill(ending: &PendingStop, theme: &Theme, room: usize) -> Vec<Line<'static>> {
    let (gone, stays) = (ending.gone.len(), ending.stays.len());
    let text = format!("{gone} gone, {stays} still there after {}:", ending.signal);
    let mut lines = sentence(&text, theme, Level::Warn, room);
    lines.extend(named(&ending.stays, room));
    let cost = "▲ KILL ends at once, without a chance to tidy up. An open write transaction rolls back; what is \
                committed stays.";
    lines.extend(sentence(cost, theme, Level::Warn, room));
    lines
}

fn named(processes: &[StoppedProcess], room: usize) -> Vec<Line<'static>> {
    let mut lines: Vec<Line> =
        processes.iter().take(NAMED).map(|it| Line::raw(text::fit(&format!("  {it}"), room))).collect();
    if processes.len() > NAMED {
        lines.push(Line::raw(format!("  and {} more", processes.len() - NAMED)));
    }
    lines
}

// Whole seconds, the last one begun included.
fn seconds(now: Timestamp, until: Timestamp) -> u64 {
    let left = until.duration_since(now).as_millis().max(0);
    u64::try_from(left).unwrap_or(0).div_ceil(1000)
}

fn consequence(process: &Process, signal: StopSignal) -> String {
    let writes = process.holds.iter().any(|hold| {
        matches!(hold, LockHold::Write | LockHold::Reserved | LockHold::Pending | LockHold::Exclusive)
    });
    match (signal, writes) {
        (StopSignal::Cont, _) if process.state == ProcessState::Stopped => {
            "CONT lets it go on, so that it can finish and give its locks back: try this first.".to_owned()
        }
        (StopSignal::Cont, _) => "CONT lets a stopped process go on; this one is not stopped.".to_owned(),
        (StopSignal::Kill, true) => {
            "▲ KILL ends it at once. Its open write transaction rolls back; what it committed stays."
                .to_owned()
        }
        (StopSignal::Kill, false) => "▲ KILL ends it at once, without a chance to tidy up.".to_owned(),
        (_, true) => {
            "▲ Its open write transaction rolls back unless it finishes first; what it committed stays."
                .to_owned()
        }
        (_, false) => "It is asked to end; no write transaction of its is open.".to_owned(),
    }
}
