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
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from preprocess.descriptions import ask_all, make_parser, movies_left
from recommender.cli import run
from recommender.data.catalog import Movie
from recommender.net.key import key_for
from recommender.net.web import Client, WebError

BASE_URL = "https://api.themoviedb.org/3"
KEY_VARIABLE = "TMDB_API_KEY"
MAX_CAST, MAX_KEYWORDS = 5, 20
MISSING = {"missing": True}


def describe(client: Client, movie: Movie, language: str) -> dict[str, Any]:
    """Return the metadata of a movie, or `MISSING`; raises `WebError` if the response is not in TMDB's format."""
    try:
        tmdb_id: object = movie.tmdb_id
        if not tmdb_id:
            found = _get(client, f"find/tt{movie.imdb_id}", language, external_source="imdb_id")
            tmdb_id = ((found.get("movie_results") or [{}])[0]).get("id")
        if not tmdb_id:
            return MISSING
        details = _get(client, f"movie/{tmdb_id}", language, append_to_response="credits,keywords")
        return fields_of(details) if details else MISSING
    except (AttributeError, KeyError, TypeError):
        raise WebError(f"unexpected response for {movie.title!r} from {client.host}: check --base-url") from None


def _get(client: Client, path: str, language: str, **parameters: str) -> dict[str, Any]:
    """Return the object at `path`; empty if TMDB has none."""
    try:
        answer = client.get_json(path, {"language": language, **parameters})
    except WebError as error:
        if error.status == 404:
            return {}
        raise
    if not isinstance(answer, dict):
        raise TypeError(path)
    return answer


def fields_of(details: Mapping[str, Any]) -> dict[str, Any]:
    """Return the stored fields of TMDB's `movie/ID?append_to_response=credits,keywords`.

    >>> fields_of({"id": 949, "overview": "A thief.", "credits": {"crew": [{"job": "Director", "name": "Mann"}]}})
    {'tmdbId': '949', 'director': 'Mann', 'cast': [], 'keywords': [], 'overview': 'A thief.'}
    """
    credits = details.get("credits") or {}
    cast = sorted(credits.get("cast") or [], key=lambda person: person.get("order") or 0)
    words = (details.get("keywords") or {}).get("keywords") or []
    kept = {
        "tmdbId": str(details.get("id", "")),
        "director": "; ".join(_names([p for p in credits.get("crew") or [] if p.get("job") == "Director"])),
        "cast": _names(cast)[:MAX_CAST],
        "keywords": _names(words)[:MAX_KEYWORDS],
        "overview": (details.get("overview") or "").strip(),
    }
    others = ("original_language", "release_date", "runtime", "popularity", "vote_average", "vote_count", "poster_path")
    return {**kept, **{name: details[name] for name in others if details.get(name) is not None}}


def _names(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the names without `;`, which separates list items in the next step."""
    return [entry["name"].replace(";", ",") for entry in entries if entry.get("name")]


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
