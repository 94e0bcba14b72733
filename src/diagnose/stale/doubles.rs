//! Processes that run the same program beside each other, where no rule says how many there should be.

use std::{collections::BTreeMap, fmt, path::Path, time::Duration};

use super::twins::{DaemonFamily, are_siblings, started};
use crate::{
    snapshot::{
        Database, LockWait, Process, ProcessManager, is_shell_of_databases, is_started_by_manager,
        program_word,
    },
    text, units,
};

/// The parts of the names of options that tell the members of a pool apart.
const MEMBER_OPTIONS: &[&str] = &[
    "fd",
    "id",
    "index",
    "instance",
    "num",
    "partition",
    "queue",
    "queues",
    "rank",
    "shard",
    "slot",
    "worker",
];
/// Columns of an option in a sentence.
const COLUMNS: usize = 32;

/// A process, and later ones that run the same program.
#[derive(Debug)]
pub struct Doubles<'a> {
    pub relation: DoubleRelation,
    pub oldest: &'a Process,
    pub others: Vec<&'a Process>,
}

/// How the later processes differ from the oldest one.
#[derive(Debug, Clone, PartialEq)]
pub enum DoubleRelation {
    /// The oldest is still in a transaction, for so many ms. `is_waited_for`: the later one waits for its lock.
    EarlierRun { held_ms: f64, writes: bool, is_waited_for: bool },
    /// The same arguments in the same folder.
    SameCommand,
    /// The same arguments in another container.
    OtherContainer,
    /// The same program and arguments in another working directory.
    OtherFolder,
    /// The same arguments but for the values of options: those of the oldest, and of the other.
    OtherArguments([String; 2]),
}

impl DoubleRelation {
    /// Its name in the evidence.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::EarlierRun { .. } => "earlier-run",
            Self::SameCommand => "same-command",
            Self::OtherContainer => "other-container",
            Self::OtherFolder => "other-folder",
            Self::OtherArguments(_) => "other-arguments",
        }
    }
}

impl fmt::Display for Doubles<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (oldest, others) = (self.oldest.who(), named(&self.others));
        match &self.relation {
            DoubleRelation::EarlierRun { held_ms, writes, is_waited_for } => {
                let does = if *writes { "has held the write lock" } else { "has been in a read transaction" };
                let held = units::duration(*held_ms);
                let later = if *is_waited_for { "may be waiting for it" } else { "has started meanwhile" };
                write!(f, "{oldest} {does} for {held}, and a later run of its command, {others}, {later}")
            }
            DoubleRelation::SameCommand => {
                write!(f, "{oldest} {}: they may do the same work twice", same_command(&self.others))
            }
            DoubleRelation::OtherContainer => write!(
                f,
                "{oldest} runs the same command as {others} in another container: the old and the new version of a \
                 service may write at the same time"
            ),
            DoubleRelation::OtherFolder => write!(
                f,
                "{oldest} runs the same program with the same arguments as {others} in another folder: they may do the \
                 same work twice"
            ),
            DoubleRelation::OtherArguments([old, new]) => write!(
                f,
                "{oldest} and {others} run the same program with other arguments ({old}; {new}): they may do the same \
                 work twice"
            ),
        }
    }
}

/// What a process does that is the same as `twins` in command and folder.
pub fn same_command(twins: &[&Process]) -> String {
    format!("runs the same command in the same folder as {}", named(twins))
}

fn named(processes: &[&Process]) -> String {
    processes.iter().map(|process| process.who()).collect::<Vec<_>>().join(", ")
}

/// Finds doubles in one database.
pub struct DoubleFinder<'a, 'f> {
    pub database: &'a Database,
    pub family: &'f DaemonFamily<'f>,
    /// From how far apart in their starts on two processes of one parent are separate runs, and how long a transaction of
    /// the earlier one has lasted.
    pub apart: Duration,
}

/// What a process runs: the program, the script if it is an interpreter, and the arguments after it.
struct Invocation<'a> {
    process: &'a Process,
    arguments: &'a [String],
    directory: &'a str,
}

