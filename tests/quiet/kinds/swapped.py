"""A file in rollback mode that is replaced on purpose while its users only read: some follow at once, some stay with the
old one for a while."""

import os
import subprocess
import sys
import time

import actors
import stage as stages

PROCESSES = 1


def start(stage):
    stage.make("delete")
    stage.role("stays", "6")
    stage.role("stays", "2")
    stage.role("swaps")


def stays(path, seconds):
    """Reads on one read-only connection for a while, then on a new one."""
    turns = 0
    while True:
        connection = actors.read_only(path)
        end = time.monotonic() + float(seconds)
        while time.monotonic() < end:
            connection.execute("select count(*) from t").fetchone()
            turns += 1
            if turns == 1:
                actors.ready()
            time.sleep(0.2)
        connection.close()


def swaps(path):
    turns = 0
    while True:
        command = [sys.executable, stages.HERE / "actors.py", "swapped", "make", path + ".new", "delete"]
        subprocess.run(command, check=True)
        os.rename(path + ".new", path)
        turns += 1
        if turns == 1:
            actors.ready()
        time.sleep(3)
