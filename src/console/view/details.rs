//! The details of one row, over the panels.

use ratatui::{Frame, layout::Rect};

use crate::{
    act::signal::SignalTarget,
    console::{
        app::{App, DetailsSubject, TextExtent},
        process_columns,
        widgets::theme::Theme,
    },
    diagnose,
    keymap::Action,
    snapshot::{
        Activity, Database, ExecutableState, FileFacts, Filesystem, Finding, FindingKind, HolderActivity,
        PathReach, Process, ProcessOrigin, SqliteLibrary, StaleVerdict,
    },
    units,
};

use super::labelled::{self, LabelledRows, gone_rows, known, row};

/// Idle times below this are only the gap since the last sample.
const IDLE_MS: f64 = 5000.0;

pub fn render(
    frame: &mut Frame,
    area: Rect,
    app: &App,
    theme: &Theme,
    subject: &DetailsSubject,
) -> TextExtent {
    let Some(database) = app.database() else { return TextExtent::default() };
    let rows = match subject {
        DetailsSubject::Finding(key) => return super::explain::render(frame, area, app, theme, key),
        DetailsSubject::Process(target) => process(app, database, *target),
        DetailsSubject::Files => files(app, database),
        DetailsSubject::Pragma(key) => super::pragma::rows(app, key),
        DetailsSubject::Ingestion(run) => return super::run::render(frame, area, app, theme, run),
    };
    let lines = labelled::lines(rows, usize::from(labelled::width(area)).saturating_sub(4), theme);
    labelled::show(frame, area, app, theme, lines)
}

fn yes(value: Option<bool>) -> String {
    known(value.map(|value| if value { "yes" } else { "no" }))
}

fn process(app: &App, database: &Database, target: SignalTarget) -> LabelledRows {
    let found = database.process(target.pid).filter(|it| it.start_ticks == Some(target.start_ticks));
    let Some(process) = found else { return gone_rows(&format!("Process {}", target.pid)) };
    // First what is wrong with it and what it does: on a small screen the rest is below the edge.
    let mut rows = vec![row("process", process.who())];
    rows.extend(about(database, process));
    rows.push(row("locks", process_columns::locks(database, process)));
    rows.extend(process.activity.iter().map(|activity| row("activity", activity.to_string())));
    rows.extend(stack(app, process, target));
    rows.extend(super::refused::rows(database, process.pid));
    rows.extend(facts(app, process));
    let fate = if process.moved_to.is_empty() { "deleted or replaced" } else { "moved, deleted or replaced" };
    for path in &process.replaced {
        rows.push(row("replaced", format!("it still has {path} open, which was {fate}")));
    }
    for place in &process.moved_to {
        rows.push(row("moved to", place.clone()));
    }
    rows.extend(process.temp_folder.iter().map(|folder| {
        let free = units::bytes(folder.free_bytes);
        row(
            "temp folder",
            format!("{}, {free} of {} free", folder.path.display(), units::bytes(folder.bytes)),
        )
    }));
    rows.extend(process.sqlite_libraries().map(|library| row("SQLite", sqlite(library))));
    rows.extend(origin(process));
    rows.extend(verdict(process));
    rows
}

fn facts(app: &App, process: &Process) -> LabelledRows {
    let handles = process.handles.map_or_else(
        || "unknown: its descriptors cannot be read".to_owned(),
        |handles| format!("{} on the database, {} on -wal, {} on -shm", handles.db, handles.wal, handles.shm),
    );
    let inner = process.inner_pid.map(|pid| row("PID inside", format!("{pid}, in its own PID namespace")));
    let mut rows = vec![row("name", &process.name)];
    rows.extend(inner);
    rows.extend([
        row("command", process.command_line()),
        row("user", known(process.user.clone())),
        row("parent", known(process.parent)),
        row(
            "started",
            format!(
                "{}, {} ago",
                known(process.started_at.map(|at| labelled::clock(app, at))),
                known(process_columns::age(process, app.now))
            ),
        ),
        row("state", process.state.to_string()),
        row("CPU", known(process.cpu_percent.map(|cpu| format!("{cpu:.1} %")))),
        row("memory", known(process.memory_bytes.map(units::bytes))),
        row("writes", known(process.write_rate.map(units::byte_rate))),
        row("descriptors", handles),
        row("read-only", yes(process.read_only)),
        row("maps file", yes(process.maps_database)),
        row("temp files", known(process.temp_files.map(|count| temporary(count, process.temp_bytes)))),
        row("byte 128", if process.holds_index { "held: it has the wal-index open" } else { "not held" }),
    ]);
    rows
}

// The stack of a Python process that was asked for, or the key that asks for it, where it would help.
fn stack(app: &App, process: &Process, target: SignalTarget) -> LabelledRows {
    const LABEL: &str = "Python stack";
    let Some(stack) = app.stack_of(target) else {
        let named = process.activity.as_ref().and_then(HolderActivity::named);
        let helps = named.is_some_and(|it| matches!(it.activity, Activity::Computing | Activity::Asleep));
        let key = app.key_of(Action::Stack);
        let offer =
            (helps && app.offers_stack(process)).then(|| row(LABEL, format!("{key} shows it (py-spy)")));
        return offer.into_iter().collect();
    };
    match &stack.lines {
        None => vec![row(LABEL, "py-spy reads it…")],
        Some(Err(why)) => vec![row(LABEL, format!("unknown: {why}"))],
        Some(Ok(lines)) => {
            let at = stack.at.to_zoned(app.setup.time_zone.clone()).strftime("%H:%M:%S");
            let again = format!("as of {at}; {} reads it again", app.key_of(Action::Stack));
            let lines = lines.iter().map(|line| row("", line.trim_end()));
            std::iter::once(row(LABEL, again)).chain(lines).collect()
        }
    }
}

