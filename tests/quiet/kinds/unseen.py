"""waltop runs as a user who may not look into the processes: it has only the locks to judge by. Connections that live for a
moment, a writer and a reader; and the log is made again and again."""

import os

import stage as stages
from kinds import short

PROCESSES = 1
# A user that owns none of the files and processes; its workers would be refused for that.
WALTOP_UID = 65534
GUARD_PAUSE_S = None


def start(stage):
    if os.geteuid() != 0:
        raise stages.Skip("only root can run waltop as another user")
    stage.make()
    for _ in range(3):
        stage.role("opens")
    stage.role("visits", "reader")
    stage.role("visits", "writer")


opens = short.opens


def visits(path, role):
    """Stays for a second at a time, with the log that is there by then."""
    import time

    import actors

    turns = 0
    while True:
        connection = actors.connect(path)
        end = time.monotonic() + 1
        while time.monotonic() < end:
            if role == "writer":
                connection.execute("update t set v=randomblob(300) where id=7")
            connection.execute("select count(*) from t").fetchone()
            time.sleep(0.02)
        connection.close()
        turns += 1
        if turns == 1:
            actors.ready()
        time.sleep(0.2)
