"""VACUUM in a loop, beside a writer and a reader."""

import time

import actors

PROCESSES = 3


def start(stage):
    stage.make(rows=2000)
    stage.role("writer")
    stage.role("reader", "0.02")
    stage.role("vacuum")


def vacuum(path):
    connection = actors.connect(path)
    turns = 0
    while True:
        connection.execute("vacuum")
        turns += 1
        if turns == 1:
            actors.ready()
        time.sleep(0.2)
