"""A checkpoint that dies at ten offsets of the main file. Each time the log lies there without any process, beside a main
file that is newer than it; then a process opens the database again."""

import os
import resource
import signal
import subprocess
import sys
import time

import actors
import stage as stages

PROCESSES = 0
# Workers come seldom: the first one that may move the log ends what is to be seen.
GUARD_PAUSE_S = 4


def start(stage):
    stage.make(rows=2000)
    stage.role("operator")


def proof(stage):
    """Why the run proves nothing, if so."""
    died = stage.programs[0].lines().count
    return None if any(died(f"died {tenth}") for tenth in range(10)) else "no checkpoint died in the middle"


def operator(path):
    """Has no connection itself: each step is a process of its own."""
    turns = 0
    while True:
        for tenth in range(10):
            run("fills", path)
            code = run("dies", path, tenth)
            # waltop's own workers may have moved the log first; then there is nothing to write.
            assert code in (0, -signal.SIGXFSZ), code
            print("died" if code else "nothing to move", tenth, flush=True)
            if turns == 0 and tenth == 0:
                actors.ready()
            time.sleep(1.6)
            run("opens", path)
        turns += 1


def run(role, path, *args):
    command = [sys.executable, stages.HERE / "actors.py", "killed_checkpoint", role, path, *map(str, args)]
    return subprocess.run(command, check=False).returncode


def fills(path):
    """Leaves a log of many pages, some of them past the end of the main file, and dies with the connection open."""
    connection = actors.connect(path)
    connection.execute("pragma wal_autocheckpoint=0")
    if connection.execute("pragma page_count").fetchone()[0] > 3000:
        connection.execute("delete from t where id>2000")
        connection.execute("vacuum")
        connection.execute("pragma wal_checkpoint(truncate)")
    connection.execute("update t set v=randomblob(500) where id%9=0")
    actors.insert(connection, 400)
    os.kill(os.getpid(), signal.SIGKILL)


def dies(path, tenth):
    """Begins a checkpoint, which the kernel kills at the first write past the limit of the file size."""
    connection = actors.connect(path)
    pages, size = (connection.execute(f"pragma {name}").fetchone()[0] for name in ("page_count", "page_size"))
    # Python ignores this signal by default.
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    limit = max(1, pages * int(tenth) // 10) * size
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    connection.execute("pragma wal_checkpoint(full)").fetchall()


def opens(path):
    connection = actors.connect(path)
    assert connection.execute("pragma integrity_check").fetchone()[0] == "ok"
    actors.insert(connection, 1)
    time.sleep(0.8)
    connection.close()
