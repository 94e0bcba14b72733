use crate::snapshot::{
    Filesystem, InotifyUse, NamespaceFacts, ProcMount, ProcessSight, SettingsState, StateAccess,
    TerminalFacts,
};

use super::*;

/// A machine on which root sees everything.
pub(crate) fn open() -> MachineFacts {
    MachineFacts {
        uid: 0,
        capabilities: Some(0x1ff_ffff_ffff),
        proc: ProcMount::default(),
        is_sysctl_read_only: false,
        processes: Some(ProcessSight {
            listed: 80,
            has_first: true,
            system_calls: SystemCallAccess::Readable,
            is_whole: true,
            ..ProcessSight::default()
        }),
        lock_table_error: None,
        namespaces: NamespaceFacts { has_own_mounts: Some(false), ..NamespaceFacts::default() },
        yama: Some(1),
        trace: TraceAccess::Usable { at: "/sys/kernel/tracing".into() },
        inotify: InotifyUse {
            max_instances: Some(128),
            max_watches: Some(65_536),
            instances: 3,
            watches: 40,
            is_cut: false,
        },
        databases: vec![on("ext4", false)],
        settings: SettingsState {
            path: "/root/.config/waltop/config.toml".into(),
            is_there: false,
            refused: None,
        },
        state: StateAccess { path: "/root/.local/state/waltop".into(), refused: None },
        terminal: TerminalFacts {
            size: Some((120, 40)),
            term: Some("xterm-256color".to_owned()),
            is_colourless: false,
            is_ascii: false,
        },
    }
}

fn on(kind: &str, read_only: bool) -> DatabasePlace {
    let filesystem = Filesystem {
        kind: kind.to_owned(),
        mounted_at: "/srv".into(),
        read_only: Some(read_only),
        bytes: None,
        free_bytes: None,
        locks_match: None,
    };
    DatabasePlace { path: "/srv/notes.db".into(), filesystem: Some(filesystem) }
}

/// A machine with that limit, and no other one that it does not bring with it. Without `_`: a new kind needs an example.
pub(crate) fn facts_with(kind: LimitKind) -> MachineFacts {
    let mut facts = open();
    let at = || "/sys/kernel/tracing".into();
    let sight = facts.processes.as_mut().expect("there");
    match kind {
        LimitKind::HiddenFiles => {
            (facts.uid, facts.capabilities, sight.closed) = (1000, Some(0), 60);
        }
        LimitKind::UnreadProcesses => sight.is_whole = false,
        LimitKind::HiddenProcesses => {
            (sight.listed, sight.has_first) = (4, false);
            facts.proc.hidepid = Some("invisible".to_owned());
            (facts.uid, facts.capabilities) = (1000, Some(0));
        }
        LimitKind::NoLockTable => facts.lock_table_error = Some("No such file or directory".to_owned()),
        LimitKind::PidNamespace | LimitKind::TraceElsewhere => facts.namespaces.has_own_pids = true,
        LimitKind::UserNamespace => facts.namespaces.has_own_users = true,
        LimitKind::MountNamespace => facts.namespaces.has_own_mounts = Some(true),
        LimitKind::HiddenSystemCalls => {
            (facts.uid, facts.capabilities) = (1000, Some(0));
            sight.system_calls = SystemCallAccess::Denied;
        }
        LimitKind::NoTrace => facts.trace = TraceAccess::WithoutEvents { at: at() },
        LimitKind::TraceNotMounted => facts.trace = TraceAccess::NotMounted,
        LimitKind::TraceClosed => facts.trace = TraceAccess::Closed { at: at(), is_read_only: false },
        LimitKind::TraceReadOnly => facts.trace = TraceAccess::Closed { at: at(), is_read_only: true },
        LimitKind::UnreadInotify => facts.inotify = InotifyUse::default(),
        LimitKind::FewInotifyInstances => facts.inotify.instances = 128,
        LimitKind::FewInotifyWatches => facts.inotify.watches = 60_000,
        LimitKind::NetworkFilesystem => facts.databases = vec![on("nfs4", false)],
        LimitKind::SharedFilesystem => facts.databases = vec![on("virtiofs", false)],
        LimitKind::ProgramFilesystem => facts.databases = vec![on("fuse.sshfs", false)],
        LimitKind::UnknownFilesystem => facts.databases[0].filesystem = None,
        LimitKind::ReadOnlyFilesystem => facts.databases = vec![on("ext4", true)],
        LimitKind::BadSettings => {
            let why =
                "/root/.config/waltop/config.toml, line 1: unknown key `refesh`; did you mean `refresh`?";
            facts.settings =
                SettingsState { is_there: true, refused: Some(why.to_owned()), ..facts.settings };
        }
        LimitKind::NoStateFolder => facts.state.refused = Some("/root: Permission denied".to_owned()),
        LimitKind::SmallTerminal => facts.terminal.size = Some((50, 10)),
        LimitKind::NoColours => facts.terminal.is_colourless = true,
        LimitKind::AsciiOnly => facts.terminal.is_ascii = true,
    }
    facts
}

fn kinds(facts: &MachineFacts) -> Vec<LimitKind> {
    let checks = DoctorReport::new(facts).checks;
    checks.iter().flat_map(|check| check.limits.iter().map(|limit| limit.kind)).collect()
}

#[test]
fn a_machine_that_hides_nothing_has_no_limit() {
    let report = DoctorReport::new(&open());
    assert_eq!((report.verdict, report.exit()), (DoctorState::Open, 0));
    assert_eq!(kinds(&open()), []);
    assert_eq!(report.checks.len(), 11);
}