impl<'a> DoubleFinder<'a, '_> {
    /// Those that no rule knows, the ones with the oldest process first.
    pub fn find(&self) -> Vec<Doubles<'a>> {
        let mut programs: BTreeMap<(&str, String), Vec<Invocation<'a>>> = BTreeMap::new();
        for process in &self.database.processes {
            if self.family.rule(process).is_none()
                && let Some((program, invocation)) = invocation(process)
            {
                programs.entry(program).or_default().push(invocation);
            }
        }
        programs.into_values().flat_map(|runs| self.among(runs)).collect()
    }

    fn among(&self, mut runs: Vec<Invocation<'a>>) -> Vec<Doubles<'a>> {
        runs.sort_by_key(|run| started(run.process));
        let mut found: Vec<Doubles<'a>> = Vec::new();
        for (at, run) in runs.iter().enumerate() {
            let related =
                runs[..at].iter().find_map(|older| Some((older.process, self.relation(older, run)?)));
            let Some((oldest, relation)) = related else { continue };
            match found.iter_mut().find(|it| it.oldest.pid == oldest.pid && it.relation == relation) {
                Some(doubles) => doubles.others.push(run.process),
                None => found.push(Doubles { relation, oldest, others: vec![run.process] }),
            }
        }
        found
    }

    fn relation(&self, older: &Invocation<'_>, newer: &Invocation<'_>) -> Option<DoubleRelation> {
        let (old, new) = (older.process, newer.process);
        if self.family.are_kin(old, new) || is_typed_into(older) && is_typed_into(newer) {
            return None;
        }
        let is_of_one_parent = are_siblings(old, new);
        if is_of_one_parent && (is_managed(old) || runs_like_its_parent(old) || !self.are_apart(old, new)) {
            return None;
        }
        if older.arguments != newer.arguments {
            return other_values(older.arguments, newer.arguments).map(DoubleRelation::OtherArguments);
        }
        if container(old) != container(new) {
            return (!is_of_one_parent).then_some(DoubleRelation::OtherContainer);
        }
        if older.directory != newer.directory {
            return (!is_of_one_parent).then_some(DoubleRelation::OtherFolder);
        }
        let overlap = self.overlap(old, new, is_of_one_parent);
        overlap.or((!is_of_one_parent).then_some(DoubleRelation::SameCommand))
    }

    // Children of one parent may be a pool: there the later one has to wait for the earlier one.
    fn overlap(&self, old: &Process, new: &Process, needs_wait: bool) -> Option<DoubleRelation> {
        let locks = &self.database.locks;
        let least = self.apart.as_secs_f64() * 1e3;
        let is_old =
            |pid: Option<i32>, held: Option<f64>| held.filter(|ms| pid == Some(old.pid) && *ms >= least);
        let write = locks.writer.as_ref().and_then(|it| is_old(it.pid, it.held_ms));
        let read = || locks.readers.iter().find_map(|it| is_old(it.pid, it.held_ms));
        let is_waited_for =
            write.is_some() && matches!(locks.wait_of(new.pid), Some(LockWait::Certain | LockWait::Possible));
        let held_ms = write.or_else(read)?;
        (self.are_apart(old, new) && (is_waited_for || !needs_wait)).then_some(DoubleRelation::EarlierRun {
            held_ms,
            writes: write.is_some(),
            is_waited_for,
        })
    }

    // Start times are compared in time since the epoch; without them the processes may be of one pool.
    fn are_apart(&self, old: &Process, new: &Process) -> bool {
        old.started_at.zip(new.started_at).is_some_and(|(old, new)| {
            Duration::try_from(new.duration_since(old)).is_ok_and(|between| between >= self.apart)
        })
    }
}

fn invocation(process: &Process) -> Option<((&str, String), Invocation<'_>)> {
    let executable = &process.origin.executable.as_ref()?.path;
    let directory = process.origin.directory.as_deref()?;
    process.start_ticks?;
    if process.only_reads_files() || process.command.is_empty() {
        return None;
    }
    // Code of the command line has no name: the whole command is the program, in its folder.
    let (program, arguments) = match program_word(&process.name, &process.command) {
        Some(0) => (String::new(), &process.command[1..]),
        Some(at) => {
            let script = Path::new(directory).join(&process.command[at]);
            (script.to_string_lossy().into_owned(), &process.command[at + 1..])
        }
        None => (format!("{directory}\0{}", process.command.join("\0")), &[][..]),
    };
    Some(((executable, program), Invocation { process, arguments, directory }))
}

// Two of them are two people, or two windows of one.
fn is_typed_into(run: &Invocation<'_>) -> bool {
    let process = run.process;
    let is_shell = process.origin.executable.as_ref().is_some_and(|it| is_shell_of_databases(&it.path));
    let is_prompt = program_word(&process.name, &process.command).is_none();
    process.origin.has_terminal == Some(true) && (is_shell || is_prompt)
}

fn container(process: &Process) -> Option<&str> {
    match &process.origin.manager {
        Some(ProcessManager::Container(name)) => Some(name),
        _ => None,
    }
}

// Whether its parent is known to keep others running: it starts as many as it should.
fn is_managed(process: &Process) -> bool {
    let origin = &process.origin;
    is_started_by_manager(process.parent, origin.parent_command.as_deref(), origin.manager.as_ref())
}

// A pre-forking server and its workers have the same program and script.
fn runs_like_its_parent(process: &Process) -> bool {
    let Some(parent) = &process.origin.parent_command else { return false };
    let program = |command: &[String]| {
        program_word(&process.name, command).map(|at| (command[0].clone(), command[at].clone()))
    };
    let own = program(&process.command);
    own.is_some() && own == program(parent)
}

// The options whose values differ, where nothing else does.
fn other_values(old: &[String], new: &[String]) -> Option<[String; 2]> {
    if old.len() != new.len() {
        return None;
    }
    let mut differing = (0..old.len()).filter(|&at| old[at] != new[at]).peekable();
    let first = *differing.peek()?;
    let option = |at: usize| option_at(old, at).filter(|name| option_at(new, at) == Some(*name));
    let tells_apart = |name: &str| {
        let mut parts = name.trim_start_matches('-').split(['-', '_']);
        !parts.any(|part| MEMBER_OPTIONS.contains(&part.to_ascii_lowercase().as_str()))
    };
    if !differing.all(|at| option(at).is_some_and(tells_apart)) {
        return None;
    }
    let name = option(first)?;
    Some([old, new].map(|words| {
        let word = &words[first];
        let text = if word.starts_with('-') { word.clone() } else { format!("{name} {word}") };
        text::fit(&text, COLUMNS).trim().to_owned()
    }))
}

// The name of the option that the word at `at` gives a value: `--port 80`, `--port=80`.
fn option_at(words: &[String], at: usize) -> Option<&str> {
    if let Some((name, _)) = words[at].split_once('=').filter(|(name, _)| name.starts_with('-')) {
        return Some(name);
    }
    let before = words[..at].last().filter(|word| word.starts_with('-') && !word.contains('='))?;
    (!words[at].starts_with('-')).then_some(before)
}

#[cfg(test)]
mod tests;
