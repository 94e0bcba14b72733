"""A pool of processes that was forked after the connection was opened: the children inherit it, and never use it."""

import multiprocessing
import time

import actors

PROCESSES = 1


def start(stage):
    stage.make()
    stage.role("parent")


def square(number):
    return number * number


def parent(path):
    connection = actors.connect(path)
    actors.insert(connection, 5)
    with multiprocessing.get_context("fork").Pool(4) as pool:
        turns = 0
        while True:
            pool.map(square, range(40))
            actors.insert(connection, 2)
            connection.execute("select count(*) from t").fetchone()
            turns += 1
            if turns == 1:
                actors.ready()
            time.sleep(0.05)
