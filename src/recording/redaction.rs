//! What a reader of a recording replaces in the names and messages that come from command lines.

use super::line::RecordedProcess;
use crate::{snapshot::Finding, text};

/// Whether what looks like a secret is replaced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Redaction {
    #[default]
    On,
    Off,
}

impl Redaction {
    pub(super) fn process(self, process: &RecordedProcess) -> RecordedProcess {
        RecordedProcess { pid: process.pid, start: process.start, name: self.text(&process.name) }
    }

    pub(super) fn finding(self, finding: &Finding) -> Finding {
        Finding { message: self.text(&finding.message), ..finding.clone() }
    }

    fn text(self, text: &str) -> String {
        match self {
            Self::On => text::redacted(text).into_owned(),
            Self::Off => text.to_owned(),
        }
    }
}
