"""Fetch movie metadata from TMDB as JSON lines for build_metadata: overview, cast, keywords and more.

    TMDB_API_KEY=... python -m preprocess.fetch_tmdb_metadata --output data/tmdb.jsonl
    python -m preprocess.build_metadata --descriptions data/tmdb.jsonl

The key is read from the environment: a v3 API key (32 hexadecimal digits) or a read access token. Movies are identified
by TMDB id, else by IMDb id. An interrupted run resumes. A movie that TMDB does not have is stored as missing and not
requested again. TMDB requires attribution from those who show its data.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

from preprocess.descriptions import ask_all, make_parser, movies_left
from recommender.cli import run
from recommender.data.catalog import Movie
from recommender.net.key import key_for
from recommender.net.web import Client, WebError

BASE_URL = "https://api.themoviedb.org/3"
KEY_VARIABLE = "TMDB_API_KEY"
MAX_CAST, MAX_KEYWORDS = 5, 20
MISSING = {"missing": True}
NOT_FOUND = 34  # of TMDB's own codes


def describe(client: Client, movie: Movie, language: str) -> dict[str, Any]:
    """Return the metadata of a movie, or `MISSING`, with the reason where TMDB answered for another movie.

    Raises `WebError` if the response is not in TMDB's format.
    """
    found: Optional[dict[str, Any]] = None
    try:
        tmdb_id: object = movie.tmdb_id
        if not tmdb_id:
            found = _get(client, f"find/tt{movie.imdb_id}", language, external_source="imdb_id")
            listed = found["movie_results"] if found is not None else None
            tmdb_id = next((f"{entry['id']:d}" for entry in listed or () if entry), None)
        found = _get(client, f"movie/{tmdb_id}", language, append_to_response="credits,keywords") if tmdb_id else None
        if found is None:
            return MISSING
        ours, theirs = (re.sub(r"\D", "", text or "").lstrip("0") for text in (movie.imdb_id, found.get("imdb_id")))
        if str(found["id"]) != tmdb_id or (ours and theirs and ours != theirs):
            return {**MISSING, "reason": "TMDB has another movie under these ids"}
        return fields_of(found)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise client.unexpected(found, "no movie in the form of TMDB") from None


def _get(client: Client, path: str, language: str, **parameters: str) -> Optional[dict[str, Any]]:
    """Return what TMDB has at `path`, None for nothing, which some proxies say with status 200."""
    try:
        answer = client.get_json(path, {"language": language, **parameters})
    except WebError as error:
        if error.status == 404:
            return None
        raise
    return None if answer.get("status_code") == NOT_FOUND else answer


def fields_of(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stored fields of TMDB's `movie/ID?append_to_response=credits,keywords`.

    >>> fields_of({"id": 949, "overview": "A thief.", "credits": {"crew": [{"job": "Director", "name": "Mann"}, None]}})
    {'tmdbId': '949', 'director': 'Mann', 'cast': [], 'keywords': [], 'overview': 'A thief.'}
    """
    credits = details.get("credits") or {}
    cast = sorted(filter(None, credits.get("cast") or []), key=lambda person: person.get("order") or 0)
    crew = [person for person in credits.get("crew") or [] if person and person.get("job") == "Director"]
    words = (details.get("keywords") or {}).get("keywords") or []
    kept = {
        "tmdbId": str(details["id"]),
        "director": "; ".join(_names(crew)),
        "cast": _names(cast)[:MAX_CAST],
        "keywords": _names(words)[:MAX_KEYWORDS],
        "overview": (details.get("overview") or "").strip(),
    }
    kinds = dict.fromkeys(("original_language", "release_date", "poster_path"), (str,))
    kinds |= dict.fromkeys(("runtime", "popularity", "vote_average", "vote_count"), (int, float))
    return {**kept, **{name: details[name] for name, kind in kinds.items() if type(details.get(name)) in kind}}


def _names(entries: Sequence[Optional[Mapping[str, Any]]]) -> list[str]:
    """Return the names without `;`, which separates list items in the next step."""
    return [entry["name"].replace(";", ",") for entry in entries if entry and entry.get("name")]


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Fetch the movies that the output lacks."""
    title = "Fetch movie metadata from TMDB."
    parser = make_parser("fetch_tmdb_metadata", title, "data/tmdb.jsonl", BASE_URL, rate=20)  # TMDB allows about 40
    parser.add_argument("--language", default="en-US", help="language of the overviews (default: %(default)s)")
    arguments = parser.parse_args(argv)
    left = movies_left(arguments, lambda movie: bool(movie.tmdb_id or movie.imdb_id), "without a TMDB or IMDb id")
    if arguments.dry_run or not left:
        return
    key = key_for(arguments.base_url, KEY_VARIABLE)
    version_3 = key is not None and re.fullmatch("[0-9a-f]{32}", key.value)
    ask = functools.partial(describe, language=arguments.language)
    ask_all(arguments, left, key, ask, "missing", "fetched", "api_key" if version_3 else "")


if __name__ == "__main__":
    run(main)
