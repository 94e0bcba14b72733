"""One kind on the stage: a folder of its own, a fresh database, and the processes that use it."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent.parent / "target"
VENV = TARGET / "quiet-venv"
NODE_MODULES = TARGET / "quiet-node" / "node_modules"

# How long a program may take until it says that it is ready: Optuna alone imports for some seconds on a busy machine.
READY_S = 120
# How long a program may take to exit after SIGTERM, before it gets SIGKILL.
EXIT_S = 10


class Skip(Exception):
    """The kind cannot run here; the text says what is missing."""


class Failure(Exception):
    """A program did not do its part, so that its silence would prove nothing."""


class Program:
    """A process in a session of its own, so that its children can be ended with it."""

    def __init__(self, argv, log, env, cwd):
        self.name = " ".join(Path(str(word)).name for word in argv[:3])
        self.log = log
        with open(log, "wb") as out:
            self.process = subprocess.Popen(
                [str(word) for word in argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                start_new_session=True,
            )

    def wait_for(self, condition):
        """Waits until `condition` holds; the program has to live meanwhile."""
        deadline = time.monotonic() + READY_S
        while not condition():
            if self.process.poll() is not None:
                raise Failure(f"{self.name} exited with {self.process.returncode}: {self.last_lines()}")
            if time.monotonic() > deadline:
                raise Failure(f"{self.name} was not ready within {READY_S} s: {self.last_lines()}")
            time.sleep(0.05)

    def wait_for_line(self, line):
        self.wait_for(lambda: line in self.lines())

    def lines(self):
        """What it has printed."""
        return self.log.read_text(errors="replace").splitlines()

    def last_lines(self):
        return " | ".join(self.lines()[-4:])

    def end(self):
        """Ends the process, and whatever it left running in its session."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(EXIT_S)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()


class Stage:
    """What a kind starts its programs with."""

    def __init__(self, kind, module):
        self.kind = kind
        self.module = module
        self.folder = Path(tempfile.mkdtemp(prefix=f"waltop-quiet-{kind}-"))
        self.db = self.folder / "data" / "app.db"
        self.db.parent.mkdir()
        self.programs = []
        homes = {name: self.folder / name.lower() for name in ("HOME", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")}
        for home in homes.values():
            home.mkdir()
        self.env = {
            **os.environ,
            **{name: str(home) for name, home in homes.items()},
            "PYTHONPATH": str(HERE),
            "PYTHONUNBUFFERED": "1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "NODE_PATH": str(NODE_MODULES),
        }

    def venv(self, program, package):
        """The path of `program` in the virtual environment that install.sh makes."""
        path = VENV / "bin" / program
        # `find_spec` only finds the package; importing Optuna would take seconds.
        probe = f"import importlib.util, sys; sys.exit(importlib.util.find_spec({package!r}) is None)"
        if not path.exists() or subprocess.run([VENV / "bin" / "python", "-c", probe], check=False).returncode:
            raise Skip(f"{package} is not installed; run tests/quiet/install.sh")
        return path

    def command(self, name):
        path = shutil.which(name)
        if path is None:
            raise Skip(f"{name} is not installed; run tests/quiet/install.sh")
        return path

    def start(self, *argv, ready=True):
        """Starts a program; `ready` waits until it prints that word on a line."""
        program = Program(argv, self.folder / f"program{len(self.programs)}.log", self.env, self.folder)
        self.programs.append(program)
        if ready:
            program.wait_for_line("ready")
        return program

    def role(self, name, *args, python=sys.executable, ready=True):
        """Starts a function of the kind's own file, or of actors.py, as a process on the database."""
        return self.start(python, HERE / "actors.py", self.module, name, self.db, *args, ready=ready)

    def make(self, journal_mode="wal", rows=200, path=None):
        """Makes the database, in a process that exits: the driver itself never opens one."""
        argv = [sys.executable, HERE / "actors.py", self.module, "make", path or self.db, journal_mode, str(rows)]
        subprocess.run([str(word) for word in argv], env=self.env, check=True)

    def fallen(self):
        """The programs that exited though they were to run until the end."""
        return [
            f"{program.name} exited with {program.process.returncode}: {program.last_lines()}"
            for program in self.programs
            if program.process.poll() is not None
        ]

    def end(self):
        for program in reversed(self.programs):
            program.end()
        shutil.rmtree(self.folder, ignore_errors=True)
