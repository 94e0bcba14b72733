"""A bulk import in transactions of 2,000 rows, beside a program that polls the table."""

import os

import actors

PROCESSES = 2
# A worker of waltop would be a second writer, and the import would keep it waiting.
GUARD_PAUSE_S = None

ROWS = 2000
KEPT_ROWS = 20_000


def start(stage):
    stage.make()
    stage.role("imports")
    stage.role("reader", "0.1")


def imports(path):
    """Holds the write lock most of the time, and no other process wants it."""
    connection = actors.connect(path)
    connection.execute("pragma synchronous=normal")
    turns = 0
    while True:
        first = turns * ROWS % KEPT_ROWS
        connection.execute("begin immediate")
        connection.executemany(
            "insert or replace into t values(?, ?)", ((first + row, os.urandom(300)) for row in range(ROWS))
        )
        connection.execute("commit")
        turns += 1
        if turns == 1:
            actors.ready()
