"""What waltop may say of each kind although nothing is wrong with the processes, and why. Everything else fails the run."""

import re

# Rollback mode is what these programs use, and waltop's default profile asks for WAL mode.
ROLLBACK = {
    "pragma-mismatch": "the file is in rollback mode, and the profile asks for WAL mode",
    "rollback-journal": "several programs share a database in rollback mode, where readers and the writer lock each other out",
}

# A finding of severity info fails no run. `wal-reset-bug` is one, wherever the SQLite of a distribution, of Python, Node or Bun
# has such a version number: as a warning it would fail the run.

# kind -> finding -> the reason.
FINDINGS = {
    "optuna": ROLLBACK,
    "rollback": ROLLBACK,
    "swapped": ROLLBACK,
    "large_checkpoint": {"large-wal": "the log is as large as it says, and a checkpoint moves it a moment later"},
    "killed_checkpoint": {"large-wal": "on a loaded machine the log grows before the checkpoint that is killed, and it is large"},
    "mmap": {"mapped-database": "it says that the main file is mapped, and it is"},
}

# With all kinds at the same time there are some hundred processes, and one that gets no CPU time may hold a lock for long.
TOGETHER = {"long-write-lock": "a writer that gets no CPU time holds its lock for long, and that is what it says"}

# kind (or None for all) -> what a worker may answer instead of its work -> the reason. None of these accuses a process of
# lost locks, of other files or of a log that does not belong.
REFUSALS = [
    (None, r"is not in WAL mode", "a checkpoint of a database in rollback mode"),
    (None, r"keeps journal_mode \w+, not wal", "the profile asks for WAL mode"),
    (None, r"opened .* since the (look|sample)", "a process opened the database between the sample and the question"),
    ("optuna", r"has a rollback journal with content", "a transaction is open, and its journal is there"),
    ("rollback", r"has a rollback journal with content", "a transaction is open, and its journal is there"),
    ("killed_checkpoint", r"no process holds the index", "no process has the files open, and a connection would recover the log"),
    ("killed_writer", r"no process holds the index", "no process has the files open, and a connection would recover the log"),
    ("restarted_once", r"no process holds the index", "the worker was ended and not started again yet"),
    ("short", r"no process holds the index", "the last connection closed between the sample and the question"),
    ("swapped", r"may only be read by this user", "SQLite writes nothing to a file that was renamed over between opening and writing"),
    ("upgrade", r"no process holds the index", "the service closed its connection between the sample and the question"),
    ("exclusive", r"has the whole file .* locked", "it has, and its index is in its memory"),
    ("exclusive", r"has the whole file to itself", "it has"),
    (None, r"could not get the write lock|the write lock was not to be had|database is locked", "the lock was held for longer than the worker waits"),
]


def allows(kind, finding, together):
    return finding in FINDINGS.get(kind, {}) or (together and finding in TOGETHER)


def tolerates(kind, text):
    """Why a worker may answer `text`, if it may."""
    return next((reason for only, pattern, reason in REFUSALS if only in (None, kind) and re.search(pattern, text)), None)
