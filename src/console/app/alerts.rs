//! What an operator learns of findings without looking at them: the log, the bell, and the title of the terminal.

use log::Level;

use super::{
    App, RecordingNotice,
    findings::{FindingChange, ResolvedFinding, key},
};
use crate::{
    act::Effect,
    recording::RecorderState,
    sampler::Sample,
    snapshot::{Finding, ReachChange, Severity},
    text, units,
};

/// How often a finding that comes and goes is logged.
const MOST_LOGGED: u32 = 10;
/// Columns of a log line about a finding: its subject may be a path.
const LINE: usize = 300;
/// Columns of the title: terminals and their tabs show less.
const TITLE: usize = 120;

impl App {
    /// Follows the findings of `look`, and returns the log lines, and the bell if one of them is a new error. What the
    /// first sample of a database shows is on the screen already, so it rings no bell.
    #[must_use]
    pub(super) fn follow_findings(&mut self, look: &Sample) -> Vec<Effect> {
        let (mut effects, mut rings) = (Vec::new(), false);
        let is_one = look.snapshot.databases.len() == 1;
        for (index, (state, database)) in self.states.iter_mut().zip(&look.snapshot.databases).enumerate() {
            state.was_there |= database.files.db.is_some();
            let before = std::mem::replace(&mut state.reach, database.reach);
            if let Some(change) = database.reach.change_from(before) {
                let level =
                    if matches!(change, ReachChange::Gone { .. }) { Level::Warn } else { Level::Info };
                let line = format!("{} {change}", database.path.display());
                effects.push(Effect::Note(level, text::fit(&line, LINE)));
            }
            let changes = state.findings.follow(&database.findings, look.taken_at(index));
            let is_first = !std::mem::replace(&mut state.was_sampled, true);
            rings |= !is_first && changes.iter().any(rings_bell);
            let prefix = if is_one { String::new() } else { format!("{}: ", database.name()) };
            effects.extend(changes.iter().filter_map(|change| {
                let (level, line) = line(change)?;
                Some(Effect::Note(level, text::fit(&format!("{prefix}{line}"), LINE)))
            }));
        }
        effects.extend((rings && self.setup.bell).then_some(Effect::Bell));
        effects
    }

    /// Where the samples are recorded; `None` if they are not.
    pub fn recorder(&self) -> Option<&RecorderState> {
        self.newest.as_ref()?.recorder.as_ref()
    }

    /// Says when the recorder can no longer write, and when it can again.
    pub(super) fn note_recorder(&mut self, before: Option<&str>) -> Option<Effect> {
        let now = self.recorder()?.trouble.clone();
        let notice = match now {
            now if now.as_deref() == before => return None,
            Some(why) => RecordingNotice::Pauses { why },
            None => RecordingNotice::GoesOn,
        };
        Some(self.notify(notice))
    }

    /// The title of the terminal: the database and its worst finding. Of several databases, the one that is worst off;
    /// information makes no title.
    pub fn title(&self) -> String {
        let databases = self.newest.as_ref().map_or(&[][..], |look| &look.snapshot.databases);
        let shown = databases.get(self.current());
        if self.unwatched().is_some() || self.lost_link(self.current()).is_some() {
            let name = shown.map_or_else(String::new, |it| format!(" {}", it.name()));
            return text::fit(&format!("waltop{name}: not watched"), TITLE);
        }
        // The last of several equals wins, so the one on the screen comes last.
        let worst =
            databases.iter().rev().chain(shown).max_by_key(|it| it.worst().map(|worst| worst.severity));
        let finding = worst.and_then(|it| it.worst()).filter(|worst| worst.severity > Severity::Info);
        let database = if finding.is_some() { worst } else { shown };
        let name = database.map_or_else(String::new, |it| format!(" {}", it.name()));
        let finding = finding.map_or_else(String::new, |it| format!(": {} {}", it.severity, subject(it)));
        text::fit(&format!("waltop{name}{finding}"), TITLE)
    }
}

/// `pinned-wal 4826 (report)`: the kind, and whom or what it is about.
fn subject(finding: &Finding) -> String {
    match (finding.pid, key(finding).subject) {
        (None, Some(subject)) => format!("{} {subject}", finding.kind),
        _ => finding.title(),
    }
}

fn rings_bell(change: &FindingChange) -> bool {
    match change {
        FindingChange::Began { finding, is_new, .. } => *is_new && finding.severity == Severity::Error,
        FindingChange::Worsened { finding, .. } => finding.severity == Severity::Error,
        FindingChange::Ended(_) => false,
    }
}

/// `None` for one that comes and goes and was logged often enough.
fn line(change: &FindingChange) -> Option<(Level, String)> {
    match change {
        FindingChange::Began { finding, times, .. } => {
            let again = if *times == 0 { "" } else { " again" };
            let text = format!("{} began{again}", subject(finding));
            (*times < MOST_LOGGED).then(|| (level(finding.severity), text))
        }
        FindingChange::Worsened { finding, before } => {
            let text = format!("{} worsened from {before} to {}", subject(finding), finding.severity);
            Some((level(finding.severity), text))
        }
        FindingChange::Ended(ResolvedFinding { finding, held, times, .. }) => {
            let lasted = units::duration(units::milliseconds(*held));
            let last =
                if *times == MOST_LOGGED { "; it keeps coming back, and is no longer logged" } else { "" };
            let text = format!("{} ended after {lasted}{last}", subject(finding));
            (*times <= MOST_LOGGED).then_some((Level::Info, text))
        }
    }
}

pub(super) fn level(severity: Severity) -> Level {
    match severity {
        Severity::Error => Level::Error,
        Severity::Warning => Level::Warn,
        Severity::Info => Level::Info,
    }
}
