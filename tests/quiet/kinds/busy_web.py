"""A busy web application: gunicorn with four workers, and requests that make about 200 commits a second."""

import time

import web
from kinds import gunicorn

PROCESSES = 4

CLIENTS = 4
COMMITS_PER_SECOND = 200


def start(stage):
    stage.make()
    gunicorn.serve(stage, "kinds.gunicorn_app:write")
    for _ in range(CLIENTS):
        stage.role("client", stage.env["QUIET_PORT"])


def client(_path, port):
    """Keeps to its share of the requests, as far as the machine can."""
    pause = CLIENTS / COMMITS_PER_SECOND
    turns, due = 0, time.monotonic()
    while True:
        status, _ = web.get(port)
        assert status == 200, status
        turns += 1
        if turns == 1:
            web.actors.ready()
        due = max(due + pause, time.monotonic() - 1)
        time.sleep(max(0, due - time.monotonic()))
