"""Connections that live for a moment: three processes open, write and close about a hundred times a second."""

import time

import actors

# Each sample may come between two connections.
PROCESSES = 1


def start(stage):
    stage.make()
    for _ in range(3):
        stage.role("opens")


def opens(path):
    turns = 0
    while True:
        connection = actors.connect(path)
        connection.execute("update t set v=randomblob(300) where id=1+abs(random())%200")
        connection.close()
        turns += 1
        if turns == 1:
            actors.ready()
        time.sleep(0.01)
