//! The errors and refusals.

use std::{io, path::PathBuf, time::Duration};

use super::{Lines, compare, examples};

mod databases;
mod hosts;
mod ingestions;
mod processes;
mod settings;

#[test]
fn errors_read_as_in_their_file() {
    let mut lines = Lines::default();
    settings::add(&mut lines);
    databases::add(&mut lines);
    databases::add_rescue(&mut lines);
    ingestions::add(&mut lines);
    processes::add(&mut lines);
    hosts::add(&mut lines);
    compare("errors.txt", &lines);
}

fn path() -> PathBuf {
    "/srv/notes.db".into()
}

fn text() -> String {
    "/srv/notes.db".to_owned()
}

fn cause() -> io::Error {
    io::ErrorKind::PermissionDenied.into()
}

const SECONDS: Duration = Duration::from_secs(5);
