"""Tune a chat model on what people rated: "what a person rated before + one more movie -> 1 to 5".

    python -m model.finetune_movie_pref collect my-letterboxd.zip             # or without a file: people of MovieLens
    python -m model.finetune_movie_pref prepare                               # chat texts, checked; tokens and cost
    python -m model.finetune_movie_pref start --dry-run                       # what would leave this machine
    python -m model.finetune_movie_pref start --base-url https://api.openai.com/v1 --model gpt-4.1-mini-2025-04-14
    python -m model.finetune_movie_pref status

OpenAI ends tuning on 2027-01-06, for new organizations it has; every service with the same interface will do, and
`python -m model.train_like_model` learns the same without one, or shows examples to a chat model (--shots).

`start` uploads, makes the job and waits for it; stopped at any moment, it goes on where it was.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."

import numpy as np

from recommender import cli
from recommender.chat import preferences, tuning
from recommender.chat.preferences import TEST, TRAIN, Rated
from recommender.data.catalog import Catalog
from recommender.data.errors import ArtifactError, DataError
from recommender.data.files import exclusive, load_json
from recommender.net.key import key_for
from recommender.net.web import Client
from recommender.people.exports import read_export
from recommender.people.matching import APPLIED, Matcher
from recommender.text.people import read_people

STEPS = ("collect", "prepare", "start", "status")
JOB, LOCK = "job.json", ".job.lock"
OPENAI = "https://api.openai.com/v1"
_say = functools.partial(print, flush=True)


def make_parser() -> cli.Parser:
    """Return the parser of the flags."""
    description, _, examples = (__doc__ or "").partition("\n\n")
    layout = argparse.RawDescriptionHelpFormatter
    parser = cli.Parser("model.finetune_movie_pref", description, epilog=examples, formatter_class=layout)
    add = parser.add_argument
    add("step", choices=STEPS, metavar="STEP", help=", ".join(STEPS))
    add("files", nargs="*", type=Path, metavar="FILE", help="collect: exports, one a person, as Letterboxd makes them")
    parser.add_common("output", default=Path("movie-pref"), help="folder of all files (default: %(default)s)")
    parser.add_common("processed", "seed")
    add("--ratings", type=Path, metavar="PATH", help="collect: ratings of people, a processed folder or a .csv")
    add("--candidates", type=cli.whole_number, default=20, metavar="N", help="collect: examples a person at most")
    add("--test-share", type=float, default=0.2, metavar="X", help="collect: share of people held out (default: 0.2)")
    add("--most", type=cli.whole_number, default=5000, metavar="N", help="prepare: examples at most (default: 5000)")
    parser.add_common("base-url", default=OPENAI, help="address of the service, up to /v1 (default: %(default)s)")
    parser.add_common("model", default="gpt-4.1-mini-2025-04-14", help="model to tune (default: %(default)s)")
    add("--key-variable", default="", metavar="NAME", help="environment variable with the key")
    add("--suffix", default="movie-pref", metavar="NAME", help="part of the tuned model's name (default: %(default)s)")
    add("--dry-run", action="store_true", help="start: show what would be sent, and send nothing")
    add("--pause", type=float, default=30.0, metavar="X", help="start: seconds between questions (default: 30)")
    add("--price", type=float, default=5.0, metavar="X", help="dollars for a million tokens learned from (default: 5)")
    return parser


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Do one step."""
    parser = make_parser()
    given = parser.parse_intermixed_args(argv)
    if given.files and given.step != "collect":
        parser.error(f"{given.files[0]}: only collect reads files")
    if not 0 <= given.test_share < 1 or given.candidates < 1 or given.most < 1 or not 0 <= given.price < 1e9:
        parser.error("--test-share is from 0 to below 1, --price from 0, --candidates and --most from 1")
    if not 0 <= given.pause <= 3600 or not 0 < len(given.suffix) <= 64:
        parser.error("--pause is from 0 to 3600 seconds, --suffix has 1 to 64 characters")
    {"collect": collect, "prepare": prepare, "start": start, "status": status}[given.step](given)


