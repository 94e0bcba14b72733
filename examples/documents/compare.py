"""Compares the rows that waltop makes of a folder with what other programs read of the same files.

    python3 examples/documents/compare.py --waltop target/release/waltop docs

The references come from PyPI (requirements.txt), into an environment below --environment:
PyYAML reads the front matter, markdown-it-py the links, addresses and titles (CommonMark with
tables, and addresses in prose), obsidiantools the wikilinks and tags.

For each kind it prints how many values both have, and how many only one of them. Values are
counted once a document. --show N lists the first N differences of each kind. The exit code is
0, 2 if waltop failed, or 3 if the references could not be installed.
"""

import argparse
import collections
import os
import pathlib
import sqlite3
import subprocess
import sys
import tempfile
import venv
from urllib.parse import unquote

HERE = pathlib.Path(__file__).resolve().parent


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--waltop", default="waltop", help="the program; default: the one in PATH")
    parser.add_argument("--environment", type=pathlib.Path, default=pathlib.Path("target/documents"))
    parser.add_argument("--show", type=int, default=0, metavar="N", help="differences of each kind to list")
    return parser.parse_args()


def in_environment(folder):
    """Runs this program again with the references, unless they are there."""
    python = folder / "bin" / "python"
    if pathlib.Path(sys.prefix).resolve() == folder.resolve():
        return
    if not (folder / "complete").exists():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "-r", HERE / "requirements.txt"], check=True)
        (folder / "complete").touch()
    os.execv(python, [python, *sys.argv])


class Agreement:
    """Values of one kind that both read, and those of one side alone."""

    def __init__(self):
        self.both = 0
        self.ours = []
        self.theirs = []

    def note(self, name, ours, theirs):
        ours, theirs = set(ours), set(theirs)
        self.both += len(ours & theirs)
        self.ours += [(name, value) for value in sorted(ours - theirs)]
        self.theirs += [(name, value) for value in sorted(theirs - ours)]

    def line(self, kind):
        total = self.both + len(self.ours) + len(self.theirs)
        share = f"{100 * self.both / total:.2f} %" if total else "none"
        return f"{kind:12} {share:>9}  both {self.both:6}  waltop alone {len(self.ours):5}  reference alone {len(self.theirs):5}"


def ingested(waltop, folder, database):
    run = subprocess.run(
        [waltop, "ingest", folder, "--root", "r", "--db", database],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )
    # 1: a file failed. Its rows are missing on this side, and show as differences.
    if run.returncode not in (0, 1):
        print(f"waltop ingest ended with {run.returncode}: {run.stderr.strip()}", file=sys.stderr)
        sys.exit(2)
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    edges = collections.defaultdict(set)
    for source, kind, target in connection.execute("SELECT source, kind, target FROM edges"):
        edges[source, kind].add(target)
    for row, path, title, front in connection.execute("SELECT id, path, title, front_matter FROM nodes"):
        yield path.removeprefix("r/"), title, front, lambda kind, row=row: edges[row, kind]


def main():
    args = arguments()
    try:
        in_environment(args.environment)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"the references cannot be installed: {error}", file=sys.stderr)
        return 3
    sys.dont_write_bytecode = True
    import references

    kinds = collections.defaultdict(Agreement)
    with tempfile.TemporaryDirectory() as place:
        database = pathlib.Path(place) / "compared.db"
        for name, title, front, edges in ingested(args.waltop, args.folder, database):
            if not name.endswith((".md", ".markdown")):
                continue
            read = references.Document(args.folder, name)
            kinds["documents"].note(name, [name], [name])
            kinds["front matter"].note(name, references.values_of_json(front), read.values())
            kinds["titles"].note(name, [title], [read.title()])
            kinds["links"].note(name, edges("link"), read.links("r"))
            kinds["addresses"].note(name, map(unquote, edges("url")), read.addresses())
            # obsidiantools reads them of HTML, where several blanks are one.
            kinds["wikilinks"].note(name, map(references.one_line, edges("wikilink")), read.wikilinks())
            kinds["tags"].note(name, map(str.lower, edges("tag")), map(str.lower, read.tags()))
    for kind, agreement in kinds.items():
        print(agreement.line(kind))
        for side, values in (("waltop", agreement.ours), ("reference", agreement.theirs)):
            for name, value in values[: args.show]:
                print(f"    {side} alone: {name}: {value!r}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
