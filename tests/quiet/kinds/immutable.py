"""A reader with immutable=1, which takes no lock and opens no log, beside a writer."""

import time

import actors

PROCESSES = 2


def start(stage):
    stage.make()
    stage.role("writer")
    stage.role("immutable_reader")


def immutable_reader(path):
    connection = actors.connect(f"file:{path}?immutable=1", uri=True)
    turns = 0
    while True:
        try:
            connection.execute("select count(*) from t").fetchone()
        except Exception as error:  # noqa: BLE001 - it reads without locks, and may see half of a checkpoint
            print(error, flush=True)
        turns += 1
        if turns == 1:
            actors.ready()
        time.sleep(0.1)
