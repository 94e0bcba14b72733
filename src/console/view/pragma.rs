//! The details of one pragma's values, then the other pragmas.

use crate::{
    config::profile::Profile,
    console::app::App,
    snapshot::{PragmaRow, PragmaSource},
    units,
};

use super::labelled::{LabelledRows, gone_rows, known, row};

pub fn rows(app: &App, name: &str) -> LabelledRows {
    let lines = app.pragma_lines();
    let mut rows = Vec::new();
    for pragma in lines.iter().filter(|line| line.name == name).flat_map(|line| &line.rows) {
        rows.extend(one(app, pragma));
        rows.push(row("", ""));
    }
    if rows.is_empty() {
        rows.extend(gone_rows("This value"));
        rows.push(row("", ""));
    }
    rows.push(row("profile", app.profile().map_or_else(String::new, about_profile)));
    let others = lines.iter().filter(|line| line.name != name).flat_map(|line| &line.rows);
    rows.extend(others.map(|pragma| row(&pragma.name, line(pragma))));
    rows
}

fn one(app: &App, pragma: &PragmaRow) -> LabelledRows {
    let verdict = match pragma.ok {
        Some(true) => "✔ as expected",
        Some(false) => "▲ not as expected",
        None if pragma.expected.is_none() => "· the profile does not mind",
        None => "· unknown",
    };
    let mut rows = vec![
        row("pragma", &pragma.name),
        row("actual", known(pragma.actual.clone())),
        row("expected", pragma.expected.clone().unwrap_or_else(|| "anything".to_owned())),
        row("verdict", verdict),
        row("whose", source_label(pragma)),
    ];
    rows.extend(pragma.note.iter().map(|note| row("note", note)));
    if pragma.source == PragmaSource::Observed {
        rows.extend(certainty(&pragma.name).map(|text| row("how sure", text)));
    }
    let expectation = app.profile().and_then(|it| it.expectation(&pragma.name));
    rows.extend(expectation.filter(|it| !it.why.is_empty()).map(|it| row("why", &it.why)));
    rows
}

fn source_label(pragma: &PragmaRow) -> String {
    match (pragma.source, pragma.pid) {
        (PragmaSource::File, _) => "the file's: stored in the file, so every client gets it".to_owned(),
        (PragmaSource::Connection, _) => "our client's: what waltop's own connection answered".to_owned(),
        (PragmaSource::NewClient, _) => {
            "a new client's: what a program gets that sets nothing, as SQLite documents it".to_owned()
        }
        (PragmaSource::Observed, Some(pid)) => {
            format!("process {pid}'s, seen from outside; its other settings cannot be seen")
        }
        (PragmaSource::Observed, None) => {
            "other processes', seen from outside; their other settings cannot be seen".to_owned()
        }
    }
}

// What an observation from outside shows, and what it does not.
fn certainty(pragma: &str) -> Option<&'static str> {
    Some(match pragma {
        "mmap_size" => {
            "The kernel lists the mapping, so that mmap_size is above 0, by how much it does not say. A process that \
             maps nothing may have set it and read nothing yet."
        }
        "read_only" => {
            "The kernel tells how each descriptor was opened; it is so of every one that the process has on the main \
             file. It can neither recover the log nor checkpoint it."
        }
        "temp_store" => {
            "Only SQLite names its temporary files so, and with temp_store MEMORY it makes none. Which connection of the \
             process made it, and of which database, does not show. Where there is none, what is small may be in memory \
             either way, and a file without a name may be anybody's."
        }
        "locking_mode" => {
            "The process has the whole main file locked. In WAL mode that is kept only with locking_mode EXCLUSIVE, or \
             with the VFS unix-excl, and taken for a moment by the last to leave. Meanwhile nobody else can so much as read."
        }
        _ => return None,
    })
}

fn line(pragma: &PragmaRow) -> String {
    let mut value = format!("{} ({})", known(pragma.actual.clone()), pragma.source_label());
    if let Some(expected) = pragma.expected.as_ref().filter(|_| pragma.ok != Some(true)) {
        value.push_str(&format!(", {expected} expected"));
    }
    if let Some(note) = &pragma.note {
        value.push_str(&format!(": {note}"));
    }
    value
}

fn about_profile(profile: &Profile) -> String {
    let Profile { name, about, checkpoint, .. } = profile;
    let schedule = checkpoint.map(|it| {
        format!("Asks for a {} checkpoint every {}.", it.mode, units::duration(units::milliseconds(it.every)))
    });
    let sentences: Vec<&str> = [about.as_str()].into_iter().chain(schedule.as_deref()).collect();
    format!("{name}: {}", sentences.join(" "))
}
