//! What is wrong, from what was seen: pure functions from a look (and the one before) to findings.
//!
//! The clock is the look's own: durations were observed, so they are "at least". What a look could not see is
//! `None` there and makes no finding here.

mod activity;
mod availability;
pub mod checkpoint;
mod clients;
pub mod compliance;
mod content;
mod cycles;
pub mod doctor;
pub mod error_pages;
pub mod fix;
pub mod guard;
pub mod health;
mod ingestion;
mod integrity;
mod locks;
mod modes;
pub mod pages;
mod pairing;
mod place;
mod refusals;
pub mod safe;
pub mod schedule;
mod space;
mod stale;
pub mod suspicion;
pub mod wait;
mod wal;

#[cfg(test)]
pub(crate) mod fixture;

use std::{cmp::Reverse, fmt, path::Path, sync::LazyLock};

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::{
    config::{Config, profile::Profile},
    snapshot::{
        Database, Finding, FindingKind, LockHolder, Pidfile, Process, Remedy, RemedyAction, Severity,
        Snapshot, Suspicion, SuspicionKind,
    },
    text,
};

/// Every rule, in the order of [`FindingKind`].
pub static RULES: LazyLock<Vec<&'static dyn Rule>> = LazyLock::new(|| {
    let families = [
        integrity::RULES,
        pairing::RULES,
        content::RULES,
        cycles::RULES,
        locks::RULES,
        refusals::RULES,
        wal::RULES,
        space::RULES,
        place::RULES,
        modes::RULES,
        clients::RULES,
        ingestion::RULES,
        stale::RULES,
    ];
    let mut rules = families.concat();
    rules.sort_by_key(|rule| rule.kind());
    rules
});

/// The rule that finds `kind`. A test checks that there is one for each.
pub fn rule(kind: FindingKind) -> &'static dyn Rule {
    RULES[kind as usize]
}

/// One thing that can be wrong with a database.
///
/// The sentence of a finding begins with who, goes on with what was seen, with its figures, and after a colon
/// says what that costs: `71168 (bun) pins frame 812 for 3 d 20 h: 18,219 frames (75.1 MB) cannot be moved`.
pub trait Rule: Sync {
    fn facts(&self) -> RuleFacts;

    fn kind(&self) -> FindingKind {
        self.facts().kind
    }

    /// What it finds in one database.
    fn check(&self, look: &RuleInput<'_>) -> Vec<Finding>;
}

/// What a rule declares of its findings. The documents, `waltop explain` and the guard derive from it.
#[derive(Debug, Clone, Copy)]
pub struct RuleFacts {
    pub kind: FindingKind,
    pub severity: SeverityRange,
    /// Whether waltop opens no connection beside such a finding: a commit, a checkpoint or the close of a connection could
    /// lose what others committed, or destroy a file.
    pub forbids_connection: bool,
    /// What the console can do about such a finding, depending on what was seen.
    pub actions: &'static [RemedyAction],
}

impl RuleFacts {
    /// With the severities that are possible, the mildest first.
    const fn new(kind: FindingKind, severities: &'static [Severity]) -> Self {
        Self { kind, severity: SeverityRange::Of(severities), forbids_connection: false, actions: &[] }
    }

    /// With the severity that the profile sets for a pragma.
    const fn by_profile(kind: FindingKind) -> Self {
        Self { kind, severity: SeverityRange::Profile, forbids_connection: false, actions: &[] }
    }

    const fn forbids_connection(self) -> Self {
        Self { forbids_connection: true, ..self }
    }

    const fn with_actions(self, actions: &'static [RemedyAction]) -> Self {
        Self { actions, ..self }
    }
}

/// How severe the findings of a rule can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeverityRange {
    /// One of these, the mildest first.
    Of(&'static [Severity]),
    /// What the profile sets for the pragma.
    Profile,
}

impl SeverityRange {
    pub fn contains(self, severity: Severity) -> bool {
        match self {
            Self::Of(severities) => severities.contains(&severity),
            Self::Profile => true,
        }
    }
}

impl fmt::Display for SeverityRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(severities) => {
                let words: Vec<String> = severities.iter().map(ToString::to_string).collect();
                f.write_str(&words.join(" or "))
            }
            Self::Profile => f.write_str("as the profile says"),
        }
    }
}

