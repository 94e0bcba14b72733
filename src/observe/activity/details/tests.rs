use std::os::fd::AsRawFd;

use super::*;
use crate::{
    observe::proc::fake::{FakeProc, lock_row},
    snapshot::PeerProcess,
};

const WAITER: i32 = 70;

// A process without descriptors beside one that has others.
fn scene() -> FakeProc {
    let proc = FakeProc::new();
    proc.process(WAITER).process(71).write("71/comm", "psql\n").write("70/comm", "bun\n");
    proc
}

fn source(proc: &FakeProc, number: i32) -> WaitSource {
    let known = KnownSources::default();
    ProcessWaits::new(proc.path(), WAITER, &[], &known).source(number)
}

fn peer() -> PeerProcess {
    PeerProcess { pid: 71, name: "psql".to_owned() }
}

#[test]
fn what_a_descriptor_leads_to_is_told_by_its_name() {
    let proc = scene();
    let names = [
        "/srv/notes.txt",
        "/dev/pts/3",
        "/dev/tty1",
        "/dev/console",
        "/dev/consoles",
        "anon_inode:[eventfd]",
        "socket:[5]",
        "socket:[x]",
    ];
    for (number, name) in (3..).zip(names) {
        proc.descriptor(WAITER, number, name.as_ref(), "");
    }
    let file = |path: &str| WaitSource::File { path: path.to_owned() };
    let terminal = |name: &str| WaitSource::Terminal { name: name.to_owned() };
    let object = |name: &str| WaitSource::Object { name: name.to_owned() };
    let expected = [
        file(names[0]),
        terminal(names[1]),
        terminal(names[2]),
        terminal(names[3]),
        file(names[4]),
        object(names[5]),
        WaitSource::Socket,
        object(names[7]),
        WaitSource::Unknown,
    ];
    for (number, expected) in (3..).zip(expected) {
        assert_eq!(source(&proc, number), expected, "{number}");
    }
}

#[test]
fn a_pipe_names_the_processes_at_its_other_end() {
    let proc = scene();
    // A link that the kernel has not made shows no descriptor that may write: each end looks like a reader.
    proc.descriptor(WAITER, 3, "pipe:[9]".as_ref(), "").descriptor(71, 4, "pipe:[9]".as_ref(), "");
    assert_eq!(source(&proc, 3), WaitSource::Pipe { peers: vec![] });
    let own = std::process::id().cast_signed();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    let waits = |number: i32| {
        let known = KnownSources::default();
        ProcessWaits::new("/proc".as_ref(), own, &[], &known).source(number)
    };
    let none = WaitSource::Pipe { peers: vec![] };
    assert_eq!([reader.as_raw_fd(), writer.as_raw_fd()].map(waits), [none.clone(), none], "both are its own");
}

#[test]
fn a_connection_names_both_addresses_and_the_process_at_the_other_end() {
    let proc = scene();
    let row = |number: u32, local: &str, remote: &str, inode: u64| {
        format!("{number}: {local} {remote} 01 00000000:00000000 00:00000000 00000000  1000  0  {inode} 1\n")
    };
    let (here, there, far) = ("0100007F:1F90", "0100007F:D2F0", "08080808:01BB");
    let table = [row(0, here, there, 40), row(1, there, here, 41), row(2, here, far, 42)].concat();
    proc.write("70/net/tcp", &table).write("70/net/tcp6", "");
    for (number, inode) in [(3, 40), (4, 42)] {
        proc.descriptor(WAITER, number, format!("socket:[{inode}]").as_ref(), "");
    }
    proc.descriptor(71, 3, "socket:[41]".as_ref(), "");
    let tcp = |remote: &str, peer| WaitSource::Tcp {
        local: "127.0.0.1:8080".to_owned(),
        remote: remote.to_owned(),
        state: "established".to_owned(),
        peer,
    };
    assert_eq!(source(&proc, 3), tcp("127.0.0.1:54000", Some(peer())));
    assert_eq!(source(&proc, 4), tcp("8.8.8.8:443", None), "it leaves the machine");
}

