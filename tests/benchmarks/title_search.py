"""Time and accuracy of title search over 87,000 titles: `python -m tests.benchmarks.title_search`.

The titles are those of the shipped data and a made-up crowd: real titles whose content words are exchanged for words of
other titles, one in five for a new word (the beginning of one and the end of another), so that words and spellings are
as crowded as in a real list of this size.
"""

import re
import time

import numpy as np

from recommender import Recommender
from recommender.data.catalog import Catalog
from recommender.data.titles import TitleIndex
from tests.benchmarks.tools import ROOT, flags

Titles = dict[int, str]  # by movie id


def crowd(titles: Titles, n: int, rng: np.random.Generator) -> tuple[Titles, dict[int, int]]:
    """Return `n` made-up movies whose words are drawn from `titles`, and their numbers of ratings."""
    content = re.compile(r"[^\W\d_]{4,}")
    real = list(titles.values())
    pool = np.array([word for title in real for word in content.findall(title)])
    heads, tails = rng.permutation(pool), rng.permutation(pool)
    new = np.array([head[: len(head) // 2 + 1] + tail[len(tail) // 2 :].lower() for head, tail in zip(heads, tails)])
    next_id = max(titles) + 1
    made: Titles = {}
    for i, pick in enumerate(rng.integers(len(real), size=n).tolist()):
        words = iter(np.where(rng.random(40) < 0.2, rng.choice(new, size=40), rng.choice(pool, size=40)).tolist())
        made[next_id + i] = content.sub(lambda match, words=words: next(words, match.group()), real[pick])
    return made, dict(zip(made, rng.integers(0, 3, size=n).tolist()))


def run(asked: list[list[str]], index: TitleIndex, ids: list[int]) -> None:
    times, misses, wrong = [], [], []
    for text, movie_id, kind in asked:
        begin = time.perf_counter()
        found = index.search(text)
        times.append(1e3 * (time.perf_counter() - begin))
        misses += [f"{text} ({kind})"] if not found or ids[found[0].row] != int(movie_id) else []
        row = index.resolve(text).row
        wrong += [text] if row is not None and ids[row] != int(movie_id) else []
    p50, p95, p99 = np.percentile(times, [50, 95, 99])
    right = 1 - len(misses) / len(asked)
    print(f"  n {len(asked)}  right {right:.1%}  p50 {p50:.2f}  p95 {p95:.2f}  p99 {p99:.2f} ms; not first: {misses}")
    print(f"  resolved without a question, but to another movie: {wrong}")


def main() -> None:
    shipped, n = Recommender.load().catalog, flags(__doc__, titles=87_000).titles
    real = dict(zip(shipped.movie_ids.tolist(), shipped.raw_titles))
    counts = dict(zip(shipped.movie_ids.tolist(), shipped.n_ratings.tolist()))
    made, made_counts = crowd(real, n - len(real), np.random.default_rng(0))
    for name, titles in (("shipped", real), ("full size", {**real, **made})):
        rows = [{"movieId": str(i), "title": title, "genres": ""} for i, title in titles.items()]
        catalog = Catalog(rows, {**counts, **made_counts})
        builds = []
        for _ in range(5):
            begin = time.perf_counter()
            index = TitleIndex(catalog)
            builds.append(1e3 * (time.perf_counter() - begin))
        print(f"{name}: {len(catalog)} titles, indexed in {np.median(builds):.0f} ms")
        for path in sorted((ROOT / "tests").glob("title_queries*.tsv")):
            print(path.name)
            lines = path.read_text(encoding="utf-8").splitlines()
            asked = [line.split("\t") for line in lines if line[:2] != "# "]
            run([one for one in asked if one[1] != "0"], index, catalog.movie_ids.tolist())  # 0: absent


if __name__ == "__main__":
    main()