/// What a rule may know.
#[derive(Debug, Clone, Copy)]
pub struct RuleInput<'a> {
    /// The database as it was seen now.
    pub database: &'a Database,
    /// The same database at the look before, where there was one.
    pub previous: Option<&'a Database>,
    /// What the database is held to.
    pub profile: &'a Profile,
    /// When a figure becomes a finding, and what is known of daemons.
    pub config: &'a Config,
    /// What the pidfiles of the daemon rules say. They belong to no database, so that only the look at the first one
    /// has them: each is told once.
    pub pidfiles: &'a [Pidfile],
    /// What they said at the look before.
    pub pidfiles_before: &'a [Pidfile],
    pub taken_at: Timestamp,
}

impl<'a> RuleInput<'a> {
    /// What samples have confirmed against `process`, if they have.
    fn confirms(&self, kind: SuspicionKind, process: &Process) -> Option<&'a Suspicion> {
        let database: &'a Database = self.database;
        database.confirmed(kind, process)
    }

    /// Whether samples have confirmed it of the files themselves.
    fn confirms_of_files(&self, kind: SuspicionKind) -> bool {
        kind.is_about_content() && self.confirms_unseen(kind)
    }

    /// Whether samples have confirmed it against a process that cannot be seen from here.
    fn confirms_unseen(&self, kind: SuspicionKind) -> bool {
        let mut suspicions = self.database.suspicions.iter();
        suspicions.any(|it| it.kind == kind && it.pid.is_none() && it.is_confirmed())
    }
}

/// Judges who is stale, and fills in the findings of every database, the worst first.
pub fn diagnose(snapshot: &mut Snapshot, previous: Option<&Snapshot>, config: &Config) {
    let taken_at = snapshot.taken_at;
    let before = |path: &Path| previous.and_then(|it| it.databases.iter().find(|it| it.path == path));
    for database in &mut snapshot.databases {
        database.suspicions = suspicion::suspicions(database, before(&database.path), taken_at);
    }
    stale::judge_processes(snapshot, config);
    availability::fill_in(snapshot, config);
    cycles::fill_in(snapshot, config);
    let pidfiles = [snapshot.pidfiles.as_slice()].into_iter().chain(std::iter::repeat(&[][..]));
    let pidfiles_before = previous.map_or(&[][..], |previous| &previous.pidfiles);
    for (database, pidfiles) in snapshot.databases.iter_mut().zip(pidfiles) {
        let profile = config.profile_of(&database.path);
        let previous = before(&database.path);
        let look = RuleInput { database, previous, profile, config, pidfiles, pidfiles_before, taken_at };
        let findings = findings(&look);
        database.space = space::ledger(database);
        database.findings = findings;
    }
}

pub use guard::hazard;
pub use space::{describe as describe_space, ledger as space_ledger};

fn findings(look: &RuleInput<'_>) -> Vec<Finding> {
    let findings = RULES.iter().flat_map(|rule| rule.check(look));
    let mut findings: Vec<Finding> =
        findings.map(|finding| activity::with_activity(finding, look.database)).collect();
    for finding in &mut findings {
        let subject = finding.pid.and_then(|pid| look.database.process(pid));
        finding.label = subject.map(|process| process.label.clone());
        if let Some(command) = finding.remedy.command.as_mut().filter(|it| needs_settings(it, look.config)) {
            command.push_str(&format!(" --config {}", quoted(&look.config.places.config)));
        }
    }
    findings.sort_by_key(|finding| Reverse(finding.severity));
    findings
}

// Whether a proposed command has to name the settings file, as the command that proposes it did.
fn needs_settings(command: &str, config: &Config) -> bool {
    config.is_named && command.starts_with("waltop ") && !command.starts_with("waltop explain ")
}

// Who it is, as a sentence begins: `71168 (bun)`.
fn who(database: &Database, pid: Option<i32>) -> String {
    let Some(pid) = pid else {
        return "a process not visible from here".to_owned();
    };
    match database.process(pid) {
        Some(process) => process.who(),
        None => pid.to_string(),
    }
}

// Whether `pid` is the one of `holder`; both may be a process that is not visible from here.
fn is_held_by(holder: Option<&LockHolder>, pid: Option<i32>) -> bool {
    holder.is_some_and(|holder| holder.pid == pid)
}

