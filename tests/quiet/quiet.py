#!/usr/bin/env python3
"""No false alarm: runs real programs that use SQLite as they should, and fails where waltop finds something wrong with them.

    python3 tests/quiet/quiet.py --waltop target/debug/waltop --seconds 20
    python3 tests/quiet/quiet.py --waltop target/release/waltop --seconds 600 --together

Each kind (a file in kinds/) runs on a fresh database in a folder of its own, while `waltop check` and `status` and the
workers `health`, `checkpoint` and `stats` run again and again. A finding of severity warning or error that expected.py does
not list, and a refusal that it does not list, is unexpected: its JSON is kept, and the exit code is 1. A kind whose programs
are not installed is skipped, and said so.
"""

import argparse
import importlib
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
# Nothing is written into the sources.
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))

import samples  # noqa: E402
import stage as stages  # noqa: E402

KINDS = sorted(path.stem for path in (HERE / "kinds").glob("*.py") if "PROCESSES" in path.read_text())


class Result:
    def __init__(self, kind, verdict, why="", seen=None):
        self.kind = kind
        self.verdict = verdict
        self.why = why
        self.seen = seen

    def row(self):
        name = self.kind.replace("_", "-")
        if self.seen is None:
            return f"{name:22} {self.verdict:8} {self.why}"
        looks = sum(self.seen.counts[command] for command in ("check", "status"))
        guards = sum(self.seen.counts.values()) - looks
        findings = ", ".join(f"{finding} {count}" for finding, count in sorted(self.seen.findings.items())) or "none"
        refusals = ", ".join(f"{command} {count}" for command, count in sorted(self.seen.refusals.items())) or "none"
        busy = sum(self.seen.tolerated.values())
        why = f"; {self.why}" if self.why else ""
        return f"{name:22} {self.verdict:8} {looks:5} {guards:5} {self.seen.most_processes:5}  {findings}; {refusals}; {busy}{why}"

    def lines(self):
        """What was unexpected, and what a worker answered instead of its work for a reason that expected.py lists."""
        name = self.kind.replace("_", "-")
        if self.seen is None:
            return []
        bad = []
        for what in sorted(set(self.seen.unexpected)):
            bad.append(f"{name}: UNEXPECTED {self.seen.unexpected.count(what)} × {what}")
            bad += [f"    {message}" for message in self.seen.examples[what]]
        return bad + [f"{name}: expected {count} × {reason}" for reason, count in sorted(self.seen.tolerated.items())]


def run(kind, options):
    module = importlib.import_module(f"kinds.{kind}")
    stage = stages.Stage(kind, kind)
    seen = samples.Samples(stage, options)
    try:
        module.start(stage)
        until = time.monotonic() + options.seconds
        seen.run(until, module)
        fallen = stage.fallen()
        unproved = module.proof(stage) if hasattr(module, "proof") else None
        if seen.unexpected:
            return Result(kind, "FAILED", f"unexpected: {len(seen.unexpected)}", seen)
        if fallen:
            return Result(kind, "FAILED", "; ".join(fallen), seen)
        if unproved:
            return Result(kind, "FAILED", unproved, seen)
        if seen.most_processes < module.PROCESSES:
            return Result(kind, "FAILED", f"waltop saw fewer than {module.PROCESSES} processes", seen)
        return Result(kind, "passed", "", seen)
    except stages.Skip as missing:
        return Result(kind, "SKIPPED", str(missing))
    except Exception as error:  # noqa: BLE001 - one kind that cannot be set up does not keep the others from running
        return Result(kind, "FAILED", f"{type(error).__name__}: {error}", seen)
    finally:
        stage.end()


def options_of(argv):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--waltop", required=True, type=Path, help="the program to test")
    parser.add_argument("--seconds", type=float, default=20, help="how long each kind runs (default: 20)")
    parser.add_argument("--kinds", help="only these, separated by commas")
    parser.add_argument("--jobs", type=int, default=4, help="how many kinds run at a time (default: 4)")
    parser.add_argument("--together", action="store_true", help="all kinds at the same time")
    parser.add_argument("--pause", type=float, help="seconds between two samples of a kind (default: 0; with --together 3)")
    parser.add_argument("--out", type=Path, default=stages.TARGET / "quiet", help="where unexpected answers are kept")
    parser.add_argument("--list", action="store_true", help="print the kinds")
    options = parser.parse_args(argv)
    options.waltop = options.waltop.resolve()
    if options.pause is None:
        # All kinds share the CPUs with the samples of all kinds.
        options.pause = 3 if options.together else 0
    chosen = KINDS if options.kinds is None else [name.strip().replace("-", "_") for name in options.kinds.split(",")]
    unknown = [name for name in chosen if name not in KINDS]
    if unknown:
        parser.error(f"unknown kind {unknown[0]}; there are {', '.join(KINDS)}")
    options.kinds = chosen
    return options


def main(argv):
    options = options_of(argv)
    if options.list:
        for kind in options.kinds:
            print(f"{kind.replace('_', '-'):22} {' '.join(importlib.import_module(f'kinds.{kind}').__doc__.split())}")
        return 0
    samples.interrupted_by_signals()
    for old in options.out.glob("*.json"):
        old.unlink()
    print(f"{'kind':22} {'':8} looks guards procs  findings (warning, error); refusals; expected refusals", flush=True)
    said = threading.Lock()

    def one(kind):
        result = run(kind, options)
        with said:
            print(result.row(), flush=True)
        return result

    # The kinds that would disturb the others come after them, one at a time.
    beside = [kind for kind in options.kinds if not getattr(importlib.import_module(f"kinds.{kind}"), "ALONE", False)]
    with ThreadPoolExecutor(max(len(beside), 1) if options.together else options.jobs) as pool:
        results = list(pool.map(one, beside))
    results += [one(kind) for kind in options.kinds if kind not in beside]
    for result in results:
        for line in result.lines():
            print(line)
    verdicts = [result.verdict for result in results]
    if "FAILED" in verdicts:
        print(f"the answers are in {options.out}")
    print(f"{verdicts.count('passed')} passed, {verdicts.count('FAILED')} failed, {verdicts.count('SKIPPED')} skipped")
    return 1 if "FAILED" in verdicts else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
