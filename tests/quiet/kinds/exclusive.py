"""A client in locking_mode=EXCLUSIVE, as browsers are."""

import time

import actors

PROCESSES = 1


def start(stage):
    stage.make()
    stage.role("browser")


def browser(path):
    connection = actors.connect(path)
    connection.execute("pragma locking_mode=exclusive")
    turns = 0
    while True:
        actors.insert(connection, 1)
        turns += 1
        if turns == 1:
            actors.ready()
        time.sleep(0.05)
