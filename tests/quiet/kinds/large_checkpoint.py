"""Checkpoints of a log of 1 GB, or of what the disk has room for, beside a reader and a writer of a few commits a second."""

import os
import shutil
import time

import actors

PROCESSES = 3
# It keeps the disk so busy that the writers of other kinds hold their locks for long.
ALONE = True

# Bytes of the log before the first checkpoint, and before each further one.
FIRST_LOG = 1 << 30
NEXT_LOG = 64 << 20
ROW_BYTES = 1 << 20
ROWS = 16


def start(stage):
    stage.make()
    stage.role("fills_and_moves")
    stage.role("writer", "0.2")
    stage.role("reader", "0.1")


def proof(stage):
    """Why the run proves nothing, if so."""
    moved = [line for line in stage.programs[0].lines() if line.startswith("moved ")]
    return None if moved else "no large log was moved"


def fills_and_moves(path):
    """Fills the log without automatic checkpoints, in transactions of 16 MB, and moves all of it at once."""
    connection = actors.connect(path)
    connection.execute("pragma wal_autocheckpoint=0")
    connection.execute("pragma synchronous=normal")
    connection.execute("create table large(id integer primary key, v)")
    fill(connection, min(FIRST_LOG, shutil.disk_usage(os.path.dirname(path)).free // 8))
    actors.ready()
    while True:
        size = os.path.getsize(path + "-wal")
        # A TRUNCATE would hold the write lock while it moves what the others have committed meanwhile.
        connection.execute("pragma wal_checkpoint(passive)").fetchall()
        print("moved", size, flush=True)
        fill(connection, NEXT_LOG, pause=0.5)


def fill(connection, wanted, pause=0):
    for first in range(0, wanted // ROW_BYTES, ROWS):
        connection.execute("begin immediate")
        rows = ((first + row, ROW_BYTES) for row in range(ROWS))
        connection.executemany("insert or replace into large values(?, zeroblob(?))", rows)
        connection.execute("commit")
        time.sleep(pause)
