"""A backup program that reads one file after the other in chunks, without a change of the access time, as restic does;
and one that keeps the log open alone, as `tail` does."""

import os
import time

import actors

PROCESSES = 2


def start(stage):
    stage.make(rows=4000)
    stage.role("writer")
    for pause in ("0.001", "0.05"):
        stage.role("chunks", pause)
    stage.role("tail")


def chunks(path, pause):
    turns = 0
    while True:
        for suffix in ("", "-wal", "-shm"):
            try:
                file = os.open(path + suffix, os.O_RDONLY | os.O_NOATIME)
            except FileNotFoundError:
                continue
            while os.read(file, 65536):
                time.sleep(float(pause))
            os.close(file)
        turns += 1
        if turns == 1:
            actors.ready()


def tail(path):
    turns = 0
    while True:
        with open(path + "-wal", "rb") as log:
            for _ in range(30):
                log.read()
                time.sleep(0.1)
                turns += 1
                if turns == 1:
                    actors.ready()
