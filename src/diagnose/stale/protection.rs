//! What keeps a process from being offered, whatever there is against it.

use super::Scene;
use crate::snapshot::{Looker, Process};

/// A program that does on purpose what would be a cause.
struct BuiltIn {
    // Its file name.
    program: &'static str,
    // A word that must be among its arguments.
    argument: &'static str,
    why: &'static str,
}

/// What is known without a rule of the user's.
const BUILT_IN: &[BuiltIn] = &[BuiltIn {
    program: "litestream",
    argument: "replicate",
    why: "it is a replicator (litestream), which pins the log on purpose",
}];

/// Our own commands that run for a while, and those that work for a console.
const OWN: &[&str] = &[
    "ingest",
    "watch",
    "demo",
    "status",
    "check",
    "checkpoint",
    "reap",
    "health",
    "fix",
    "runs",
    "search",
    "pragmas",
];
/// Our own command that plays somebody else's part, in the sandbox and in tests.
const ACTOR: &str = "actor";

/// Why `process` is left alone; `None` where nothing protects it.
pub fn protection(scene: &Scene<'_>, process: &Process) -> Option<String> {
    if process.pid == 1 {
        return Some("it is PID 1".to_owned());
    }
    scene
        .snapshot
        .looker
        .as_ref()
        .and_then(|looker| kinship(looker, process))
        .or_else(|| own_kind(process))
        .or_else(|| {
            let rule = scene.rule(process).filter(|rule| rule.protect)?;
            Some(format!("the rule {} protects it", rule.name))
        })
        .or_else(|| BUILT_IN.iter().find(|it| it.matches(process)).map(|it| it.why.to_owned()))
}

// Root may stop anybody, and is offered nobody else's process either.
fn kinship(looker: &Looker, process: &Process) -> Option<String> {
    if process.pid == looker.pid {
        return Some("it is this waltop".to_owned());
    }
    if looker.ancestors.contains(&process.pid) {
        return Some("this waltop runs under it".to_owned());
    }
    match process.uid {
        Some(uid) if uid == looker.uid => None,
        Some(uid) => {
            let user = process.user.clone().unwrap_or_else(|| uid.to_string());
            Some(format!("it belongs to another user ({user})"))
        }
        None => Some("its user is not known".to_owned()),
    }
}

fn own_kind(process: &Process) -> Option<String> {
    if !goes_by(process, "waltop") {
        return None;
    }
    let arguments = process.command.get(1..).unwrap_or_default();
    // Options of ours may stand in front of a command.
    if arguments.first().is_some_and(|it| it == ACTOR) {
        return None;
    }
    let command = arguments.iter().find(|argument| OWN.contains(&argument.as_str()));
    Some(format!("it is another waltop ({})", command.map_or("console", String::as_str)))
}

impl BuiltIn {
    fn matches(&self, process: &Process) -> bool {
        let arguments = process.command.get(1..).unwrap_or_default();
        goes_by(process, self.program) && arguments.iter().any(|argument| argument == self.argument)
    }
}

fn goes_by(process: &Process, program: &str) -> bool {
    let file_name = |path: &str| path.rsplit('/').next().is_some_and(|name| name == program);
    process.command.first().is_some_and(|path| file_name(path))
}
