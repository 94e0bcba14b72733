"""A process with a connection that starts other programs: between fork and exec the child has the files open."""

import os
import time

import actors

PROCESSES = 1


def start(stage):
    stage.make()
    stage.role("parent", "0")
    stage.role("parent", "0.3")


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
        actors.insert(connection, 1)
        os.waitpid(child, 0)
        turns += 1
        if turns == 1:
            actors.ready()
