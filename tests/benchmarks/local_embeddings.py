"""The local backend beside scikit-learn's TF-IDF and truncated SVD: fitting, embedding, loading.

    python -m tests.benchmarks.local_embeddings

Prints medians and, where both do the same work, the ratio to scikit-learn in the same run, on one thread.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = "1"

import statistics
import timeit
from typing import Callable

import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from recommender.data.catalog import Catalog
from recommender.data.settings import default_folder
from recommender.text.backends.local import LocalBackend
from recommender.text.backends.word_features import features
from recommender.text.movie_text import movie_text
from recommender.text.vectors import VectorTable


def median_ms(work: Callable[[], object], repeats: int = 3) -> float:
    """Return the median time of `work` in milliseconds."""
    return 1000 * statistics.median(timeit.repeat(work, number=1, repeat=repeats))


def main() -> None:
    """Measure and print."""
    catalog = Catalog.load(default_folder("processed"))
    texts = [movie_text(catalog.movie(row)) for row in range(len(catalog))]
    queries = [f"{text.splitlines()[-1][:60]} {number}" for number, text in enumerate(texts[:50])]
    model = LocalBackend.fit(texts)
    weights = model.settings.weights()

    def named(text: str) -> list[str]:
        # the same features, so that both reduce the same matrix
        return [str(key) for key, (n_times, _) in features(text, weights, 1.0).items() for _ in range(n_times)]

    other = make_pipeline(
        TfidfVectorizer(analyzer=named, sublinear_tf=True, min_df=2, max_df=0.2),
        TruncatedSVD(model.identity.dimension, random_state=0),
    )
    folder = default_folder("processed") / "artifacts" / "text" / "local"
    print(f"{len(texts):,} movies, {len(model.fitted.hashes):,} features, {model.identity.dimension} dimensions; ms")
    for name, ours, theirs in (
        ("fit", lambda: LocalBackend.fit(texts), lambda: other.fit(texts)),
        ("embed all movies", lambda: model.embed_texts(texts), lambda: other.transform(texts)),
        (
            "50 requests, one by one",
            lambda: [model.embed_texts([query]) for query in queries],
            lambda: [other.transform([query]) for query in queries],
        ),
    ):
        mine, its = median_ms(ours), median_ms(theirs)
        print(f"{name:<28} ours {mine:>8.1f}   sklearn {its:>8.1f}   ratio {mine / its:.2f}")
    print(f"{'load the fitted model':<28} {median_ms(lambda: LocalBackend(folder / 'model'), 15):>13.1f}")
    print(f"{'load the vectors of movies':<28} {median_ms(lambda: VectorTable.load(folder), 15):>13.1f}")
    print(f"requests without a known word: {np.count_nonzero(~model.embed_texts(queries).any(axis=1))} of 50")


if __name__ == "__main__":
    main()
