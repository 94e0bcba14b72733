//! What `waltop doctor` says of each subject and limit.

use super::{DoctorLimit, DoctorSubject, LimitKind, SMALLEST_TERMINAL, missing_capabilities};
use crate::{
    snapshot::{DatabasePlace, MachineFacts, ProcessSight, SYS_PTRACE, SystemCallAccess, TraceAccess},
    text, units,
};

/// What `subject` is here.
pub fn here(subject: DoctorSubject, facts: &MachineFacts, database: Option<&DatabasePlace>) -> String {
    match subject {
        DoctorSubject::User => user(facts),
        DoctorSubject::Processes => match &facts.processes {
            Some(sight) => processes(sight, facts),
            None => "/proc lists no processes".to_owned(),
        },
        DoctorSubject::LockTable => match &facts.lock_table_error {
            Some(error) => format!("/proc/locks: {error}"),
            None => "/proc/locks is readable".to_owned(),
        },
        DoctorSubject::Namespaces => namespaces(facts),
        DoctorSubject::SystemCalls => system_calls(facts),
        DoctorSubject::Trace => trace(facts),
        DoctorSubject::Inotify => inotify(facts),
        DoctorSubject::Database => database.map(place).unwrap_or_default(),
        DoctorSubject::Settings => settings(facts),
        DoctorSubject::StateFolder => match &facts.state.refused {
            Some(why) => why.clone(),
            None => format!("{} can be written", facts.state.path.display()),
        },
        DoctorSubject::Terminal => terminal(facts),
    }
}

fn user(facts: &MachineFacts) -> String {
    let who = if facts.uid == 0 { "root".to_owned() } else { format!("user {}", facts.uid) };
    let missing = missing_capabilities(facts);
    match (facts.capabilities, missing.is_empty()) {
        (None, _) => format!("{who}; the capabilities are unknown"),
        (Some(_), true) => format!("{who}, with CAP_SYS_PTRACE and CAP_DAC_READ_SEARCH"),
        (Some(_), false) => format!("{who}, without {}", missing.join(" and ")),
    }
}

fn processes(sight: &ProcessSight, facts: &MachineFacts) -> String {
    let mut parts = vec![format!("/proc lists {}", units::plural(sight.listed, "process"))];
    parts.push(match &facts.proc.hidepid {
        None => "hidepid is not set".to_owned(),
        Some(value) if value == "0" || value == "off" => "hidepid is off".to_owned(),
        Some(value) if sight.has_first && sight.nameless == 0 => {
            format!("hidepid={value}, which does not hide them from this user")
        }
        Some(value) => format!("hidepid={value}"),
    });
    if sight.nameless > 0 {
        parts.push(format!("{} of them hide their name", units::count(sight.nameless)));
    }
    if !sight.is_whole {
        parts.push("not all of them were read in time".to_owned());
    }
    if facts.proc.is_read_only {
        parts.push("it is read-only, and waltop writes nothing there".to_owned());
    } else if facts.is_sysctl_read_only {
        parts.push("/proc/sys is read-only".to_owned());
    }
    parts.join("; ")
}

fn namespaces(facts: &MachineFacts) -> String {
    let it = facts.namespaces;
    let kinds =
        [(it.has_own_pids, "PID"), (it.has_own_users, "user"), (it.has_own_mounts == Some(true), "mount")];
    let own: Vec<&str> = kinds.into_iter().filter(|(is_own, _)| *is_own).map(|(_, kind)| kind).collect();
    let own = match own.as_slice() {
        [] => "those of the host".to_owned(),
        [kind] => format!("another {kind} namespace than the host's"),
        kinds => format!("other namespaces than the host's: {}", kinds.join(", ")),
    };
    match it.has_own_mounts {
        Some(_) => own,
        None => format!("{own}; the mounts cannot be compared, since the first process hides its own"),
    }
}

fn system_calls(facts: &MachineFacts) -> String {
    let yama = match facts.yama {
        None => "the kernel has no Yama".to_owned(),
        Some(scope) => format!("Yama's ptrace_scope is {scope}"),
    };
    let tried = match facts.processes.as_ref().map(|it| it.system_calls).unwrap_or_default() {
        SystemCallAccess::Readable => "the system call of another process of this user is readable",
        SystemCallAccess::Denied => "the system call of another process of this user is hidden",
        SystemCallAccess::Unknown => "no other process of this user was there to try it on",
    };
    format!("{yama}; {tried}")
}

