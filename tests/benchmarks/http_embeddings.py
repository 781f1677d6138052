"""How near the http backend comes to the limit that concurrency and batch size set.

    python tests/benchmarks/http_embeddings.py [--widths 384 1536 3072] [--repeats 3]

A server on loopback, in a process of its own, waits 100 ms before each answer and then sends vectors with 17 digits a
number, which is about what OpenAI sends. So at most

    limit = concurrency * batch_size / 0.1 s

texts a second can come. The goal is 0.8 of it. Printed are medians over the repeats, without a cache and with a new
one. What is missing to the limit is mostly the reading of numbers as JSON, which grows with the width and which threads
do not share; base64 does without.
"""

from __future__ import annotations

import argparse
import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import base64
import http.server
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Optional

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

from recommender.text.backends.http import HttpBackend

LATENCY = 0.1
N_TEXTS = 5120


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    embeddings: ClassVar[dict[str, bytes]] = {}

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        end = time.monotonic() + LATENCY
        content = self.rfile.read(int(self.headers["Content-Length"]))
        body = json.loads(content)
        embedding = self.embeddings[body["encoding_format"]]
        rows = b",".join(b'{"index":%d,"embedding":%s}' % (row, embedding) for row in range(len(body["input"])))
        time.sleep(max(0.0, end - time.monotonic()))
        self.send_response(200)
        self.send_header("Content-Length", str(len(rows) + 11))
        self.end_headers()
        self.wfile.write(b'{"data":[' + rows + b"]}")


def serve(width: int) -> None:
    """Serve until killed; print the port."""
    vector = np.random.default_rng(0).standard_normal(width) / width**0.5
    in_base64 = base64.b64encode(vector.astype("<f4").tobytes()).decode()
    Handler.embeddings = {"float": json.dumps(vector.tolist()).encode(), "base64": json.dumps(in_base64).encode()}
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()


def seconds_to_embed(texts: list[str], **settings: object) -> float:
    some = HttpBackend(model="m", **settings)
    some.embed_texts(["warm"])
    start = time.perf_counter()
    some.embed_texts(texts)
    seconds = time.perf_counter() - start
    return seconds


def measure(url: str, width: int, n_repeats: int, concurrency: int, batch_size: int) -> None:
    texts = [f"Title: Movie {i} (1999).\nGenres: Drama.\nPlot: {'word ' * 60}{i}." for i in range(N_TEXTS)]
    limit = concurrency * batch_size / LATENCY
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for repeat in range(n_repeats):
            for encoding in ("float", "base64"):
                for cache, place in (("no", ""), ("new", f"{folder}/{repeat}{encoding}")):
                    some = {"base_url": url, "concurrency": concurrency, "batch_size": batch_size}
                    taken = seconds_to_embed(texts, encoding=encoding, cache=place, **some)
                    seconds.setdefault(f"{encoding:6}  {cache:4} cache", []).append(taken)
    for name, values in seconds.items():
        rate = N_TEXTS / statistics.median(values)
        print(f"{width:5}  {name}  {rate:9,.0f} texts/s  {rate / limit:5.2f} of the limit {limit:,.0f}")


def main(argv: Optional[Sequence[str]] = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--widths", type=int, nargs="+", default=[384, 1536, 3072])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--concurrency", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--serve", type=int, metavar="WIDTH", help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv)
    if arguments.serve:
        serve(arguments.serve)
    for width in arguments.widths:
        command = [sys.executable, __file__, "--serve", str(width)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                port = server.stdout.readline().strip() if server.stdout else ""
                url = f"http://127.0.0.1:{port}/v1"
                measure(url, width, arguments.repeats, arguments.concurrency, arguments.batch_size)
            finally:
                server.kill()


if __name__ == "__main__":
    main()