#[test]
fn each_limit_is_found_alone_and_decides_the_exit_code() {
    for &kind in LimitKind::ALL {
        let facts = facts_with(kind);
        let wanted = match kind {
            // The kernel's trace has the PIDs of the host.
            LimitKind::PidNamespace | LimitKind::TraceElsewhere => {
                vec![LimitKind::PidNamespace, LimitKind::TraceElsewhere]
            }
            _ => vec![kind],
        };
        assert_eq!(kinds(&facts), wanted);
        let report = DoctorReport::new(&facts);
        let (verdict, exit) = match kind.state() {
            DoctorState::Note | DoctorState::Open => (DoctorState::Open, 0),
            DoctorState::Limited => (DoctorState::Limited, 1),
            DoctorState::Unknown => (DoctorState::Unknown, 2),
        };
        assert_eq!((report.verdict, report.exit()), (verdict, exit), "{kind:?}");
    }
}

#[test]
fn a_user_namespace_cannot_mount_the_trace_of_the_host() {
    let mut facts = facts_with(LimitKind::UserNamespace);
    for trace in [TraceAccess::NotMounted, TraceAccess::Missing] {
        facts.trace = trace;
        assert_eq!(kinds(&facts), [LimitKind::UserNamespace, LimitKind::TraceElsewhere]);
    }
}

#[test]
fn what_was_tried_counts_and_yama_only_without_it() {
    let hidden = |yama, capabilities, system_calls| {
        let mut facts = open();
        (facts.yama, facts.capabilities) = (yama, Some(capabilities));
        facts.processes.as_mut().expect("there").system_calls = system_calls;
        kinds(&facts) == [LimitKind::HiddenSystemCalls]
    };
    let ptrace = 1 << SYS_PTRACE;
    for (yama, capabilities, expected) in [
        (None, 0, false),
        (Some(0), 0, false),
        (Some(1), 0, true),
        (Some(1), ptrace, false),
        (Some(2), 0, true),
        (Some(2), ptrace, false),
        (Some(3), ptrace, true),
    ] {
        assert_eq!(hidden(yama, capabilities, SystemCallAccess::Unknown), expected, "{yama:?}");
        assert!(!hidden(yama, capabilities, SystemCallAccess::Readable));
        assert!(hidden(yama, capabilities, SystemCallAccess::Denied));
    }
}

#[test]
fn hidepid_counts_where_it_hides_something() {
    let mut facts = open();
    facts.proc.hidepid = Some("invisible".to_owned());
    assert_eq!(kinds(&facts), [], "root sees all the same");
    facts.processes.as_mut().expect("there").nameless = 3;
    assert_eq!(kinds(&facts), [LimitKind::HiddenProcesses]);
}

#[test]
fn the_command_is_one_that_this_user_can_give_here() {
    let command = |facts: &MachineFacts| {
        let report = DoctorReport::new(facts);
        let mut limits = report.checks.into_iter().flat_map(|check| check.limits);
        let limit = limits.next().expect("a limit");
        (limit.advice.unwrap_or_default(), limit.command.unwrap_or_default())
    };
    let mut facts = facts_with(LimitKind::TraceNotMounted);
    assert!(command(&facts).1.starts_with("mount "));
    facts.uid = 1000;
    assert!(command(&facts).1.starts_with("sudo mount "));
    // A container mounts /proc/sys for reading only, and /proc not.
    let mut facts = facts_with(LimitKind::FewInotifyWatches);
    facts.proc.is_read_only = true;
    assert!(!command(&facts).0.contains("host"));
    assert_eq!(command(&facts).1, "sysctl fs.inotify.max_user_watches=262144");
    facts.uid = 1000;
    assert!(command(&facts).1.starts_with("sudo sysctl "));
    (facts.proc.is_read_only, facts.is_sysctl_read_only) = (false, true);
    assert!(command(&facts).0.contains("on the host"));
    // Root without capabilities, and root with all of them that a namespace or a module stops.
    let mut facts = facts_with(LimitKind::HiddenFiles);
    assert_eq!(command(&facts).1, "sudo waltop");
    facts.uid = 0;
    assert_eq!(command(&facts).1, "docker run --cap-add SYS_PTRACE --cap-add DAC_READ_SEARCH …");
    facts.capabilities = open().capabilities;
    assert_eq!(command(&facts).1, "");
    let with_ptrace = "docker run --cap-add SYS_PTRACE …";
    for (kind, of_user, of_root) in [
        (LimitKind::HiddenSystemCalls, "sudo sysctl kernel.yama.ptrace_scope=0", ""),
        (
            LimitKind::HiddenProcesses,
            "sudo mount -o remount,hidepid=0 /proc",
            "mount -o remount,hidepid=0 /proc",
        ),
    ] {
        let mut facts = facts_with(kind);
        assert_eq!(command(&facts).1, of_user);
        facts.uid = 0;
        assert_eq!(command(&facts).1, with_ptrace);
        facts.capabilities = open().capabilities;
        assert_eq!(command(&facts).1, of_root);
        assert!(!command(&facts).0.contains("as root"), "{kind:?}");
    }
}

#[test]
fn watches_that_were_not_all_counted_are_too_many_or_unknown() {
    let mut facts = open();
    facts.inotify.is_cut = true;
    assert_eq!(kinds(&facts), [LimitKind::UnreadInotify]);
    facts.inotify.watches = 60_000;
    assert_eq!(kinds(&facts), [LimitKind::FewInotifyWatches]);
}
