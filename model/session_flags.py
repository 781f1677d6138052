"""The flags of the session programs, and the policy and the settings that they give."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from recommender.cli import Parser
from recommender.data.errors import ChoiceError, SettingsError
from recommender.data.settings import default_folder, override, read_settings
from recommender.session.policy import MOVING_AVERAGE, PolicySettings
from recommender.session.profiles import default_profiles_folder
from recommender.text import registry

ANSWERS = {
    "y": ("like", "I like it, or want to see it"),
    "n": ("dislike", "not for me"),
    "s": ("skip", "no opinion, or never seen"),
    "t": ("tell", "what you want, in your own words: t slow science fiction"),
    "i": ("info", "what is it about?"),
    "w": ("why", "why this movie? The terms of its score"),
    "u": ("undo", "take my last answer or words back"),
    "q": ("quit", "end the session"),
    "?": ("help", "this list"),
}


def build_parser(program: str, description: str, without: Sequence[str] = ()) -> Parser:
    """Return the flags of a session program; without: settings of the policy that have no meaning in it."""
    answers = "Answers: " + "; ".join(f"{key} {word}" for key, (word, _) in ANSWERS.items())
    parser = Parser(f"model.{program}", description, epilog=answers)
    parser.add_common("processed", default=None, help="processed data (default: the shipped data)")
    parser.add_common("config", help="policy (default: config/recommender_policy.yaml)")
    several = {"action": "append", "default": [], "metavar": "NAME"}
    parser.add_argument("--genre", **several, help="only movies with this genre; repeatable, any of them is enough")
    parser.add_argument("--exclude-genre", **several, help="no movie with this genre; repeatable")
    parser.add_argument("--year", type=years, metavar="YEAR", help="only movies of 1994, 1990-1999, 1990- or -1970")
    words = "what you want, in your own words, instead of favorites or beside them; repeatable"
    parser.add_argument("--like", **{**several, "metavar": "WORDS"}, help=words)
    parser.add_argument(
        "--backend",
        choices=registry.names(),
        default=registry.DEFAULT_BACKEND,
        help="what makes vectors of words; the movies' vectors must be of it too (default: %(default)s)",
    )
    parser.add_common("base-url", help="--backend http: address of the service, up to /v1")
    parser.add_common("model", help="--backend http: name of the model there")
    parser.add_common("seed", default=None, help="seed of the exploration (default: 0)")
    parser.add_argument("--save", metavar="NAME", help="keep this session as a new profile")
    parser.add_argument("--resume", metavar="NAME", help="go on with a profile, and keep it up to date")
    where = f"where profiles are kept (default: {default_profiles_folder()})"
    parser.add_argument("--profiles", type=Path, metavar="DIR", help=where)
    names = [field.name for field in dataclasses.fields(PolicySettings) if field.name not in without]
    parser.add_settings(PolicySettings, names, "settings, over those of the file")
    return parser


def years(text: str) -> tuple[Optional[int], Optional[int]]:
    """Read 1994, 1990-1999, 1990- or -1970."""
    first, dash, last = text.strip().partition("-")
    try:
        low = int(first) if first else None
        high = (int(last) if last else None) if dash else low
    except ValueError:
        low = high = None
    if (low is None and high is None) or (low is not None and high is not None and low > high):
        raise argparse.ArgumentTypeError(f"{text!r} is no year or range: write 1994, 1990-1999, 1990- or -1970")
    return low, high


def open_policy(arguments: argparse.Namespace, learning_rule: Optional[str] = None) -> PolicySettings:
    """Return the policy of the file with the flags over it; learning_rule: the only one that the program has."""
    path = arguments.config or default_folder("config") / "recommender_policy.yaml"
    policy = override(read_settings(PolicySettings, path), arguments)
    if learning_rule:
        policy = dataclasses.replace(policy, learning_rule=learning_rule)
    for name in ("learning_rate", "negative_weight"):
        if getattr(arguments, name) is not None and policy.learning_rule != MOVING_AVERAGE:
            flag = "--" + name.replace("_", "-")
            raise SettingsError(f"{flag} belongs to the moving average: add --learning-rule {MOVING_AVERAGE}")
    return policy


def backend_settings(arguments: argparse.Namespace) -> dict[str, str]:
    """Return the flags that set the backend; raises `ChoiceError` where they are of another one."""
    given = {name: getattr(arguments, name) for name in ("base_url", "model") if getattr(arguments, name) is not None}
    if given and arguments.backend != "http":
        flag = "--" + min(given).replace("_", "-")
        raise ChoiceError(f"{flag} belongs to the backend http: add --backend http, or leave {flag} out")
    # What a person says is kept only where they ask for it: no cache of it either.
    return {**given, "cache": ""} if arguments.backend == "http" else given
