"""A process with a connection that starts other programs: between fork and exec the child has the files open."""

import os
import time

import actors

PROCESSES = 1


def start(stage):
    stage.make()
    for before_exec in ("0", "0.3", "2"):
        stage.role("parent", before_exec)


def parent(path, before_exec):
    """The child waits `before_exec` seconds with what it inherited, then becomes another program."""
    connection = actors.connect(path)
    turns = 0
    while True:
        actors.insert(connection, 1)
        child = os.fork()
        if child == 0:
            time.sleep(float(before_exec))
            os.execlp("sleep", "sleep", "0.5")
        # The parent goes on while the child has its files open.
        while os.waitpid(child, os.WNOHANG) == (0, 0):
            actors.insert(connection, 1)
            time.sleep(0.05)
        turns += 1
        if turns == 1:
            actors.ready()
