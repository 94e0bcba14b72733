"""A supervisor that restarts its worker once, as a service manager does after a crash, while waltop watches for long."""

import subprocess
import sys
import time

import actors
import stage as stages

PROCESSES = 1
# Each of these sees the restart, or what is left of it.
LOOKS = (("check", "--json", "--for", "12s"), ("status", "--json", "--for", "2s"))


def start(stage):
    stage.make()
    stage.role("supervises")


def proof(stage):
    """Why the run proves nothing, if so."""
    return None if "restarted" in stage.programs[0].lines() else "nothing was restarted"


def supervises(path):
    worker = work(path)
    actors.ready()
    time.sleep(5)
    worker.kill()
    worker.wait()
    worker = work(path)
    print("restarted", flush=True)
    sys.exit(worker.wait())


def work(path):
    return subprocess.Popen([sys.executable, stages.HERE / "actors.py", "restarted_once", "writer", path])
