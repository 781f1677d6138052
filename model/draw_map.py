"""Draw the map of tastes that the page of model.serve shows: a point for every movie, by people and by texts."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

from recommender import cli
from recommender.data.errors import ArtifactError
from recommender.facade import Recommender
from recommender.serve.map import KIND, TasteMap, plane
from recommender.session.cold_start import load_texts
from recommender.session.gaussian import ConditionalGaussian
from recommender.text import registry


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Compute, store."""
    parser = cli.Parser("model.draw_map", __doc__ or "")
    parser.add_folders(KIND)
    parser.add_argument("--backend", choices=registry.names(), help="whose text vectors (default: the stored minilm)")
    given = parser.parse_args(argv)
    output = cli.output_folder(given, KIND)
    recommender = Recommender.load(given.processed, backend=given.backend)
    rule, catalog = recommender.rule, recommender.catalog
    if not isinstance(rule, ConditionalGaussian):
        raise ArtifactError("; ".join(recommender.notes) or "the map needs the conditional Gaussian of a session")
    texts = load_texts(recommender.folder, catalog, recommender.backend)
    TasteMap(catalog, plane(rule.movie_vectors / rule.deviations[:, None], texts)).save(output)
    print(f"{len(catalog):,} movies, by ratings and by the texts of {recommender.backend}; stored in {output}")


if __name__ == "__main__":
    cli.run(main)