fn trace(facts: &MachineFacts) -> String {
    match &facts.trace {
        TraceAccess::Missing => "the kernel has no tracefs".to_owned(),
        TraceAccess::NotMounted => "tracefs is not mounted".to_owned(),
        TraceAccess::Closed { at, is_read_only: true } => format!("tracefs at {} is read-only", at.display()),
        TraceAccess::Closed { at, .. } => format!("tracefs at {} is closed to this user", at.display()),
        TraceAccess::WithoutEvents { at } => {
            format!("tracefs at {} has no events for lock requests", at.display())
        }
        TraceAccess::Usable { at } => format!("tracefs at {} has the events for lock requests", at.display()),
    }
}

fn inotify(facts: &MachineFacts) -> String {
    let it = facts.inotify;
    let (Some(instances), Some(watches)) = (it.max_instances, it.max_watches) else {
        return "the limits below /proc/sys cannot be read".to_owned();
    };
    format!(
        "{} of {} instances and {}{} of {} watches in use by this user",
        units::count(it.instances),
        units::count(instances),
        if it.is_cut { "at least " } else { "" },
        units::count(it.watches),
        units::count(watches)
    )
}

fn place(database: &DatabasePlace) -> String {
    let path = database.path.display();
    let Some(it) = &database.filesystem else { return format!("{path}: its file system is unknown") };
    let state = if it.read_only == Some(true) { ", read-only" } else { "" };
    format!("{path} is on {} (mounted at {}){state}", it.kind, it.mounted_at.display())
}

fn settings(facts: &MachineFacts) -> String {
    let it = &facts.settings;
    match &it.refused {
        Some(why) => why.clone(),
        None if it.is_there => format!("{} is valid", it.path.display()),
        None => format!("there is no {}: the defaults apply", it.path.display()),
    }
}

fn terminal(facts: &MachineFacts) -> String {
    let it = &facts.terminal;
    let Some((columns, rows)) = it.size else { return "standard output is no terminal".to_owned() };
    let term = it.term.as_deref().map_or("TERM is not set".to_owned(), |term| format!("TERM={term}"));
    let colours = if it.is_colourless { "without colours" } else { "with colours" };
    let characters = if it.is_ascii { "ASCII" } else { "UTF-8" };
    format!("{term}, {columns}×{rows}, {colours}, {characters}")
}

/// What a limit costs, and what opens it.
pub fn limit(kind: LimitKind, facts: &MachineFacts, database: Option<&DatabasePlace>) -> DoctorLimit {
    let (costs, advice, command) = words(kind, facts, database);
    DoctorLimit { kind, costs, advice: advice.map(str::to_owned), command }
}

