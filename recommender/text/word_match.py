"""Which movies hold the words of a request: exact words where vectors know only themes.

    share_i = sum over words w of the request that i holds of idf_w / sum over all words that any movie holds of idf_w
    idf_w   = ln((1 + n_movies) / n_w)                         n_w: movies that hold w

from 0, no word, to 1, all of them. A word counts in any of its commonest forms (`stem`), in title,
year, genres, director, cast, keywords, description and language. Sparck Jones 1972, "A statistical interpretation of
term specificity and its application in retrieval".

Every word's movies are listed once, in a tenth of a second for some thousand movies. `KeywordMatch` compares with
keywords by meaning, for requests that are little more than one.
"""

from __future__ import annotations

import re
import unicodedata
from array import array
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import chain

import numpy as np

from ..data.catalog import Catalog

# Stop words of queries, which do not distinguish movies.
_STOP_WORDS = """
a about all an and any anything are as at be but by can could directed director for from full had has have i in into is
it its like lot made make me more most movie movies much must no not of on or please really set show so some someone
something starring story stories that the their them there they this to very want was we were what when where which
who whose will with without would you your film films picture pictures flick flicks cinema indie time
great best good my out us im id ive lets rainy tonight sunday saturday friday afternoon evening weekend
"""
STOP_WORDS = frozenset(_STOP_WORDS.split())
_WORD = re.compile(r"\w+")
_APOSTROPHES = "'\u2019\u02bc`\u00b4"
_SCIENCE_FICTION = re.compile(r"\bsci(?:ence)?[\s-]?fi(?:ction)?\b")
_VOWEL = re.compile("[aeiouy]")
_ENDINGS = "y|s|es|ies|d|ed|ing|ly"
MOST_WORDS = 60  # words of a query that are used


def fold(text: str) -> str:
    """Return `text` in lower case, without accents and apostrophes, all spellings of science fiction as `scifi`.

    >>> fold("Amélie's Sci-Fi")
    'amelies scifi'
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        text = "".join(letter for letter in text if not unicodedata.combining(letter))
    text = text.lower()
    for mark in _APOSTROPHES:  # quicker than a regular expression
        text = text.replace(mark, "")
    return _SCIENCE_FICTION.sub("scifi", text) if "sci" in text else text


def stem(word: str) -> str:
    """Take off a plural, `ing`, `ed` or `ly`, where a word with a vowel and three letters stays.

    Cruder than Porter (1980): what matters is only that forms of one word mostly meet, and that few words clash.

    >>> [stem(word) for word in ("cities", "heroes", "killing", "killed", "robbed", "slowly", "thing", "boss")]
    ['city', 'hero', 'kill', 'kill', 'rob', 'slow', 'thing', 'boss']
    """
    if len(word) > 4 and word.endswith("ies"):
        word = word[:-3] + "y"
    elif len(word) > 4 and word.endswith(("oes", "sses", "shes", "ches", "xes", "zes")):
        word = word[:-2]
    elif len(word) > 3 and word.endswith("s") and word[-2] not in "sui":
        word = word[:-1]
    for ending in ("ing", "ed", "ly"):
        rest = word[: -len(ending)]
        if word.endswith(ending) and len(rest) >= 3 and _VOWEL.search(rest):
            if ending != "ly" and rest[-1] == rest[-2] and rest[-1] not in "lsz":
                return rest[:-1]
            return rest
    return word[:-1] if len(word) > 3 and word.endswith("e") else word


def content_words(text: str) -> list[str]:
    """Return the distinct words of a query without stop words, folded.

    >>> content_words("A movie about chess, directed by Hitchcock")
    ['chess', 'hitchcock']
    """
    words = dict.fromkeys(word for word in _WORD.findall(fold(text)) if word not in STOP_WORDS)
    return list(words)[:MOST_WORDS]


class WordMatch:
    """Looks words up in `lines`, one for each movie, in order."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._rows: dict[str, array[int]] = defaultdict(partial(array, "i"))
        self._n = 0
        for line in lines:
            for word in set(_WORD.findall(fold(line))):
                self._rows[word].append(self._n)
            self._n += 1
        self._words = sorted(self._rows)
        self._beginning: dict[str, dict[str, int]] = {}  # letter -> what `beginning_like` returns

    def share(self, text: str) -> np.ndarray:
        """Return share_i, (n_movies,) float32; all 0 if no movie has any word.

        >>> WordMatch(["Rook: a life in chess", "War and chess"]).share("wars about chess").tolist()[1]
        1.0
        """
        held, total = np.zeros(self._n), 0.0
        for word in content_words(text):
            rows = self.rows_with(word)
            if len(rows):
                idf = np.log((1 + self._n) / len(rows))
                held[rows] += idf
                total += idf
        return (held / max(total, 1e-12)).astype(np.float32)

    def beginning_like(self, word: str) -> dict[str, int]:
        """Return the words that begin with the first letter of `word`, and how many movies hold each."""
        if (letter := word[:1]) not in self._beginning:
            found = self._words[bisect_left(self._words, letter) : bisect_left(self._words, letter + "\U0010ffff")]
            self._beginning[letter] = {one: len(self._rows[one]) for one in found}
        return self._beginning[letter]

    def rows_with(self, word: str) -> np.ndarray:
        """Return the movies with a form of `word` (folded), ascending."""
        root = stem(word)
        # An unchanged root has lost no e: sad is not a form of Sade.
        endings = _ENDINGS if root == word else f"e|{_ENDINGS}"
        form = re.compile(f"{re.escape(root)}(?:{re.escape(root[-1])}?(?:{endings})?|{re.escape(word[len(root) :])})")
        found: list[int] = [*self._rows.get(word, ())]  # its stem may begin no word: zombies, zomby
        for known in self._words[bisect_left(self._words, root) :]:
            if not known.startswith(root):
                break
            if form.fullmatch(known):
                found += self._rows[known]
        return np.unique(np.array(found, dtype=np.int64))


