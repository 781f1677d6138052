"""How near the http backend comes to the limit that concurrency and batch size set.

    python -m tests.benchmarks.http_embeddings [384 1536 3072]

A server on loopback, in a process of its own, waits 100 ms before each answer and then sends vectors with 17 digits a
number, as OpenAI does. So at most concurrency * batch_size / 0.1 s texts a second can come; the goal is 0.8 of it.
What is missing to the limit is mostly the reading of numbers as JSON, which grows with the width; base64 does without.
"""

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import base64
import itertools
import json
import multiprocessing
import statistics
import sys
import tempfile
import time
from multiprocessing.connection import Connection

import numpy as np

from recommender.text.backends.http import HttpBackend, HttpSettings
from tests.fake_server import Reply, Request, Server

LATENCY, N_TEXTS = 0.1, 5120
LIMIT = HttpSettings.concurrency * HttpSettings.batch_size / LATENCY
TEXTS = [f"Title: Movie {i} (1999).\nGenres: Drama.\nPlot: {'word ' * 60}{i}." for i in range(N_TEXTS)]


def serve(width: int, pipe: Connection) -> None:
    vectors = np.random.default_rng(0).standard_normal((HttpSettings.batch_size, width)) / width**0.5
    in_base64 = [base64.b64encode(vector.astype("<f4").tobytes()).decode() for vector in vectors]
    embeddings = {
        encoding: [json.dumps(vector).encode() for vector in listed]
        for encoding, listed in (("float", vectors.tolist()), ("base64", in_base64))
    }

    class Far(Server):
        def answer(self, request: Request) -> Reply:
            end, vectors = time.monotonic() + LATENCY, embeddings[request.body["encoding_format"]]
            rows = [b'{"index":%d,"embedding":%s}' % pair for pair in enumerate(vectors[: len(request.body["input"])])]
            return Reply(200, b'{"data":[%s]}' % b",".join(rows), wait=max(0.0, end - time.monotonic()))

    pipe.send(Far().url)
    time.sleep(1e6)


def main() -> None:
    for width in [int(word) for word in sys.argv[1:]] or [384, 1536, 3072]:
        here, there = multiprocessing.Pipe()
        multiprocessing.get_context("spawn").Process(target=serve, args=(width, there), daemon=True).start()
        url = here.recv()
        for encoding, cache in itertools.product(("float", "base64"), ("no", "new")):
            seconds = []
            for _ in range(3):
                with tempfile.TemporaryDirectory() as folder:
                    place = folder if cache == "new" else ""
                    some = HttpBackend(base_url=url, model="m", encoding=encoding, cache=place)
                    some.embed_texts(["warm"])
                    start = time.perf_counter()
                    some.embed_texts(TEXTS)
                    seconds.append(time.perf_counter() - start)
            rate = N_TEXTS / statistics.median(seconds)
            print(f"{width:5}  {encoding:6}  {cache:4} cache  {rate:9,.0f} texts/s  {rate / LIMIT:5.2f} of the limit")


if __name__ == "__main__":
    main()
