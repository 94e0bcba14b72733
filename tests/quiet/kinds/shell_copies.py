"""The sqlite3 shell copies the database, by `.backup` and by `-readonly VACUUM INTO`, beside a writer."""

import pathlib
import subprocess
import time

import actors

PROCESSES = 2


def start(stage):
    shell = stage.command("sqlite3")
    stage.make(rows=4000)
    stage.role("writer", "0.1")
    stage.role("copies", shell)


def copies(path, shell):
    copy = pathlib.Path("copy.db")
    for turn in range(1_000_000):
        recipe = ["-readonly", path, f"VACUUM INTO '{copy}'"] if turn % 2 else [path, f".backup {copy}"]
        # The shell itself would not wait for the lock.
        subprocess.run([shell, "-cmd", ".timeout 30000", *recipe], check=True)
        copy.unlink()
        if turn == 1:
            actors.ready()
        time.sleep(0.05)
