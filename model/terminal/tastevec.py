"""The command `tastevec`: a name for each program. What follows the name goes to the program."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Optional

if sys.argv[1:2] == ["serve"]:  # as model/serve.py does, before numpy is imported
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from model import runsvd, runtwotower
from recommender import cli
from recommender.data.errors import SettingsError

COMMANDS = {
    "session": "name favorites, get movies one by one, answer, and watch it learn",
    "two-tower-session": "the same, on the vectors of the two-tower network",
    "recommend": "a list: for a user, a profile, favorites, words, a movie, a group, or everybody",
    "demo": "walk through the library in a minute",
    "import-ratings": "make a profile of what you rated on Letterboxd, IMDb, Trakt, MovieLens or Netflix",
    "download": "fetch a MovieLens data set",
    "data": "filter, split and prepare raw ratings",
    "tmdb": "fetch what TMDB knows of the movies",
    "describe": "have a language model describe movies that have no description",
    "train svd": "train the SVD",
    "train session": "fit what a session learns with",
    "train twotower": "train the two-tower network",
    "train ranking": "fit a ranking model",
    "embed": "make vectors of the movies' texts, pictures and sound, and of people",
    "serve": "answer over HTTP, with a page for the browser",
    "evaluate": "score ranking models on held-out ratings",
    "replay": "replay sessions on held-out people",
}


def program_of(command: str) -> Callable[[Optional[Sequence[str]]], Optional[int]]:
    """Return the `main` of the program behind a command of `COMMANDS`; the others are not imported."""
    if command in ("session", "two-tower-session"):
        return {"session": runsvd, "two-tower-session": runtwotower}[command].main
    if command.startswith("train "):
        from model import train_ranking_model as ranking
        from model import train_session_model, train_svd_model, train_twotower

        programs = {"svd": train_svd_model, "session": train_session_model, "twotower": train_twotower}
        return {**programs, "ranking": ranking}[command[len("train ") :]].main
    if command in ("recommend", "demo", "serve"):
        from model import demo, recommend, serve

        return {"recommend": recommend, "demo": demo, "serve": serve}[command].main
    if command in ("import-ratings", "embed", "evaluate", "replay"):
        from model import evaluate, generate_embeddings, import_ratings, replay_sessions

        programs = {"import-ratings": import_ratings, "embed": generate_embeddings, "evaluate": evaluate}
        return {**programs, "replay": replay_sessions}[command].main
    from preprocess import download, enrich_metadata, fetch_tmdb_metadata, setup

    return {"download": download, "data": setup, "tmdb": fetch_tmdb_metadata, "describe": enrich_metadata}[command].main


def main(argv: Optional[Sequence[str]] = None) -> Optional[int]:
    """Run one command and return its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        print("usage: tastevec COMMAND [flags]\n")
        print("\n".join(f"  {name:<18} {meaning}" for name, meaning in COMMANDS.items()))
        print("\ntastevec COMMAND --help shows the flags. Flags without a command start a session.")
        return 0
    if words[0].startswith("-"):
        words.insert(0, "session")
    n_words = 2 if words[0] == "train" else 1
    command = " ".join(words[:n_words])
    if command not in COMMANDS:
        raise SettingsError(f"no command {command!r}: give one of {', '.join(COMMANDS)}")
    return program_of(command)(words[n_words:])


def program() -> None:
    """Run as a command."""
    cli.run(main)


if __name__ == "__main__":
    program()
