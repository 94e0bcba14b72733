"""The programs of the field reports, each with SQLite as its report had it.

old_way.py importer name=NAME folder=FOLDER batch=FILES work=SECONDS pause=SECONDS timeout=SECONDS DATABASE
    Takes the documents of a folder in, so many to a transaction, and works on each one inside of it. The first error
    ends it.
old_way.py writer name=NAME hold=SECONDS pause=SECONDS timeout=SECONDS DATABASE
    Writes a row at a time and keeps its transaction open for as long as it works on it. It counts what it is refused
    and goes on, until its stdin ends. A further line there means that the count begins anew.

Each says `ready` once it has the database open, begins when a line comes in on stdin, and says at its end one line of
JSON. An importer whose stdin ends before its work does was forgotten by its caller, and goes too.
"""

import json
import os
import pathlib
import sqlite3
import sys
import threading
import time


def connect(options, path):
    return sqlite3.connect(path, timeout=float(options["timeout"]), isolation_level=None)


def begin():
    print("ready", flush=True)
    if not sys.stdin.readline():
        sys.exit(1)


def say(what):
    print(json.dumps(what), flush=True)


def importer(options, path):
    database = connect(options, path)
    files = sorted(pathlib.Path(options["folder"]).rglob("*.md"))
    size, work, pause = int(options["batch"]), float(options["work"]), float(options["pause"])
    begin()
    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(1)), daemon=True).start()
    began, ingested, longest, error, error_at = time.monotonic(), 0, 0.0, None, None
    try:
        for first in range(0, len(files), size):
            batch = files[first : first + size]
            database.execute("BEGIN IMMEDIATE")
            locked = time.monotonic()
            for file in batch:
                time.sleep(work)
                row = (str(file), file.read_text(errors="replace"))
                database.execute("INSERT INTO documents VALUES (?, ?)", row)
            database.execute("COMMIT")
            longest = max(longest, time.monotonic() - locked)
            ingested += len(batch)
            time.sleep(pause)
    except sqlite3.OperationalError as refusal:
        error, error_at = str(refusal), time.time_ns()
    elapsed_ms = (time.monotonic() - began) * 1e3
    result = {"ingested": ingested, "longest_hold_ms": longest * 1e3, "elapsed_ms": elapsed_ms}
    say(result | {"error": error, "error_at": error_at})


def writer(options, path):
    end, anew = threading.Event(), threading.Event()

    def listen():
        for _ in sys.stdin:
            anew.set()
        end.set()

    database = connect(options, path)
    database.execute("SELECT count(*) FROM theirs").fetchall()
    hold, pause = float(options["hold"]), float(options["pause"])
    begin()
    threading.Thread(target=listen, daemon=True).start()
    waits, busy = [], 0
    while not end.is_set():
        if anew.is_set():
            anew.clear()
            waits, busy = [], 0
            print("anew", flush=True)
        asked = time.monotonic()
        try:
            database.execute("BEGIN IMMEDIATE")
            database.execute("INSERT INTO theirs VALUES (?)", (options["name"],))
            if hold > 0:
                time.sleep(hold)
            database.execute("COMMIT")
            waits.append((time.monotonic() - asked - hold) * 1e3)
        except sqlite3.OperationalError:
            busy += 1
            if database.in_transaction:
                database.execute("ROLLBACK")
        end.wait(pause)
    say({"waits_ms": waits, "busy": busy})


what, *named, database_path = sys.argv[1:]
given = dict(option.split("=", 1) for option in named)
{"importer": importer, "writer": writer}[what](given, database_path)