#[test]
fn a_unix_socket_names_the_path_that_either_end_has() {
    let proc = scene();
    let row = |inode: u64, path: &str| format!("ffff: 00000003 00000000 00000000 0001 03 {inode} {path}\n");
    // The kernel knows no socket with such a number.
    let inode = u64::from(u32::MAX) + 34_567;
    proc.write("70/net/unix", &row(inode, "/run/a.sock"));
    proc.descriptor(WAITER, 3, format!("socket:[{inode}]").as_ref(), "");
    assert_eq!(source(&proc, 3), WaitSource::Unix { path: Some("/run/a.sock".to_owned()), peer: None });
    let (one, _two) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let inode = proc::ProcessFolder::own("/proc".as_ref())
        .descriptor(one.as_raw_fd())
        .target()
        .expect("a link")
        .to_string_lossy()
        .into_owned();
    let number: u64 = inode.trim_start_matches("socket:[").trim_end_matches(']').parse().expect("a number");
    // A kernel may be built without this question.
    if let Some(other) = peer_of_unix_socket(number) {
        proc.write("70/net/unix", &[row(number, ""), row(other, "/run/b.sock")].concat());
        proc.descriptor(WAITER, 4, inode.as_ref(), "");
        proc.descriptor(71, 4, format!("socket:[{other}]").as_ref(), "");
        let expected = WaitSource::Unix { path: Some("/run/b.sock".to_owned()), peer: Some(peer()) };
        assert_eq!(source(&proc, 4), expected);
    }
}

#[test]
fn an_event_loop_names_what_it_watches_and_counts_the_rest() {
    let proc = scene();
    proc.descriptor(WAITER, 3, "anon_inode:[eventpoll]".as_ref(), "");
    let known = KnownSources::default();
    let waits = ProcessWaits::new(proc.path(), WAITER, &[], &known);
    let file = |number: i32| WaitSource::File { path: format!("/srv/{number}") };
    for number in [11, 12, 13, 14, 15] {
        proc.descriptor(WAITER, number, format!("/srv/{number}").as_ref(), "");
    }
    // Nothing is at the other end of these.
    proc.descriptor(WAITER, 9, "anon_inode:[eventfd]".as_ref(), "").descriptor(
        WAITER,
        10,
        "pipe:[9]".as_ref(),
        "",
    );
    let watched = |numbers: &[u32]| {
        let lines = numbers.iter().map(|number| format!("tfd: {number} events: 19\n"));
        proc.write("70/fdinfo/3", &lines.collect::<String>());
        waits.event_loop(3)
    };
    let event_loop = |numbers: &[i32], more| {
        let sources = numbers.iter().map(|number| file(*number)).collect();
        Activity::EventLoop { sources, more }
    };
    assert_eq!(watched(&[12, 9, 11, 10, 12]), event_loop(&[11, 12], 0));
    assert_eq!(watched(&[11, 12, 13, 14]), event_loop(&[11, 12, 13, 14], 0));
    assert_eq!(watched(&[15, 14, 13, 12, 11]), event_loop(&[11, 12, 13, 14], 1));
    let many: Vec<u32> = (11..=14).chain(100..132).collect();
    assert_eq!(watched(&many), event_loop(&[11, 12, 13, 14], 32), "28 that are unknown, 4 not looked up");
    assert_eq!(waits.event_loop(4), LOOP, "it is hidden");
}

