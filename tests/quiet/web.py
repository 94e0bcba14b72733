"""What the kinds with a server need, on the loopback address only."""

import http.client
import socket
import time

import actors


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    try:
        get(port)
    except (OSError, http.client.HTTPException):
        return False
    return True


def get(port, path="/"):
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=60)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def client(port, pause=0.01):
    """Sends one request after the other, each on a new connection so that all workers get some."""
    turns = 0
    while True:
        status, _ = get(port)
        assert status == 200, status
        turns += 1
        if turns == 1:
            actors.ready()
        time.sleep(pause)