fn sqlite(library: &SqliteLibrary) -> String {
    let replaced = if library.replaced { ", replaced since it was loaded" } else { "" };
    format!("{} in {}{replaced}; source {}", library.version, library.library, library.source_id)
}

fn temporary(count: u32, bytes: Option<u64>) -> String {
    let size = bytes.map(|bytes| format!(", {}", units::bytes(bytes))).unwrap_or_default();
    if count == 0 {
        "none on disk".to_owned()
    } else {
        format!("{count} on disk{size}, of whichever database")
    }
}

fn origin(process: &Process) -> LabelledRows {
    let ProcessOrigin { executable, directory, has_terminal, manager, lost_input, .. } = &process.origin;
    let program = executable.as_ref().map(|it| match it.state {
        Some(ExecutableState::Deleted) => format!("{}, deleted since it started", it.path),
        Some(ExecutableState::Replaced) => format!("{}, replaced since it started", it.path),
        Some(ExecutableState::Current) | None => it.path.clone(),
    });
    let mut rows = vec![
        row("program", known(program)),
        row("folder", known(directory.clone())),
        row("terminal", yes(*has_terminal)),
        row("run by", known(manager.as_ref())),
    ];
    rows.extend(lost_input.map(|lost| row("input", lost.to_string())));
    if let Some(idle_ms) = process.idleness.idle_ms.filter(|&idle_ms| idle_ms >= IDLE_MS) {
        rows.push(row("idle", format!("for {} at least", units::duration(idle_ms))));
    }
    rows
}

// The causes, each with its evidence, and what protects the process.
fn verdict(process: &Process) -> LabelledRows {
    let Some(StaleVerdict { is_stale, causes, protected, past_max_age }) = &process.stale else {
        return vec![row("stale", "not judged")];
    };
    let mut rows = vec![row("stale", if *is_stale { "yes" } else { "no" })];
    rows.extend(causes.iter().map(|cause| row(cause.name(), cause.to_string())));
    rows.extend(protected.iter().map(|reason| row("protected", reason.to_string())));
    rows.extend(past_max_age.iter().map(|past| row("max-age", past.to_string())));
    rows
}

// Omits what the verdict already shows.
fn about(database: &Database, process: &Process) -> LabelledRows {
    let is_new =
        |finding: &&Finding| finding.kind != FindingKind::StaleDaemon && finding.pid == Some(process.pid);
    let mine = database.findings.iter().filter(is_new);
    mine.map(|finding| row(finding.kind.as_str(), &finding.message)).collect()
}

fn files(app: &App, database: &Database) -> LabelledRows {
    let mut rows = vec![row("path", database.path.display().to_string())];
    if let PathReach::ThroughProcess { pid, has_ended, ended_at } = database.reach {
        let at = ended_at.map(|at| format!(" at {}", labelled::clock(app, at))).unwrap_or_default();
        let ended = if has_ended { format!(", which has ended{at}") } else { String::new() };
        rows.push(row("reached", format!("through the files of process {pid}{ended}")));
    }
    let files = &database.files;
    for (label, file) in [("database", &files.db), ("-wal", &files.wal), ("-shm", &files.shm)] {
        rows.push(row(label, file.as_ref().map_or_else(|| "none".to_owned(), one_file)));
    }
    rows.extend(database.filesystem.as_ref().map(|it| row("file system", filesystem(it))));
    rows.extend(diagnose::describe_space(database).into_iter().map(|part| row("space", part)));
    if let Some(header) = &database.header {
        rows.push(row("header", "as of the last checkpoint:"));
        rows.push(row("journal mode", header.journal_mode.to_string()));
        rows.push(row("page size", super::files::page_size(header.page_size)));
        rows.push(row("pages", units::count(header.page_count.into())));
        rows.push(row("user_version", header.user_version.to_string()));
        rows.push(row("application_id", header.application_id.to_string()));
        let writer = header.written_by.as_ref().map(|version| format!("last written by SQLite {version}"));
        rows.extend(writer.map(|writer| row("page 1", writer)));
    }
    if let Some(wal) = &database.wal {
        let count = |value: Option<u32>| known(value.map(|value| units::count(value.into())));
        rows.push(row("frames", count(wal.frames)));
        rows.push(row("moved", count(wal.backfilled)));
        rows.push(row("waiting", count(wal.pending)));
        rows.push(row("room for", format!("{} frames", count(wal.slots))));
        rows.push(row("sequence", known(wal.checkpoint_sequence)));
    }
    rows.extend(database.locks_beside.iter().map(|lock| row("beside", lock.to_string())));
    rows.extend(database.commits.as_ref().map(|commits| row("commits", commits.to_string())));
    if let Some(look) = app.sample() {
        let sampling = look.snapshot.sampling;
        rows.extend(look.snapshot.trace.map(|trace| row("trace", trace.to_string())));
        rows.push(row("sampling", sampling.map_or_else(|| "off".to_owned(), |it| it.to_string())));
    }
    rows
}

fn filesystem(filesystem: &Filesystem) -> String {
    let Filesystem { kind, mounted_at, read_only, bytes, free_bytes, .. } = filesystem;
    let read_only = if *read_only == Some(true) { " read-only" } else { "" };
    let space = bytes.zip(*free_bytes).map_or_else(String::new, |(bytes, free)| {
        format!(", {} of {} free", units::bytes(free), units::bytes(bytes))
    });
    format!("{kind}, mounted{read_only} at {}{space}", mounted_at.display())
}

fn one_file(file: &FileFacts) -> String {
    format!(
        "{}, inode {} on {}, owner {}, mode {:o}",
        units::bytes(file.bytes),
        file.inode,
        file.device,
        file.uid,
        file.mode
    )
}
