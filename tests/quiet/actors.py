"""The processes that use the database: `actors.py MODULE ROLE DB [ARG …]` runs a function of kinds/MODULE.py, or one from
here."""

import importlib
import os
import sqlite3
import sys
import time


def connect(path, **options):
    """A connection in autocommit mode that waits for the lock."""
    return sqlite3.connect(path, timeout=30, isolation_level=None, **options)


def read_only(path, **options):
    return connect(f"file:{path}?mode=ro", uri=True, **options)


def ready():
    print("ready", flush=True)


def make(path, journal_mode="wal", rows="200"):
    connection = connect(path)
    connection.execute(f"pragma journal_mode={journal_mode}")
    connection.execute("create table t(id integer primary key, v)")
    insert(connection, int(rows))
    connection.close()


def insert(connection, rows, size=500):
    connection.execute("begin immediate")
    connection.executemany("insert into t(v) values(?)", ((os.urandom(size),) for _ in range(rows)))
    connection.execute("commit")


def writer(path, pause="0.02", connection=None):
    """Commits updates and inserts, a few of each a second, and keeps the table small."""
    connection = connection or connect(path)
    turns = 0
    while True:
        connection.execute("begin immediate")
        connection.execute("update t set v=randomblob(500) where id=1+abs(random())%200")
        connection.execute("insert into t(v) values(randomblob(700))")
        connection.execute("commit")
        turns += 1
        if turns == 1:
            ready()
        if turns % 200 == 0:
            connection.execute("delete from t where id>200")
        time.sleep(float(pause))


def reader(path, pause="0.05", connection=None):
    """Reads the table again and again in transactions that stay open for a moment."""
    connection = connection or connect(path)
    turns = 0
    while True:
        connection.execute("begin")
        connection.execute("select count(*), sum(length(v)) from t").fetchone()
        time.sleep(float(pause))
        connection.execute("commit")
        turns += 1
        if turns == 1:
            ready()
        time.sleep(float(pause))


def read_only_reader(path, pause="0.05"):
    reader(path, pause, read_only(path))


def main(module, role, path, *args):
    kind = importlib.import_module(f"kinds.{module}")
    # The file itself is __main__; a kind that imports it gets a module of its own, with the same functions.
    function = getattr(kind, role, None) or globals()[role]
    function(path, *args)


if __name__ == "__main__":
    main(*sys.argv[1:])
