//! The report as text: a row for each subject, with its limits below it.

use std::fmt;

use super::{DoctorCheck, DoctorReport, DoctorState, DoctorSubject};
use crate::text;

/// Columns of the report.
const WIDTH: usize = 79;
/// Columns of the state, and of the subject.
const STATE: usize = 9;
const SUBJECT: usize = 14;

impl fmt::Display for DoctorState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Open => "ok",
            Self::Note => "note",
            Self::Limited => "limited",
            Self::Unknown => "unknown",
        })
    }
}

impl fmt::Display for DoctorSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::User => "user",
            Self::Processes => "processes",
            Self::LockTable => "lock table",
            Self::Namespaces => "namespaces",
            Self::SystemCalls => "system calls",
            Self::Trace => "trace",
            Self::Inotify => "inotify",
            Self::Database => "database",
            Self::Settings => "settings",
            Self::StateFolder => "state folder",
            Self::Terminal => "terminal",
        })
    }
}

impl fmt::Display for DoctorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            write!(f, "{check}")?;
        }
        let limited = self.checks.iter().filter(|it| it.state >= DoctorState::Limited).count();
        match (self.verdict, limited) {
            (DoctorState::Unknown, _) => f.write_str("waltop could not find out everything."),
            (DoctorState::Limited, 1) => f.write_str("One limit: facts are missing, as the row says."),
            (DoctorState::Limited, count) => {
                write!(f, "{count} rows are limited: facts are missing, as they say.")
            }
            _ => f.write_str("waltop sees everything that it can show."),
        }
    }
}

impl fmt::Display for DoctorCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = format!("{:STATE$}{:SUBJECT$}", self.state, self.subject);
        hanging(f, &head, &self.here)?;
        for limit in &self.limits {
            below(f, "costs", &limit.costs)?;
            if let Some(advice) = &limit.advice {
                below(f, "to open", advice)?;
            }
            if let Some(command) = &limit.command {
                // In one line, so that it can be copied.
                writeln!(f, "{:indent$}command  {command}", "", indent = STATE + SUBJECT)?;
            }
        }
        Ok(())
    }
}

fn below(f: &mut fmt::Formatter<'_>, name: &str, words: &str) -> fmt::Result {
    hanging(f, &format!("{:indent$}{name:9}", "", indent = STATE + SUBJECT), words)
}

/// `words` behind `head`, in lines that begin below the first one.
fn hanging(f: &mut fmt::Formatter<'_>, head: &str, words: &str) -> fmt::Result {
    let indent = head.chars().count();
    for (index, line) in text::wrap(words, WIDTH - indent).iter().enumerate() {
        let head = if index == 0 { head } else { "" };
        writeln!(f, "{head:indent$}{line}")?;
    }
    Ok(())
}
