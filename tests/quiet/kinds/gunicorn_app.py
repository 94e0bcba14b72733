"""The applications of the kinds `gunicorn` and `gunicorn_idle`."""

import os

import actors

_mine = None
_inherited = None

if os.environ.get("QUIET_PRELOAD"):
    _inherited = actors.connect(os.environ["QUIET_DB"])
    _settings = _inherited.execute("select count(*) from t").fetchone()


def write(_environ, start_response):
    """Writes a row on the connection of this worker, which is opened with its first request."""
    global _mine
    if _mine is None:
        _mine = actors.connect(os.environ["QUIET_DB"], check_same_thread=False)
    _mine.execute("insert into t(v) values(randomblob(300))")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"written\n"]


def answer(_environ, start_response):
    """Answers from what was read before the fork."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d rows\n" % _settings[0]]
