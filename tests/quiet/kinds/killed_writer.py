"""Writers that die by SIGKILL, with a log that was never checkpointed, and are started again."""

import subprocess
import sys
import time

import actors
import stage as stages

PROCESSES = 1
# Workers come seldom: the first one that may move the log ends what is to be seen.
GUARD_PAUSE_S = 3


def start(stage):
    stage.make()
    stage.role("operator")


def operator(path):
    """Has no connection itself. The log lies there for a while before the next writer opens it."""
    for turn in range(1_000_000):
        command = [sys.executable, stages.HERE / "actors.py", "killed_writer", ("plain", "unmoved")[turn % 2], path]
        writer = subprocess.Popen(command, stdout=subprocess.PIPE)
        writer.stdout.readline()
        if turn == 0:
            actors.ready()
        time.sleep(1.2)
        writer.kill()
        writer.wait()
        time.sleep(1.2)


def plain(path):
    actors.writer(path)


def unmoved(path):
    """Writes without a checkpoint."""
    connection = actors.connect(path)
    connection.execute("pragma wal_autocheckpoint=0")
    actors.writer(path, "0.02", connection)
