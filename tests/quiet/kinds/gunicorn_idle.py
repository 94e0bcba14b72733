"""gunicorn with a preloaded application that read its settings from the database before the fork: the workers inherit the
open files and never use them."""

from kinds import gunicorn

# The server and the writer; the workers do not count, since they only inherit.
PROCESSES = 2


def start(stage):
    stage.make()
    stage.env["QUIET_PRELOAD"] = "1"
    gunicorn.serve(stage, "kinds.gunicorn_app:answer")
    stage.role("writer")
    stage.role("client", stage.env["QUIET_PORT"])


client = gunicorn.client
