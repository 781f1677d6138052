"""The 150 descriptions are what they claim to be: in other words than the texts of their movies, split in two.

`description_queries.csv` holds requests as people type them, for movies drawn at random (seed 2026) from those with at
least 5 ratings in ml-latest-small: 50 of the fifth with the most ratings, 50 of the next three tenths, 50 of the last
half. All were written and frozen before any backend had ranked them. `part` is `tune` (50, for choosing a backend's
settings) or `report`. A query shares no rare word, in any form, with our text of its movie: none that fewer than 60 of
the 6,138 movies have in their texts.
"""

from pathlib import Path

import pandas as pd

from recommender.data.catalog import Catalog
from recommender.text.base import movie_text
from recommender.text.word_match import WordMatch, content_words

HERE = Path(__file__).resolve().parent


def test_no_query_shares_a_rare_word_with_the_text_of_its_movie():
    queries = pd.read_csv(HERE / "description_queries.csv")
    assert queries["part"].value_counts().to_dict() == {"report": 100, "tune": 50}
    assert queries["movieId"].is_unique
    catalog = Catalog.load(HERE.parent / "processed")
    match = WordMatch(movie_text(catalog.movie(row)) for row in range(len(catalog)))

    def shared_rare(query: str, row: int) -> list[str]:
        holding = {word: match.rows_with(word) for word in content_words(query)}
        return [word for word, rows in holding.items() if len(rows) < 60 and row in rows]

    rows = map(catalog.row_of, queries["movieId"])
    assert not [text for text, row in zip(queries["query"], rows) if shared_rare(text, row)]
    assert shared_rare("espionage of toys and rangers", catalog.row_of(1)) == ["toys", "rangers"]  # Toy Story