#[test]
fn a_poll_for_one_descriptor_is_a_read_or_a_write() {
    let proc = scene();
    proc.descriptor(WAITER, 3, "/srv/3".as_ref(), "").descriptor(WAITER, 4, "/srv/4".as_ref(), "");
    let known = KnownSources::default();
    let waits = ProcessWaits::new(proc.path(), WAITER, &[], &known);
    let file = |number: i32| WaitSource::File { path: format!("/srv/{number}") };
    let entry =
        |number: i32, events: u16| [&number.to_ne_bytes()[..], &events.to_ne_bytes(), &[0, 0]].concat();
    let memory = |bytes: &[u8]| std::fs::write(proc.path().join("70/mem"), bytes).expect("written");
    memory(&[entry(3, 1), entry(4, 4)].concat());
    assert_eq!(waits.polled(0, 1), Activity::Reading { from: file(3) });
    assert_eq!(waits.polled(8, 1), Activity::Writing { to: file(4) });
    assert_eq!(waits.polled(0, 2), Activity::EventLoop { sources: vec![file(3), file(4)], more: 0 });
    assert_eq!((waits.polled(0, 0), waits.polled(0, 3)), (LOOP, LOOP), "nothing, or not readable");
    memory(&[[0; 8], (1_u64 << 3).to_ne_bytes(), (1_u64 << 4 | 1 << 7).to_ne_bytes()].concat());
    assert_eq!(waits.selected(5, 8, 0), Activity::Reading { from: file(3) });
    assert_eq!(waits.selected(5, 0, 16), Activity::Writing { to: file(4) }, "it asks for less than 7");
    assert_eq!(waits.selected(5, 8, 16), Activity::EventLoop { sources: vec![file(3), file(4)], more: 0 });
    assert_eq!(waits.selected(3, 8, 0), LOOP, "it asks for less than 3");
    assert_eq!(waits.selected(5, 32, 0), LOOP, "it is not readable");
}

#[test]
fn a_process_that_waits_for_children_names_them() {
    let proc = scene();
    proc.write("70/task/70/children", "71 72 ");
    let known = KnownSources::default();
    let children = ProcessWaits::new(proc.path(), WAITER, &[], &known).children();
    let gone = PeerProcess { pid: 72, name: String::new() };
    assert_eq!(children, Activity::Child { children: vec![peer(), gone] });
}

#[test]
fn another_database_that_another_process_has_locked_is_named() {
    let (proc, folder) = (scene(), tempfile::TempDir::new().expect("a folder"));
    let paths =
        ["own.db-shm", "other.db-shm", "rollback.db", "read.db-shm"].map(|name| folder.path().join(name));
    for (number, path) in (3..).zip(&paths) {
        std::fs::write(path, "").expect("written");
        proc.descriptor(WAITER, number, path, "");
    }
    proc.descriptor(WAITER, 9, folder.path(), "");
    let own = [paths[0].metadata().expect("it is there").ino()];
    let known = KnownSources::default();
    let waits = ProcessWaits::new(proc.path(), WAITER, &own, &known);
    let locked = |rows: &[String]| {
        proc.write("locks", &rows.concat());
        let names = waits.locked_databases();
        names.iter().map(|path| path.rsplit('/').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let [own, other, rollback, read] = paths.each_ref();
    let rows = [
        lock_row("WRITE", 71, own, "120 120"),
        lock_row("WRITE", 71, rollback, "1073741825 1073741825"),
        lock_row("WRITE", 71, other, "120 120"),
        lock_row("WRITE", 72, other, "120 120"),
        lock_row("READ", 71, read, "120 120"),
    ];
    assert_eq!(locked(&rows), ["other.db", "rollback.db"]);
    assert_eq!(locked(&[lock_row("WRITE", WAITER, other, "120 120")]), [""; 0], "its own lock");
    assert_eq!(locked(&[lock_row("WRITE", 71, other, "121 122")]), [""; 0], "no writer waits for that");
    assert_eq!(locked(&[lock_row("WRITE", 71, rollback, "1073741824 1073741824")]), ["rollback.db"]);
    assert_eq!(waits.path(4), Some(other.display().to_string()));
    assert_eq!(waits.path(8), None, "it is closed");
}
