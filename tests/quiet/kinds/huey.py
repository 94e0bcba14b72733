"""Huey: a consumer with worker processes, and a producer, on a queue in a SQLite file."""

PROCESSES = 3


def start(stage):
    consumer = stage.venv("huey_consumer", "huey")
    stage.env["QUIET_DB"] = str(stage.db)
    python = stage.venv("python", "huey")
    stage.role("producer", python=python)
    stage.start(consumer, "kinds.huey_tasks.huey", "-w", "4", "-k", "process", ready=False)


def producer(_path):
    import time

    import actors
    from kinds import huey_tasks

    turns = 0
    while True:
        huey_tasks.add(turns, 1)
        turns += 1
        if turns == 1:
            actors.ready()
        time.sleep(0.02)
