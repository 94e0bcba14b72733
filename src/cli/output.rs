//! Lines and JSON on stdout, and questions on stderr before a change.

use std::{
    io::{self, IsTerminal, Write},
    path::Path,
};

use anyhow::bail;
use jiff::Timestamp;

use crate::{json, snapshot::Versioned, text};

/// Writes a line to stdout. A closed pipe is no error.
pub fn print_line(line: &str) -> anyhow::Result<()> {
    match writeln!(io::stdout().lock(), "{line}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Writes the lines of `text` to stdout, each without characters that a terminal interprets.
pub fn print_lines(text: &str) -> anyhow::Result<()> {
    let lines: Vec<String> = text.lines().map(text::clean).collect();
    print_line(&lines.join("\n"))
}

/// Writes a line of a daemon to stderr, after the time. If stderr is closed, no one reads it.
pub fn notice(line: &str) {
    let _ = writeln!(io::stderr(), "{}", timed(line));
}

/// `line` after the time, without characters that a terminal interprets.
pub fn timed(line: &str) -> String {
    text::clean(&format!("{} {line}", Timestamp::now().strftime("%Y-%m-%d %H:%M:%SZ")))
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
