//! Lines and JSON on stdout, and questions on stderr before a change.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

use anyhow::bail;

use crate::{json, snapshot::Versioned, text};

/// Writes a line to stdout. A closed pipe is no error.
pub fn print_line(line: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout().lock(), "{line}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Writes `answer`, an object, to stdout as JSON with the version of the contract.
pub fn print_json(answer: &impl serde::Serialize) -> anyhow::Result<()> {
    print_line(&json::pretty(&Versioned::new(answer))?)
}

/// Whether waltop may run `sql` on `path`: with `yes`, or if the user at the terminal agrees.
///
/// # Errors
///
/// There is no terminal to ask on, or it is gone.
pub fn confirmed(path: &Path, sql: &[String], yes: bool) -> anyhow::Result<bool> {
    if yes {
        return Ok(true);
    }
    if !io::stdin().is_terminal() {
        bail!("nothing was changed: there is no terminal to ask on; give --yes, or --dry-run to see the SQL");
    }
    answer(&format!("{}: run {}?", text::clean(&path.display().to_string()), sql.join("; ")))
}

/// Whether the user answers `question` on stderr with yes.
///
/// # Errors
///
/// The terminal is gone.
pub fn answer(question: &str) -> anyhow::Result<bool> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question} [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}
