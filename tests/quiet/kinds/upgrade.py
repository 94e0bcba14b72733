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


def proof(stage):
    """Why the run proves nothing, if so."""
    return None if "replaced" in stage.programs[0].lines() else "nothing was replaced"


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
        assert role("make", path + ".new").wait() == 0
        # A worker of waltop may have the database open for a moment, too.
        while os.path.exists(path + "-wal"):
            time.sleep(0.001)
        os.rename(path + ".new", path)
        print("replaced", flush=True)
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
    connection.close()
    # Another process may have had it open just then; the log is gone once the last one has closed its connection.
    while os.path.exists(path + "-wal"):
        last = actors.connect(path)
        last.execute("select count(*) from t").fetchone()
        last.close()
        time.sleep(0.05)