class KeywordMatch:
    """How near a text is to the nearest keyword or genre of each movie.

    words, vectors (n, d), of any length and dtype: of genres and keywords.  Cost of `best`: O(n_keywords d).
    """

    def __init__(self, catalog: Catalog, words: Sequence[str], vectors: np.ndarray) -> None:
        self._blocks = np.array_split(vectors, 1 + len(vectors) // 1024)  # as float32, all would be 20 MB
        lengths = [np.linalg.norm(block.astype(np.float32), axis=1) for block in self._blocks]
        self._lengths = np.maximum(np.concatenate(lengths), 1e-9)
        row_of, n = {movie_id: row for row, movie_id in enumerate(catalog.movie_ids.tolist())}, max(1, len(words))
        number = {word: i for i, word in enumerate(words)}
        rows, columns = np.nonzero(catalog.genres)
        genres = zip(catalog.movie_ids[rows].tolist(), np.array(catalog.genre_names)[columns].tolist())
        said = (pair for pair in chain(catalog.keywords(), genres) if pair[1] in number)
        coded = np.sort(np.fromiter((row_of[movie_id] * n + number[word] for movie_id, word in said), np.int64))
        self._numbers = coded % n
        self._known, self._starts = np.unique(coded // n, return_index=True)
        self._n_movies = len(catalog)

    def best(self, x: np.ndarray) -> np.ndarray:
        """Return max of x . x_k over the keywords and genres k of each movie, (n_movies,) float32; 0 without any."""
        nearest = np.zeros(self._n_movies, dtype=np.float32)
        if len(self._known):
            cosines = np.concatenate([block.astype(np.float32) @ x for block in self._blocks]) / self._lengths
            nearest[self._known] = np.maximum.reduceat(cosines[self._numbers], self._starts)
        return nearest
