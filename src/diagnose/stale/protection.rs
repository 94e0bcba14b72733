//! What protects a process from being offered, whatever its causes.

use super::{ProcessVerdict, StaleInput};
use crate::snapshot::{Process, SamplingProcess, StaleProtection};

/// A program that pins the log on purpose.
struct KnownReplicator {
    // Its file name.
    program: &'static str,
    // A word that must be among its arguments.
    argument: &'static str,
}

/// Replicators that need no rule by the user.
const REPLICATORS: &[KnownReplicator] = &[KnownReplicator { program: "litestream", argument: "replicate" }];

/// waltop's commands. A test compares them with the command line, which this module must not depend on.
const OWN: &[&str] = &[
    "ingest",
    "watch",
    "demo",
    "status",
    "discover",
    "check",
    "explain",
    "checkpoint",
    "stop",
    "reap",
    "health",
    "fix",
    "stats",
    "optimize",
    "runs",
    "search",
    "links",
    "read",
    "pragmas",
    "rescue",
    "safe",
    "wait",
    "record",
    "metrics",
    "stream",
    "mcp",
    "who",
    "replay",
    "report",
    "export",
    "doctor",
    "completions",
    "man",
];
/// waltop's command that plays the part of another program, in the sandbox and in tests.
const ACTOR: &str = "actor";

/// Why `process` is protected; `None` if it is not. The user's rules come before built-in knowledge: the user may stop
/// an ingestion that they select, unless a rule forbids it.
pub fn protection(scene: &StaleInput<'_>, subject: &ProcessVerdict<'_>) -> Option<StaleProtection> {
    let (_, process) = subject.rows.first()?;
    if process.pid == 1 {
        return Some(StaleProtection::First);
    }
    if let Some(files) = only_copy(subject) {
        return Some(StaleProtection::OnlyCopy { files });
    }
    scene
        .snapshot
        .looker
        .as_ref()
        .and_then(|looker| kinship(looker, process))
        .or_else(|| {
            let rule = scene.rule(process).filter(|rule| rule.protect)?;
            Some(StaleProtection::Rule { rule: rule.name.clone() })
        })
        .or_else(|| own_kind(process))
        .or_else(|| {
            let known = REPLICATORS.iter().find(|it| it.matches(process))?;
            Some(StaleProtection::Replicator { program: known.program.to_owned() })
        })
}

// The files, of any of its databases, whose data is lost when the process exits.
fn only_copy(subject: &ProcessVerdict<'_>) -> Option<Vec<String>> {
    let files: Vec<String> = subject.rows.iter().flat_map(|(_, process)| &process.deleted).cloned().collect();
    (!files.is_empty()).then_some(files)
}

// Root may stop any process, but is not offered those of other users.
fn kinship(looker: &SamplingProcess, process: &Process) -> Option<StaleProtection> {
    if process.pid == looker.pid {
        return Some(StaleProtection::Looker);
    }
    if looker.ancestors.contains(&process.pid) {
        return Some(StaleProtection::Ancestor);
    }
    match process.uid {
        Some(uid) if uid == looker.uid => None,
        Some(uid) => {
            let user = process.user.clone().unwrap_or_else(|| uid.to_string());
            Some(StaleProtection::AnotherUser { user })
        }
        None => Some(StaleProtection::UnknownUser),
    }
}

fn own_kind(process: &Process) -> Option<StaleProtection> {
    if !is_named(process, "waltop") {
        return None;
    }
    let arguments = process.command.get(1..).unwrap_or_default();
    // waltop's options may precede a command.
    if arguments.first().is_some_and(|it| it == ACTOR) {
        return None;
    }
    let command = arguments.iter().find(|argument| OWN.contains(&argument.as_str()));
    Some(StaleProtection::OwnKind { command: command.map_or("console", String::as_str).to_owned() })
}

impl KnownReplicator {
    fn matches(&self, process: &Process) -> bool {
        let arguments = process.command.get(1..).unwrap_or_default();
        is_named(process, self.program) && arguments.iter().any(|argument| argument == self.argument)
    }
}

fn is_named(process: &Process, program: &str) -> bool {
    let file_name = |path: &str| path.rsplit('/').next().is_some_and(|name| name == program);
    process.command.first().is_some_and(|path| file_name(path))
        || process.origin.executable.as_ref().is_some_and(|it| file_name(&it.path))
}

#[cfg(test)]
mod tests {
    use regex::Regex;

    use crate::{
        config::{Config, DaemonRule},
        diagnose::{
            diagnose,
            fixture::{config, live, snapshot},
        },
        snapshot::{Executable, ExecutableState, FindingKind, Process, StaleProtection},
    };

