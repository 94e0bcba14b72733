"""An upgrade by rename as it should be done: the service stops, a new file is renamed into its place, the service starts."""

import os
import subprocess
import sys
import time

import actors
import stage as stages

PROCESSES = 1


def start(stage):
    stage.make()
    stage.role("upgrades")


def upgrades(path):
    """The operator: has no connection itself, and starts the service and makes the new file in other processes."""
    turns = 0
    while True:
        service = role("service", path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        service.stdout.readline()
        if turns == 0:
            actors.ready()
        time.sleep(1.5)
        service.stdin.close()
        assert service.wait() == 0, service.returncode
        assert not os.path.exists(path + "-wal"), "the service did not close its connection"
        assert role("make", path + ".new").wait() == 0
        os.rename(path + ".new", path)
        turns += 1


def role(name, path, **pipes):
    return subprocess.Popen([sys.executable, stages.HERE / "actors.py", "upgrade", name, path], **pipes)


def service(path):
    """Writes until its standard input is closed, then closes its connection."""
    import select

    connection = actors.connect(path)
    actors.insert(connection, 1)
    actors.ready()
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        actors.insert(connection, 2)
    # Another process may have held it when it closed; the log is gone once the last one has closed.
    deadline = time.monotonic() + 20
    connection.close()
    while os.path.exists(path + "-wal") and time.monotonic() < deadline:
        last = actors.connect(path)
        last.execute("select count(*) from t").fetchone()
        last.close()
        time.sleep(0.05)