type Words = (String, Option<&'static str>, Option<String>);

const AS_ROOT: &str = "run waltop as root";
const WITH_CAPABILITIES: &str =
    "run waltop as root, or with these two capabilities as the unit waltop-record.service does";
const GIVE_ROOT: &str = "give root its capabilities";

fn words(kind: LimitKind, facts: &MachineFacts, database: Option<&DatabasePlace>) -> Words {
    match kind {
        LimitKind::HiddenFiles => hidden_files(facts),
        LimitKind::HiddenProcesses => hidden_processes(facts),
        LimitKind::HiddenSystemCalls => system_call_words(facts),
        LimitKind::UnreadProcesses
        | LimitKind::NoLockTable
        | LimitKind::PidNamespace
        | LimitKind::UserNamespace
        | LimitKind::MountNamespace => process_words(kind),
        LimitKind::NoTrace
        | LimitKind::TraceNotMounted
        | LimitKind::TraceClosed
        | LimitKind::TraceReadOnly
        | LimitKind::TraceElsewhere => trace_words(kind, facts),
        LimitKind::UnreadInotify | LimitKind::FewInotifyInstances | LimitKind::FewInotifyWatches => {
            inotify_words(kind, facts)
        }
        LimitKind::NetworkFilesystem
        | LimitKind::SharedFilesystem
        | LimitKind::ProgramFilesystem
        | LimitKind::UnknownFilesystem
        | LimitKind::ReadOnlyFilesystem => place_words(kind, facts, database),
        LimitKind::BadSettings
        | LimitKind::NoStateFolder
        | LimitKind::SmallTerminal
        | LimitKind::NoColours
        | LimitKind::AsciiOnly => own_words(kind, facts),
    }
}

fn process_words(kind: LimitKind) -> Words {
    let (costs, advice, command) = match kind {
        LimitKind::UnreadProcesses => {
            ("which processes have a database open, and what they do", "run waltop again", None)
        }
        LimitKind::NoLockTable => (
            "of a lock that several processes hold, all holders but the first",
            "run waltop where /proc is mounted without subset=pid",
            None,
        ),
        LimitKind::PidNamespace => (
            "the processes outside: their locks show, without their PID, name and files",
            "run waltop on the host, or start the container with the namespace of the host",
            Some("docker run --pid=host …"),
        ),
        LimitKind::UserNamespace => (
            "the processes and files of users that are not mapped into it; root is not root outside",
            "run waltop on the host",
            None,
        ),
        _ => (
            "nothing of what is here; a path means what is mounted here, which may be another file than outside",
            "name databases by their paths in here",
            None,
        ),
    };
    (costs.to_owned(), Some(advice), command.map(str::to_owned))
}

fn trace_words(kind: LimitKind, facts: &MachineFacts) -> Words {
    const MOUNT: &str = "mount -t tracefs nodev /sys/kernel/tracing";
    let (advice, command) = match kind {
        LimitKind::NoTrace => (Some("use a kernel with CONFIG_FTRACE and the events of file locks"), None),
        LimitKind::TraceNotMounted if facts.uid == 0 => (None, Some(MOUNT.to_owned())),
        LimitKind::TraceNotMounted => (Some("mount it, and run waltop as root"), Some(as_root(MOUNT, facts))),
        LimitKind::TraceClosed if facts.uid != 0 => {
            (Some(AS_ROOT), Some("sudo waltop --trace on".to_owned()))
        }
        LimitKind::TraceClosed => (Some("the kernel is locked down, or root lacks a capability"), None),
        LimitKind::TraceReadOnly => {
            let at = match &facts.trace {
                TraceAccess::Closed { at, .. } => text::shell_word(&at.to_string_lossy()),
                _ => String::new(),
            };
            (None, Some(as_root(&format!("mount -o remount,rw {at}"), facts)))
        }
        _ => (Some("run waltop on the host: the trace is the host's"), None),
    };
    let costs = "refused writers, and holds shorter than the time between two samples of the locks";
    (costs.to_owned(), advice, command)
}

fn own_words(kind: LimitKind, facts: &MachineFacts) -> Words {
    let (columns, rows) = SMALLEST_TERMINAL;
    let of_console = format!("the console, which needs {columns}×{rows}");
    let (costs, advice, command) = match kind {
        LimitKind::BadSettings => {
            ("every command that reads the settings refuses to start", Some("correct the file"), None)
        }
        LimitKind::NoStateFolder => (
            "how long a lock has been held counts from each start again; no ingestion or recording can be stored",
            Some("name a folder of your own"),
            Some("export XDG_STATE_HOME=$(mktemp -d)"),
        ),
        LimitKind::SmallTerminal => (of_console.as_str(), Some("enlarge the window"), None),
        LimitKind::NoColours => {
            let is_dumb = facts.terminal.term.as_deref() == Some("dumb");
            let command = if is_dumb { "export TERM=xterm-256color" } else { "unset NO_COLOR" };
            ("no fact: each severity has a sign, too", None, Some(command))
        }
        _ => ("no fact: lines and signs are drawn in ASCII", None, Some("export LC_ALL=C.UTF-8")),
    };
    (costs.to_owned(), advice, command.map(str::to_owned))
}

fn hidden_files(facts: &MachineFacts) -> Words {
    let (closed, listed) = facts.processes.as_ref().map_or((0, 0), |it| (it.closed, it.listed));
    let costs = format!(
        "of {} of {} processes: which files they have open, which program they run, and what they wait for",
        units::count(closed),
        units::count(listed)
    );
    if facts.uid != 0 {
        return (costs, Some(WITH_CAPABILITIES), Some("sudo waltop".to_owned()));
    }
    let missing = missing_capabilities(facts);
    if missing.is_empty() {
        return (costs, Some("run waltop outside of this user namespace or security module"), None);
    }
    (costs, Some(GIVE_ROOT), Some(container_with(&missing)))
}

fn container_with(capabilities: &[&str]) -> String {
    let named: Vec<String> =
        capabilities.iter().map(|name| format!("--cap-add {}", name.trim_start_matches("CAP_"))).collect();
    format!("docker run {} …", named.join(" "))
}

/// Whether this is root in a container that may not see what the processes of other users do.
fn is_root_without_ptrace(facts: &MachineFacts) -> bool {
    facts.uid == 0 && facts.has_capability(SYS_PTRACE) == Some(false)
}

fn hidden_processes(facts: &MachineFacts) -> Words {
    let costs =
        "processes of other users: they show as locks of a process that is not visible from here".to_owned();
    if is_root_without_ptrace(facts) {
        return (costs, Some(GIVE_ROOT), Some(container_with(&["CAP_SYS_PTRACE"])));
    }
    let advice = if facts.uid == 0 {
        "mount /proc without hidepid"
    } else {
        "run waltop as root, or mount /proc without hidepid"
    };
    (costs, Some(advice), Some(as_root("mount -o remount,hidepid=0 /proc", facts)))
}

fn system_call_words(facts: &MachineFacts) -> Words {
    let costs =
        "what a process of your own user that holds a lock waits for: its system call, and the file or \
                 connection of it"
            .to_owned();
    match facts.yama {
        Some(3..) => (costs, Some("ptrace_scope 3 stays until the machine starts again"), None),
        _ if is_root_without_ptrace(facts) => {
            (costs, Some(GIVE_ROOT), Some(container_with(&["CAP_SYS_PTRACE"])))
        }
        _ if facts.uid == 0 => {
            (costs, Some("run waltop outside of the security module that hides them"), None)
        }
        Some(1 | 2) => {
            let advice = "run waltop as root, or let the processes of a user see each other";
            let command = as_root("sysctl kernel.yama.ptrace_scope=0", facts);
            (costs, Some(where_to_set(facts, advice)), Some(command))
        }
        _ => (costs, Some(AS_ROOT), Some("sudo waltop".to_owned())),
    }
}

fn inotify_words(kind: LimitKind, facts: &MachineFacts) -> Words {
    let costs =
        "changes of files as they happen: waltop watch reads its folders again after a while, and the end \
                 of a hold is sampled"
            .to_owned();
    let (name, max) = match kind {
        LimitKind::FewInotifyInstances => ("max_user_instances", facts.inotify.max_instances),
        LimitKind::FewInotifyWatches => ("max_user_watches", facts.inotify.max_watches),
        _ => {
            let costs = "no fact; whether inotify has room left is not known".to_owned();
            let is_cut = facts.inotify.is_cut && facts.inotify.max_watches.is_some();
            let advice = if is_cut { "run waltop again" } else { "run waltop where /proc/sys is readable" };
            return (costs, Some(advice), None);
        }
    };
    let more = max.unwrap_or_default().saturating_mul(4).max(128);
    let command = as_root(&format!("sysctl fs.inotify.{name}={more}"), facts);
    (costs, Some(where_to_set(facts, "allow more")), Some(command))
}

/// Settings of the kernel are files below `/proc/sys`.
fn where_to_set(facts: &MachineFacts, advice: &'static str) -> &'static str {
    if facts.is_sysctl_read_only { "on the host, since /proc/sys is read-only here" } else { advice }
}

fn place_words(kind: LimitKind, facts: &MachineFacts, database: Option<&DatabasePlace>) -> Words {
    const MOVE: Option<&str> = Some("move the database to a disk of this machine while no process uses it");
    let costs = match kind {
        LimitKind::NetworkFilesystem => {
            "locks and processes of other machines; two machines can corrupt the database"
        }
        LimitKind::SharedFilesystem => {
            "locks and processes of the host; it and this machine can corrupt the database together"
        }
        LimitKind::ProgramFilesystem => {
            "whether locks and shared memory work there depends on the program behind the file system"
        }
        LimitKind::UnknownFilesystem => {
            return (
                "whether locks and shared memory work where the database is".to_owned(),
                Some("check the path"),
                None,
            );
        }
        _ => {
            let at = database.and_then(|it| it.filesystem.as_ref()).map(|it| it.mounted_at.to_string_lossy());
            let at = text::shell_word(&at.unwrap_or_default());
            let costs =
                "commits of all programs here, and of waltop: checkpoint, fix, health, optimize and ingest";
            return (costs.to_owned(), None, Some(as_root(&format!("mount -o remount,rw {at}"), facts)));
        }
    };
    (costs.to_owned(), MOVE, None)
}

fn as_root(command: &str, facts: &MachineFacts) -> String {
    if facts.uid == 0 { command.to_owned() } else { format!("sudo {command}") }
}