    // What protects a process of which the program was replaced, with what else is said of it.
    fn protected(adapt: impl FnOnce(&mut Process), config: &Config) -> Option<StaleProtection> {
        let mut database = live();
        database.processes.truncate(1);
        let process = &mut database.processes[0];
        let path = "/usr/bin/bun".to_owned();
        process.origin.executable = Some(Executable { path, state: Some(ExecutableState::Replaced) });
        adapt(process);
        let mut now = snapshot(vec![database]);
        diagnose(&mut now, None, config);
        let database = &now.databases[0];
        let stale = database.processes[0].stale.clone().expect("it was judged");
        assert_eq!(stale.causes.len(), 1, "the cause is told all the same");
        assert_eq!(stale.is_stale, stale.protected.is_none());
        let is_told = database.findings.iter().any(|finding| finding.kind == FindingKind::StaleDaemon);
        assert_eq!(is_told, stale.is_stale);
        stale.protected
    }

    fn command(words: &[&str]) -> Option<StaleProtection> {
        protected(|it| it.command = words.iter().map(|&word| word.to_owned()).collect(), &config())
    }

    #[test]
    fn an_ordinary_process_is_not_protected() {
        assert_eq!(protected(|_| {}, &config()), None);
    }

    #[test]
    fn nor_is_waltop_a_danger_to_itself_and_what_it_runs_under() {
        assert_eq!(protected(|it| it.pid = 1, &config()), Some(StaleProtection::First));
        assert_eq!(protected(|it| it.pid = 70_000, &config()), Some(StaleProtection::Looker));
        assert_eq!(protected(|it| it.pid = 69_999, &config()), Some(StaleProtection::Ancestor));
    }

    #[test]
    fn the_holder_of_deleted_data_is_never_offered() {
        let holder = protected(|it| it.deleted = vec!["/srv/notes.db".to_owned()], &config());
        let files = vec!["/srv/notes.db".to_owned()];
        assert_eq!(holder, Some(StaleProtection::OnlyCopy { files }));
    }

    #[test]
    fn another_users_process_is_never_offered() {
        let theirs = protected(|it| it.uid = Some(33), &config());
        assert_eq!(theirs, Some(StaleProtection::AnotherUser { user: "me".to_owned() }));
        let unknown = protected(|it| it.uid = None, &config());
        assert_eq!(unknown, Some(StaleProtection::UnknownUser));
    }

    #[test]
    fn a_rule_protects_where_it_is_the_first_that_matches() {
        let rule = |name: &str, protect: bool| DaemonRule {
            name: name.to_owned(),
            pattern: Regex::new("bun").expect("a pattern"),
            singleton: false,
            max_age: None,
            pidfile: None,
            protect,
        };
        let ruled = |daemons| protected(|_| {}, &Config { daemons, ..config() });
        let by_rule = Some(StaleProtection::Rule { rule: "dear".to_owned() });
        assert_eq!(ruled(vec![rule("dear", true)]), by_rule);
        assert_eq!(ruled(vec![rule("cheap", false), rule("dear", true)]), None);
        let waltop = |it: &mut Process| it.command = ["waltop", "ingest", "bun"].map(str::to_owned).to_vec();
        let ours = protected(waltop, &Config { daemons: vec![rule("dear", true)], ..config() });
        assert_eq!(ours, by_rule, "though it is of our own kind");
    }

    #[test]
    fn a_replicator_is_known_by_its_program_and_what_it_does() {
        for words in [
            &["litestream", "replicate"][..],
            &["/usr/bin/litestream", "-config", "/etc/litestream.yml", "replicate", "-exec", "app"],
        ] {
            let program = "litestream".to_owned();
            assert_eq!(command(words), Some(StaleProtection::Replicator { program }), "{words:?}");
        }
        for words in [&["litestream", "databases"][..], &["bun", "litestream", "replicate"], &["replicate"]] {
            assert_eq!(command(words), None, "{words:?}");
        }
        let renamed = |it: &mut Process| {
            it.command = vec!["backup".to_owned(), "replicate".to_owned()];
            if let Some(executable) = &mut it.origin.executable {
                "/opt/litestream".clone_into(&mut executable.path);
            }
        };
        assert!(protected(renamed, &config()).is_some(), "by its file, whatever it calls itself");
    }

    #[test]
    fn our_own_kind_is_named_and_its_actor_is_none_of_it() {
        for (words, kind) in [
            (&["waltop", "watch", "/srv/notes"][..], "watch"),
            (&["/usr/bin/waltop", "--readonly", "ingest", "/srv/notes"], "ingest"),
            (&["waltop"], "console"),
            (&["waltop", "/srv/notes.db"], "console"),
        ] {
            assert_eq!(command(words), Some(StaleProtection::OwnKind { command: kind.to_owned() }));
        }
        assert_eq!(command(&["waltop", "actor", "/srv/notes.db"]), None);
        assert_eq!(command(&["vim", "waltop"]), None);
    }
}
