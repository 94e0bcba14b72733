//! Neighbours that do what any user may: none of it may cost waltop memory or time without bound, or hide a holder.

use waltop::snapshot::ProcessState;

use super::*;
use crate::{python::Python, support::eventually};

/// Gives the process an argument area of `size` bytes, one `x` and zeros (`PR_SET_MM_MAP` of `prctl(2)`), and prints whether
/// the kernel let it. The numbers are fields of `/proc/self/stat`: where the code, the stack and the data lie.
const FATTEN: &str = "
import ctypes, mmap
def fatten(size):
    libc = ctypes.CDLL(None, use_errno=True)
    libc.sbrk.restype = ctypes.c_void_p
    area = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000)
    area[0] = 120
    first = ctypes.addressof(ctypes.c_char.from_buffer(area))
    fields = [0, 0, 0] + open('/proc/self/stat').read().rsplit(') ', 1)[1].split()
    stat = lambda number: int(fields[number])
    places = [stat(26), stat(27), stat(45), stat(46), stat(47), libc.sbrk(0), stat(28),
              first, first + size, stat(50), stat(51), 0]
    map = (ctypes.c_uint64 * 13)(*places, 0xffffffff << 32)
    print(libc.prctl(35, 14, ctypes.byref(map), ctypes.sizeof(map), 0) == 0)
    return area
";

/// Runs several lines of Python in `python`.
fn define(python: &mut Python, code: &str) {
    python.run(&format!("exec({code:?})"));
}

#[test]
fn a_command_line_of_two_gigabytes_is_cut_and_marked() {
    let scene = Scene::with_wal();
    let Some(mut python) = Python::open(&scene.path()) else { return };
    python.sql("BEGIN IMMEDIATE");
    let twin = scene.actor();
    define(&mut python, FATTEN);
    if python.run("area = fatten(2 << 30)") != ["True"] {
        eprintln!("not tested: the kernel lets no process change its argument area");
        return;
    }
    // No more memory than half of what the process pretends to have as arguments.
    let launcher = ["sh", "-c", "ulimit -v 1000000; exec \"$0\" \"$@\""];
    let snapshot = status(&launcher, Path::new(WALTOP), &[], &scene.path(), scene.state.path());
    let database = only(snapshot);
    assert_eq!(process(&database, python.pid()).command, ["x", "…"]);
    assert_eq!(writer_of(&database), Some(python.pid()));
    let command = &process(&database, twin.pid()).command;
    assert!(command.len() > 1 && !command.contains(&"…".to_owned()), "{command:?}");
}

#[test]
fn locks_on_other_files_hide_no_holder() {
    let scene = Scene::with_wal();
    let Some(mut neighbour) = Python::open(&scene.folder.path().join("other.db")) else { return };
    let mut actor = scene.actor();
    actor.sql("BEGIN IMMEDIATE").sql("INSERT INTO t VALUES (2)");
    let mut reader = scene.actor();
    reader.sql("BEGIN").sql("SELECT * FROM t");
    neighbour.run("import fcntl");
    neighbour.run("foreign = open(path + '.locks', 'wb')");
    // Each is a row: locks side by side would become one.
    neighbour.run("[fcntl.lockf(foreign, fcntl.LOCK_EX, 1, 2 * byte) for byte in range(4000)]");
    let database = scene.look();
    assert_eq!(writer_of(&database), Some(actor.pid()));
    for actor in [&actor, &reader] {
        assert!(process(&database, actor.pid()).holds_index);
    }
    assert!(!reader_of(&database, reader.pid()).is_empty());
    assert!(database.process(neighbour.pid()).is_none(), "it has nothing of this database");
}

#[test]
fn a_process_whose_main_thread_has_ended_is_seen() {
    let scene = Scene::with_wal();
    let Some(mut python) = Python::open(&scene.path()) else { return };
    // A connection of its own thread, which outlives the main one.
    define(
        &mut python,
        "
import ctypes, threading
def work():
    own = sqlite3.connect(path, isolation_level=None)
    own.execute('BEGIN IMMEDIATE')
    open(path + '.begun', 'w').close()
    threading.Event().wait()
",
    );
    python.run("import sqlite3");
    python.run("db.close()");
    python.run("threading.Thread(target=work, daemon=True).start()");
    let begun = scene.folder.path().join("notes.db.begun");
    eventually("the thread has the lock", || begun.exists().then_some(()));
    python.end_main_thread();
    let stat = format!("/proc/{}/stat", python.pid());
    eventually("the main thread ends", || {
        std::fs::read_to_string(&stat).ok()?.contains(") Z ").then_some(())
    });

    let database = scene.look();
    let row = process(&database, python.pid());
    assert_eq!(writer_of(&database), Some(python.pid()));
    assert!(row.handles.is_some_and(|handles| handles.db > 0 && handles.shm > 0), "{:?}", row.handles);
    assert!(row.holds_index && row.maps_index == Some(true) && row.start_ticks.is_some());
    assert!(row.command.len() > 1 && row.state != ProcessState::Zombie, "{:?} {:?}", row.command, row.state);
}
