"""Measures what `waltop search` finds by words, by meaning and by both, and how long it takes.

    python3 examples/embedding/measure.py --waltop target/release/waltop --db notes.db \\
        --embed http://127.0.0.1:8642/v1 --embed-model all-MiniLM-L6-v2 --questions examples/embedding/questions.tsv

The database has vectors of the model (serve.py beside this program serves a small one). Identifiers are taken from the
documents: names with an underscore, a capital inside, leading dashes or the ending of a file, that stand in one document
only. Questions come from a file with a group, the end of a document's name, and a text in each line.

For each group it prints in how many cases the document is the first, among the first three and ten, and the mean of
1/rank. --late also measures an API that is not there, never answers, and hangs up after a second.
"""

import argparse
import collections
import json
import re
import socket
import sqlite3
import statistics
import subprocess
import threading
import time

IDENTIFIER = re.compile(r"--[a-z][a-z-]{3,}|\b\w+_\w+\b|\b[a-z]+[A-Z]\w+\b|\b[\w-]+\.(?:ts|js|py|json|css|sh|sql|toml)\b")
WAYS = {"words": ["--words"], "meaning": ["--semantic"], "both": []}
DEPTH = 10


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--waltop", default="waltop", help="the program; default: the one in PATH")
    parser.add_argument("--db", required=True)
    parser.add_argument("--embed", required=True, metavar="URL")
    parser.add_argument("--embed-model", required=True, metavar="NAME")
    parser.add_argument("--questions", metavar="FILE")
    parser.add_argument("--identifiers", type=int, default=100, metavar="N")
    parser.add_argument("--late", action="store_true")
    return parser.parse_args()


def identifiers(database, most):
    """Each with the only document that has it."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    documents = connection.execute("SELECT path, body FROM nodes ORDER BY path").fetchall()
    connection.close()
    holders = collections.defaultdict(set)
    for path, body in documents:
        for found in IDENTIFIER.findall(body):
            holders[found].add(path)
    single = sorted((name, min(paths)) for name, paths in holders.items() if len(paths) == 1)
    step = max(1, len(single) // most)
    chosen = []
    for name, path in single[::step]:
        # Within a longer name it stands in others too.
        if sum(name.lower() in body.lower() for _, body in documents) == 1:
            chosen.append(("identifiers", path, name))
    return chosen[:most]


def questions(file):
    with open(file, encoding="utf-8") as lines:
        lines = [line.rstrip("\n") for line in lines if line.strip() and not line.startswith("#")]
    return [(f"questions, {group}", path, text) for group, path, text in (line.split("\t") for line in lines)]


def search(args, way, text, embed=None):
    """Names of the documents, the whole answer, and the time of the process in ms."""
    command = [args.waltop, "search", "--json", "--limit", str(DEPTH), "--db", args.db, *WAYS[way]]
    if way != "words":
        command += ["--embed", embed or args.embed, "--embed-model", args.embed_model]
    begun = time.perf_counter()
    done = subprocess.run([*command, "--", text], capture_output=True, text=True)
    took = (time.perf_counter() - begun) * 1000
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr)
    answer = json.loads(done.stdout)
    return [hit["path"] for hit in answer["hits"]], answer, took


def measure(args, cases):
    ranks = collections.defaultdict(list)
    times = collections.defaultdict(list)
    alone = 0
    for group, document, text in cases:
        for way in WAYS:
            found, answer, took = search(args, way, text)
            rank = next((at for at, path in enumerate(found, 1) if path.endswith(document)), None)
            ranks[group, way].append(rank)
            if group.startswith("questions"):
                ranks["questions, all", way].append(rank)
            times[way].append(took)
            alone += way == "both" and answer["words_alone"] is not None
    print(f"{'':<22}{'':<10}{'first':>12}{'first 3':>12}{'first 10':>12}{'MRR':>8}")
    for (group, way), found in sorted(ranks.items()):
        within = [sum(rank is not None and rank <= most for rank in found) for most in (1, 3, 10)]
        shares = "".join(f"{count:>6} ({count / len(found):4.0%})"[:13].rjust(12) for count in within)
        mean = sum(1 / rank for rank in found if rank) / len(found)
        print(f"{group:<22}{way:<10}{shares}{mean:>8.3f}   of {len(found)}")
    for way, taken in times.items():
        taken.sort()
        print(f"{way}: median {statistics.median(taken):.1f} ms, 95 % within {taken[len(taken) * 95 // 100]:.1f} ms")
    print(f"by words alone, because the API was late or failed: {alone} of {len(times['both'])}")


def late(args):
    """What a search does when the API is not as it should be."""
    def listener(answers_after):
        server = socket.create_server(("127.0.0.1", 0))

        def serve():
            kept = []
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                kept.append(connection)
                if answers_after is not None:
                    time.sleep(answers_after)
                    connection.close()

        threading.Thread(target=serve, daemon=True).start()
        return server, f"http://127.0.0.1:{server.getsockname()[1]}/v1"

    with socket.create_server(("127.0.0.1", 0)) as unused:
        closed = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
    silent, silent_url = listener(None)
    slow, slow_url = listener(1.0)
    for name, url in (("not there", closed), ("never answers", silent_url), ("hangs up after 1 s", slow_url)):
        runs = [search(args, "both", "write lock", url) for _ in range(5)]
        times = sorted(took for _, _, took in runs)
        found, answer, _ = runs[0]
        print(f"API {name}: median {times[2]:.0f} ms, longest {times[-1]:.0f} ms, {len(found)} documents, "
              f"by {answer['by']}, {answer['words_alone']}")
    silent.close()
    slow.close()


def main():
    args = arguments()
    cases = identifiers(args.db, args.identifiers)
    if args.questions:
        cases += questions(args.questions)
    measure(args, cases)
    if args.late:
        late(args)


if __name__ == "__main__":
    main()
