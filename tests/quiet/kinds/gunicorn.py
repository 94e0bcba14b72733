"""gunicorn with a preloaded application: four workers write, each on a connection of its own that it opens after the
fork."""

import web

PROCESSES = 4


def start(stage):
    stage.make()
    serve(stage, "kinds.gunicorn_app:write")
    stage.role("client", stage.env["QUIET_PORT"])
    stage.role("client", stage.env["QUIET_PORT"])


def serve(stage, application):
    gunicorn = stage.venv("gunicorn", "gunicorn")
    port = web.free_port()
    stage.env.update(QUIET_DB=str(stage.db), QUIET_PORT=str(port))
    server = stage.start(gunicorn, "--preload", "--workers", 4, "--bind", f"127.0.0.1:{port}", application, ready=False)
    server.wait_for(lambda: web.answers(port))


def client(_path, port):
    web.client(port)