// The severity of a figure that has two steps.
fn step<T: PartialOrd>(value: &T, steps: &(T, T)) -> Option<Severity> {
    if value >= &steps.1 {
        Some(Severity::Error)
    } else if value >= &steps.0 {
        Some(Severity::Warning)
    } else {
        None
    }
}

fn evidence<const N: usize>(figures: [(&str, Value); N]) -> Map<String, Value> {
    figures.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

// What ends a process; a process that cannot be seen cannot be ended from here.
fn terminate(pid: Option<i32>) -> Remedy {
    signal("TERM", RemedyAction::StopProcess, pid)
}

fn resume(pid: i32) -> Remedy {
    signal("CONT", RemedyAction::ContinueProcess, Some(pid))
}

fn signal(name: &str, action: RemedyAction, pid: Option<i32>) -> Remedy {
    Remedy { action: pid.map(|_| action), command: pid.map(|pid| format!("kill -{name} {pid}")) }
}

// What to read first, where nothing short is right.
fn explain(finding: FindingKind) -> Remedy {
    Remedy { action: None, command: Some(format!("waltop explain {finding}")) }
}

// The copy of what `process` alone still has. The name of the copy is one that is easily changed.
fn rescue(database: &Database, process: &Process) -> Remedy {
    let (path, pid) = (quoted(&database.path), process.pid);
    let has_index = process.handles.is_some_and(|handles| handles.shm > 0)
        || process.replaced.iter().any(|path| path.ends_with("-shm"));
    // Without an index there is no lock to hold the writer off.
    let freeze = if has_index { "" } else { " --freeze" };
    let command = format!("waltop rescue {path} --pid {pid} --to rescued-{pid}.db{freeze}");
    Remedy { action: None, command: Some(command) }
}

fn no_remedy() -> Remedy {
    Remedy { action: None, command: None }
}

// `path` as a shell takes it for one word.
fn quoted(path: &Path) -> String {
    text::shell_word(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::{fixture::*, *};

    #[test]
    fn a_healthy_database_has_no_findings() {
        let healthy = live();
        assert_eq!(findings_of(&healthy), []);
        assert!(hazard(&healthy).is_none());
    }

    #[test]
    fn the_worst_comes_first_and_the_hazard_is_found() {
        let mut database = live();
        database.processes[1].read_only = Some(true);
        database.processes[0].replaced = vec!["notes.db-wal".to_owned()];
        database.locks.writer = Some(held(WRITER, 3_000.0));
        database.findings = findings_after(Some(&database), &database);
        let kinds: Vec<_> = database.findings.iter().map(|finding| finding.kind).collect();
        assert_eq!(kinds, [FindingKind::SplitWal, FindingKind::LongWriteLock, FindingKind::ReadonlyTrap]);
        assert_eq!(hazard(&database).map(|finding| finding.pid), Some(Some(WRITER)));
    }

    #[test]
    fn a_proposed_command_names_the_settings_file_that_was_named() {
        let command = |is_named| {
            let mut config = config();
            config.is_named = is_named;
            config.places.config = "/etc/my waltop.toml".into();
            findings_with(&config, None, &rollback())[0].remedy.command.clone().expect("a command")
        };
        assert_eq!(command(false), "waltop fix /srv/notes.db");
        assert_eq!(command(true), "waltop fix /srv/notes.db --config '/etc/my waltop.toml'");
    }

    #[test]
    fn every_kind_of_finding_has_one_rule() {
        let kinds: Vec<FindingKind> = RULES.iter().map(|rule| rule.kind()).collect();
        assert_eq!(kinds, FindingKind::ALL);
    }

    #[test]
    fn each_database_is_compared_with_itself_in_the_sample_before() {
        let mut lost = live();
        lost.processes[1].holds_index = false;
        let mut other = lost.clone();
        other.path = "/srv/other.db".into();
        let later = |databases| Snapshot { taken_at: at(1), ..snapshot(databases) };
        let before = |database| {
            let mut before = snapshot(vec![database]);
            diagnose(&mut before, None, &config());
            before
        };
        let mut now = later(vec![lost.clone()]);
        diagnose(&mut now, Some(&before(other)), &config());
        assert_eq!(now.databases[0].findings, []);
        diagnose(&mut now, Some(&before(lost)), &config());
        assert_eq!(now.databases[0].findings.len(), 1);
    }
}
