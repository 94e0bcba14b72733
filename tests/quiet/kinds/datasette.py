"""Datasette serves the database to a client, beside a writer."""

import http.client
import time

import actors
import web

PROCESSES = 2


def start(stage):
    datasette = stage.venv("datasette", "datasette")
    stage.make()
    stage.role("writer")
    port = web.free_port()
    server = stage.start(datasette, "serve", stage.db, "--host", "127.0.0.1", "--port", port, ready=False)
    server.wait_for(lambda: web.answers(port))
    stage.role("client", port)


def client(_path, port):
    """Asks for pages of the table and for a count, on a connection that is kept."""
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
    for turn in range(1_000_000):
        connection.request("GET", ("/app/t?_size=20", "/app.json?sql=select+count(*)+from+t", "/app")[turn % 3])
        answer = connection.getresponse()
        answer.read()
        assert answer.status in (200, 302), answer.status
        if turn == 2:
            actors.ready()
        time.sleep(0.02)
