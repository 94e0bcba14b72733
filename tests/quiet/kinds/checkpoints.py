"""Checkpoints of all modes in a loop, beside a writer and readers, so that many of them move a part only."""

import time

import actors

PROCESSES = 4


def start(stage):
    stage.make()
    stage.role("writer")
    stage.role("reader", "0.02")
    stage.role("reader", "0.3")
    stage.role("checkpoints")


def checkpoints(path):
    # A short time to wait: a RESTART holds the write lock while it waits for the readers.
    connection = actors.connect(path)
    connection.execute("pragma busy_timeout=200")
    turns = 0
    while True:
        for mode in ("passive", "restart", "full", "truncate"):
            connection.execute(f"pragma wal_checkpoint({mode})").fetchall()
            time.sleep(0.05)
        turns += 1
        if turns == 1:
            actors.ready()
