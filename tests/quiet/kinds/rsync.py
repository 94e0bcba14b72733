"""Backup programs that read whole files: rsync, and one that opens the three files together and reads slowly, as tar does
from a slow disk."""

import subprocess
import time

import actors

PROCESSES = 2


def start(stage):
    rsync = stage.command("rsync")
    stage.make(rows=2000)
    stage.role("writer")
    stage.role("reader")
    stage.role("whole")
    stage.role("copies", rsync)


def whole(path):
    """Opens the files read-only, reads each to its end, and keeps all open for 2 s."""
    turns = 0
    while True:
        files = [open(path + suffix, "rb") for suffix in ("", "-wal", "-shm")]
        for file in files:
            file.read()
        turns += 1
        if turns == 1:
            actors.ready()
        time.sleep(2)
        for file in files:
            file.close()
        time.sleep(0.1)


def copies(path, rsync):
    turns = 0
    while True:
        # 24: a file vanished while it was copied.
        code = subprocess.run([rsync, "--archive", "--checksum", *(path + suffix for suffix in ("", "-wal", "-shm")), "copies/"], check=False).returncode
        assert code in (0, 24), code
        turns += 1
        if turns == 1:
            actors.ready()
        time.sleep(0.05)
