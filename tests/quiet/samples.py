"""What waltop says of a database while the programs of a kind run."""

import collections
import json
import os
import shutil
import signal
import subprocess
import threading
import time

import expected

# No command of waltop takes this long, even on a machine with a load of thirty.
ANSWER_S = 120

LOOKS = (
    ("check", "--json", "--for", "1s"),
    ("status", "--json"),
    ("check", "--json"),
    ("status", "--json", "--for", "700ms"),
)
GUARDS = (
    ("health", "--json", "--for", "2s"),
    ("checkpoint", "--json"),
    ("stats", "--json"),
    ("health", "--json", "--for", "2s"),
)


class Samples:
    """Runs waltop again and again, and counts what it says."""

    def __init__(self, stage, options):
        self.stage = stage
        self.waltop = options.waltop
        self.out = options.out
        self.together = options.together
        # The user that waltop runs as; None: the same as the programs.
        self.uid = None
        self.pause = options.pause
        self.lock = threading.Lock()
        self.counts = collections.Counter()
        self.findings = collections.Counter()
        self.refusals = collections.Counter()
        self.tolerated = collections.Counter()
        self.most_processes = 0
        self.unexpected = []
        # One message of a finding for each text in `unexpected`.
        self.examples = {}

    def run(self, until, module):
        """Samples until the monotonic time `until`; the commands that only read and the workers take turns of their own.
        A kind's LOOKS replace the commands that only read. Its GUARD_PAUSE_S is how many seconds lie between two workers;
        None: no worker runs."""
        self.uid = getattr(module, "WALTOP_UID", None)
        if self.uid is not None:
            self._let_in()
        guard_pause = getattr(module, "GUARD_PAUSE_S", 0.3)
        looks = getattr(module, "LOOKS", LOOKS)
        threads = [threading.Thread(target=self._repeat, args=(looks, until, self.pause))]
        if guard_pause is not None:
            threads.append(threading.Thread(target=self._repeat, args=(GUARDS, until, max(guard_pause, self.pause))))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _let_in(self):
        """Gives the other user a waltop that it can run, folders of its own, and a way to the database."""
        copy = self.stage.folder / "waltop"
        shutil.copy2(self.waltop, copy)
        self.waltop = copy
        self.stage.folder.chmod(0o755)
        for name, folder in self.stage.env.items():
            if name == "HOME" or name.startswith("XDG_") and name.endswith("_HOME"):
                os.chown(folder, self.uid, self.uid)

    def _repeat(self, commands, until, pause):
        turn = 0
        while time.monotonic() < until:
            try:
                self._once(commands[turn % len(commands)])
            except Exception as error:  # noqa: BLE001 - a thread that dies silently would look like a quiet run
                self._unexpected("driver", (repr(error),), "", "")
            turn += 1
            time.sleep(pause)

    def _once(self, words):
        command, *options = words
        argv = [self.waltop, command, *options, str(self.stage.db)]
        ended = subprocess.run(argv, env=self.stage.env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ANSWER_S, check=False, user=self.uid, group=self.uid, extra_groups=None if self.uid is None else [])
        with self.lock:
            self.counts[command] += 1
        if ended.returncode < 0 or ended.returncode > 2 or "panicked" in ended.stderr:
            self._unexpected(f"{command} exit {ended.returncode}", words, ended.stdout, ended.stderr)
        elif not ended.stdout.strip():
            self._refused(words, ended.stdout, ended.stderr)
        elif command in ("check", "status"):
            self._read_findings(words, ended.stdout, ended.stderr)
        elif command == "health":
            for text in (trouble for report in json.loads(ended.stdout)["databases"] for trouble in report["troubles"]):
                self._refused(words, ended.stdout, ended.stderr, text)

    def _read_findings(self, words, stdout, stderr):
        database = json.loads(stdout)["databases"][0]
        named = set()
        for finding in database["findings"]:
            if finding["severity"] in ("warning", "error"):
                named.add((finding["name"], finding["severity"]))
        if database.get("unfit"):
            self._refused(words, stdout, stderr, str(database["unfit"]))
        with self.lock:
            self.most_processes = max(self.most_processes, len(database.get("processes", ())))
            self.findings.update(name for name, _ in named)
        bad = sorted(f"{severity} {name}" for name, severity in named if not self._allows(name))
        if bad:
            self._unexpected(", ".join(bad), words, stdout, stderr)

    def _allows(self, name):
        return expected.allows(self.stage.kind, name, self.together)

    def _refused(self, words, stdout, stderr, text=None):
        text = (text or stderr.strip() or "no answer").replace(str(self.stage.folder), "~")
        reason = expected.tolerates(self.stage.kind, text)
        if reason:
            with self.lock:
                self.tolerated[f"{words[0]}: {reason}"] += 1
        else:
            with self.lock:
                self.refusals[words[0]] += 1
            self._unexpected(f"{words[0]}: {text}", words, stdout, stderr)

    def _unexpected(self, what, words, stdout, stderr):
        """Keeps the answer, and what `/proc` says of the programs right after it."""
        try:
            answer = json.loads(stdout)
        except ValueError:
            answer = stdout
        evidence = {
            "kind": self.stage.kind,
            "what": what,
            "command": list(words),
            "at_s": round(time.monotonic(), 3),
            "stderr": stderr,
            "answer": answer,
            "programs": {program.process.pid: program.name for program in self.stage.programs},
            "locks": _locks(self.stage.db.parent),
        }
        with self.lock:
            self.unexpected.append(what)
            self.examples.setdefault(what, self._messages(answer))
            number = len(self.unexpected)
        if number <= 20:
            self.out.mkdir(parents=True, exist_ok=True)
            file = self.out / f"{self.stage.kind}-{number}.json"
            file.write_text(json.dumps(evidence, indent=1, ensure_ascii=False) + "\n")

    def _messages(self, answer):
        """The messages of the findings that nothing expects."""
        if not isinstance(answer, dict):
            return []
        findings = [finding for database in answer["databases"] for finding in database["findings"]]
        return [it["message"] for it in findings if it["severity"] != "info" and not self._allows(it["name"])]


def _locks(folder):
    """The rows of /proc/locks for the files in `folder`, by name. `stat` opens nothing."""
    inodes = {}
    for name in os.listdir(folder):
        try:
            inodes[str(os.stat(folder / name).st_ino)] = name
        except FileNotFoundError:
            pass
    rows = []
    with open("/proc/locks") as table:
        for row in table:
            words = row.split()
            inode = next((word.rsplit(":", 1)[1] for word in words if word.count(":") == 2), "")
            if inode in inodes:
                rows.append(f"{row.strip()} {inodes[inode]}")
    return rows


def interrupted_by_signals():
    """A signal that ends the driver raises in its main thread, so that what it started is ended."""

    def leave(number, _frame):
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, leave)