def collect(given: argparse.Namespace) -> None:
    """Write people.jsonl from exports, from ratings, or from both."""
    catalog, rated = Catalog.load(given.processed), dict[str, Rated]()
    if given.files:
        matcher = Matcher(catalog)
        for path in given.files:
            films = [film for film in matcher.films(read_export(path)) if film.how in APPLIED and film.entry.rating]
            films.sort(key=lambda film: film.entry.date)
            rated[str(path)] = [(int(catalog.movie_ids[film.row or 0]), film.entry.rating or 0) for film in films]
            print(f"{path}: {len(films):,} rated movies of this catalogue")
    if given.ratings or not given.files:
        data = read_people(given.ratings or given.processed).ratings
        data = data.take(np.isin(data.movie_ids, catalog.movie_ids)[data.movie_rows])
        for row, user_id in enumerate(data.user_ids.tolist()):
            known = data.row(row)
            movies = data.movie_ids[data.movie_rows[known]].tolist()
            rated[str(user_id)] = list(zip(movies, data.ratings[known].tolist()))
    people = preferences.split_people(rated, given.candidates, given.test_share, given.seed)
    least = preferences.LEAST_RATINGS
    if not people:
        raise DataError(f"nobody here rated {least} movies of this catalogue: give exports or --ratings with more")
    preferences.write_people(people, given.output / "people.jsonl")
    if len(people) < len(rated):
        print(f"left out: {len(rated) - len(people):,} people with fewer than {least} ratings")
    for part in (TRAIN, TEST):
        those = [one for one in people if one.part == part]
        print(f"{part}: {sum(len(one.candidates) for one in those):,} examples (people: {len(those):,})")
    print(f"stored in {given.output / 'people.jsonl'}")


def prepare(given: argparse.Namespace) -> None:
    """Write train.jsonl and, with held-out people, test.jsonl; check both and estimate what learning costs."""
    catalog = Catalog.load(given.processed)
    people = preferences.read_people(given.output / "people.jsonl", catalog)
    for part in (TRAIN, TEST):
        path, those = given.output / f"{part}.jsonl", [one for one in people if one.part == part]
        n, least = sum(len(one.candidates) for one in those), preferences.LEAST_EXAMPLES
        if min(n, given.most) < least and part == TRAIN:
            raise DataError(f"{min(n, given.most)} examples: at least {least} are needed, collect more")
        if min(n, given.most) < least:
            path.unlink(missing_ok=True)
            print(f"no {path}: {n} examples of held-out people, at least {least} are needed")
            continue
        preferences.write_chat(those, catalog, path, given.most, given.seed)
        n, n_tokens = tell_size(path)
        if part == TRAIN:
            n_epochs = preferences.n_epochs(n)
            cost = n_tokens * n_epochs * given.price / 1e6
            print(f"   {n_epochs} passes at ${given.price:g} a million tokens: about ${cost:,.2f}")


def tell_size(path: Path) -> tuple[int, int]:
    """Check a file of chat texts, and tell and return how many examples and tokens it has."""
    n, n_tokens = preferences.check_chat(path)
    print(f"{path}: {n:,} examples, about {n_tokens:,} tokens")
    return n, n_tokens


def start(given: argparse.Namespace) -> None:
    """Upload, create the job, wait for it, and store the name of the tuned model; go on where an earlier run was."""
    train, test = (given.output / f"{part}.jsonl" for part in (TRAIN, TEST))
    files = {"training_file": train, **({"validation_file": test} if test.is_file() else {})}
    job = tuning.settings(given.model, given.suffix, given.seed)
    for path in files.values():
        tell_size(path)
    if given.dry_run:
        print(*tuning.requests_of(given.base_url.rstrip("/"), files, job), "nothing was sent", sep="\n")
        return
    client, state = open_client(given), given.output / JOB
    with exclusive(given.output / LOCK, f"{given.output}"):
        model = tuning.run(client, files, job, state, _say, given.pause)
    print(f"tuned model: {model}, stored in {state}")


def status(given: argparse.Namespace) -> None:
    """Ask the service about the job."""
    state = given.output / JOB
    known = load_json(state, "start a job first", tuning.job_of)
    given.base_url = known["asked"]["base_url"]
    tuning.refresh(open_client(given), known)
    with contextlib.suppress(ArtifactError), exclusive(given.output / LOCK, ""):  # unless `start` runs, and writes it
        tuning.store(known, state)
    print(tuning.summary(known))


def open_client(given: argparse.Namespace) -> Client:
    """Return the client of the service, with its key."""
    return Client(given.base_url, key_for(given.base_url, given.key_variable), timeout=300, say=_say)


if __name__ == "__main__":
    cli.run(main)
