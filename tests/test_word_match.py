"""Words looked up in what is said of movies, worked out by hand."""

import numpy as np

from recommender.data.catalog import Catalog
from recommender.text.word_match import WordMatch, telling_words


def test_words_are_found_in_their_forms_and_only_as_words() -> None:
    lines = ["A robbed bank", "Robots at war", "He robs and is robbing", "robin", "WARS of Amélie", "warp"]
    match = WordMatch([*lines, "in 1984 at sea", "steward", "zombies"])
    found = {word: match.rows_with(word).tolist() for word in ("rob", "robot", "war", "amelie", "1984", "198", "sea")}
    assert match.rows_with("zombies").tolist() == [8]  # whose stem is zomby
    assert found == {"rob": [0, 2], "robot": [1], "war": [1, 4], "amelie": [4], "1984": [6], "198": [], "sea": [6]}


def test_the_share_of_words_by_hand() -> None:
    match = WordMatch(["chess in paris", "paris", "war", "war", "war and paris"])
    share = match.share("a movie about chess in Paris, zzz")
    chess, paris = np.log(6 / 1), np.log(6 / 3)
    np.testing.assert_allclose(share, np.array([chess + paris, paris, 0, 0, paris]) / (chess + paris), rtol=1e-6)
    assert not match.share("zzz").any()
    assert telling_words("movies directed by Ann Lee") == ["ann", "lee"]


def test_languages_are_held_by_their_names_and_sad_is_not_sade() -> None:
    match = WordMatch(["Marquis de Sade, 19857", "a sad end"])
    assert match.rows_with("sad").tolist() == [1]
    codes = enumerate(["ko", "en", "", "fr"])
    movies = [{"movieId": str(i), "title": "A", "genres": "Drama", "original_language": code} for i, code in codes]
    match = WordMatch(Catalog(movies).lines())
    found = [match.rows_with(word).tolist() for word in ("korean", "french", "english", "en", "ko")]
    assert found == [[0], [3], [], [], []]
