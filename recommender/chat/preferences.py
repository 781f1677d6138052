"""Examples "what a person rated before + one more movie -> 1 to 5", and the chat texts that a model is tuned on.

A person's ratings in order of time: the last become candidates, at most half of them; all earlier ones are the profile.
Half stars are rounded half up, and nothing is below 1:  0.5 -> 1,  1.5 -> 2,  4.5 -> 5.  People are split, not ratings:
nothing of a held-out person is ever learned from.

    people.jsonl   {"person": "7", "part": "train", "profile": [[id, stars], ...], "candidates": [[id, 1..5], ...]}
    train.jsonl    {"messages": [{"role": "system", ...}, {"role": "user", ...}, {"role": "assistant", "content": "4"}]}

Rules of the second, as published for supervised tuning of chat models: at least 10 examples, each a list of messages of
the roles system, user and assistant with text, the last by the assistant; 512 MB a file, 65,536 tokens an example.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..data.catalog import Catalog
from ..data.errors import DataError
from ..data.files import parse_json, replace_file
from ..text.backends.http import estimate_tokens
from .prompts import Rated, profile_of

TRAIN, TEST = "train", "test"
LEAST_RATINGS = 4  # of a person
MOST_BYTES, MOST_TOKENS, LEAST_EXAMPLES = 512 << 20, 65_536, 10
PLOT = 400  # characters
TASK = "Predict how much this person will like the movie. Answer with one digit, from 1 (not at all) to 5 (very much)."


class Person(NamedTuple):
    """name: never sent.  candidates: movie id and whole stars."""

    name: str
    part: str
    profile: Rated
    candidates: Sequence[tuple[int, int]]


def n_epochs(n_examples: int) -> int:
    """Return the passes over a file that a service chooses by itself: 3, for 100 to 25,000 examples seen in all."""
    most, least = 25_000 // n_examples, 100 // n_examples
    return max(1, min(3, most), min(25, least))


def whole_stars(stars: float) -> int:
    """Return stars from 1 to 5, half stars rounded half up.

    >>> [whole_stars(stars) for stars in (0.5, 1, 1.5, 2.5, 4.5, 5)]
    [1, 1, 2, 3, 5, 5]
    """
    return int(min(max(np.floor(stars + 0.5), 1), 5))


def split_people(rated: Mapping[str, Rated], n_candidates: int, test_share: float, seed: int) -> list[Person]:
    """Return those with at least `LEAST_RATINGS`, by name in the order of a seeded hash, the held-out ones first.

    At least one of several people is held out where the share is not 0.
    """
    names = [name for name, ratings in rated.items() if len(ratings) >= LEAST_RATINGS]
    names.sort(key=lambda name: hashlib.sha256(f"{seed} {name}".encode()).digest())
    n_test = max(round(test_share * len(names)), len(names) > 1) if test_share else 0
    people = []
    for place, name in enumerate(names):
        ratings = rated[name]
        n = min(n_candidates, len(ratings) // 2)
        candidates = [(movie_id, whole_stars(stars)) for movie_id, stars in ratings[-n:]]
        people.append(Person(name, TEST if place < n_test else TRAIN, ratings[:-n], candidates))
    return people


def write_people(people: Iterable[Person], path: Path) -> None:
    """Write people.jsonl."""
    _write(({"person": one.name, **dict(zip(Person._fields[1:], one[1:]))} for one in people), path)


def read_people(path: Path, catalog: Catalog) -> list[Person]:
    """Return what `write_people` wrote; raises `DataError`, naming the line, for anything else."""
    people = []
    for where, one in read_lines(path, "run collect first"):
        try:
            profile = [(int(movie_id), float(stars)) for movie_id, stars in one["profile"]]
            candidates = [(int(movie_id), int(stars)) for movie_id, stars in one["candidates"]]
            known = all(movie_id in catalog for movie_id, _ in [*profile, *candidates])
            right = all(0.5 <= stars <= 5 for _, stars in profile) and all(1 <= stars <= 5 for _, stars in candidates)
            if not known or not right or one["part"] not in (TRAIN, TEST):
                raise ValueError
            people.append(Person(str(one["person"]), one["part"], profile, candidates))
        except (KeyError, TypeError, ValueError):
            raise DataError(f"{where} is no person with movies of this catalogue: run collect again") from None
    return people


def messages(about: Mapping[str, str], movie_id: int, catalog: Catalog) -> list[dict[str, str]]:
    """Return the question of one example; the profile and the movie are data in JSON."""
    movie = catalog.movie(catalog.row_of(movie_id))
    fields = {"title": str(movie), "genres": ", ".join(movie.genres), "plot": movie.overview[:PLOT]}
    asked = {"person": about, "movie": {name: text for name, text in fields.items() if text}}
    return [{"role": "system", "content": TASK}, {"role": "user", "content": json.dumps(asked, ensure_ascii=False)}]


def shots_of(people: Sequence[Person], n: int, catalog: Catalog) -> list[dict[str, str]]:
    """Return n questions with their answers, each of another person, and of all stars about as many."""
    shots, used = list[dict[str, str]](), Counter[int]()
    for one in people[:n]:
        movie_id, stars = min(one.candidates, key=lambda candidate: used[candidate[1]])
        used[stars] += 1
        question = messages(profile_of(one.profile, catalog), movie_id, catalog)[1]
        shots += [question, {"role": "assistant", "content": str(stars)}]
    return shots


def write_chat(people: Iterable[Person], catalog: Catalog, path: Path, most: int, seed: int) -> None:
    """Write the chat texts of at most `most` examples, drawn at random."""
    pairs = [(one, *candidate) for one in people for candidate in one.candidates]
    chosen = np.sort(np.random.default_rng(seed).permutation(len(pairs))[:most])

    def texts() -> Iterator[dict[str, Any]]:
        for person, own in groupby((pairs[i] for i in chosen), key=itemgetter(0)):
            about = profile_of(person.profile, catalog)
            for _, movie_id, stars in own:
                answer = {"role": "assistant", "content": str(stars)}
                yield {"messages": [*messages(about, movie_id, catalog), answer]}

    _write(texts(), path)


def check_chat(path: Path) -> tuple[int, int]:
    """Return how many examples, and about how many tokens, a file of chat texts has.

    Raises `DataError` for the first line that breaks a rule above.
    """
    n_examples = n_tokens = 0
    for where, one in read_lines(path, "run prepare first"):
        said = one["messages"] if isinstance(one, dict) and set(one) == {"messages"} else None
        if not isinstance(said, list) or not all(map(_is_message, said)) or not said or said[-1]["role"] != "assistant":
            raise DataError(f"{where} is no list of messages with role and content that ends with an answer of the"
                            " assistant, and nothing else: run prepare again")  # fmt: skip
        tokens = 3 + sum(3 + estimate_tokens(message["content"]) for message in said)
        if tokens > MOST_TOKENS:
            raise DataError(f"{where} has about {tokens:,} tokens: at most {MOST_TOKENS:,} are allowed")
        n_examples, n_tokens = n_examples + 1, n_tokens + tokens
    if n_examples < LEAST_EXAMPLES:
        raise DataError(f"{path} has {n_examples} examples: at least {LEAST_EXAMPLES} are needed, collect more")
    if path.stat().st_size > MOST_BYTES:
        raise DataError(f"{path} has more than {MOST_BYTES >> 20} MB: prepare fewer with --most")
    return n_examples, n_tokens


def _is_message(value: Any) -> bool:
    if not isinstance(value, dict) or set(value) != {"role", "content"}:
        return False
    return value["role"] in ("system", "user", "assistant") and bool(str(value["content"] or "").strip())


def _write(values: Iterable[Any], path: Path) -> None:
    with replace_file(path) as temporary, open(temporary, "w", encoding="utf-8", newline="\n") as file:
        for value in values:
            file.write(json.dumps(value, ensure_ascii=False) + "\n")


def read_lines(path: Path, remedy: str) -> Iterator[tuple[str, Any]]:
    """Yield where it is, and the value, of each line of JSON; raises `DataError`, with the remedy."""
    where = str(path)
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                where = f"{path} line {number}"
                yield where, parse_json(line)
    except FileNotFoundError:
        raise DataError(f"{path} is missing: {remedy}") from None
    except (ValueError, RecursionError, OSError) as error:
        raise DataError(f"{where} is no line of JSON ({error}): {remedy}") from None
