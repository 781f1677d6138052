"""`python -m model.recommend`, run in this process on the shipped data, against the shipped."""

from __future__ import annotations

import csv
import json
from typing import Any

import numpy as np
import pytest

from model import demo, recommend, runsvd
from recommender import ChoiceError, DataError, Movie, MovieFilter, Recommender, TastevecError, models
from recommender.data.files import dump_json
from recommender.data.splits import load_all
from recommender.learn.ease import Ease
from tests.tiny import make_processed, with_own_models

PROFILES = {"anna": [4973, 5618], "ben": [1036, 3527]}


@pytest.fixture
def ask(capsys, tmp_path):
    """Run the program with JSON output; gives its list."""
    for name, favorites in PROFILES.items():
        profile = {"format_version": 3, "seed": 0, "favorites": favorites, "answers": [], "words": []}
        dump_json(profile, tmp_path / f"{name}.json")

    def run(*flags: str) -> list[dict[str, Any]]:
        recommend.main([*flags, "--json", "--profiles", str(tmp_path)])
        return json.loads(capsys.readouterr().out)

    return run


def ids(found) -> list[int]:
    return [one["movieId"] if isinstance(one, dict) else one.movie.movie_id for one in found]


def test_each_kind_of_request_gives_what_the_library_gives(ask, shipped):
    assert ids(ask("--user", "7", "--method", "svd")) == ids(shipped.recommend(7, 10, "svd"))
    profile = {"favorites": PROFILES["ben"], "answers": [], "words": []}
    assert ids(ask("--profile", "ben", "--method", "svd")) == ids(shipped.recommend(profile, 10, "svd"))
    assert ids(ask("--similar-to", "matrix", "-n", "4")) == ids(shipped.similar_movies(2571, 4))
    session, engine = shipped.session(["Heat", "Alien"], words="funny"), shipped.engine()
    shown = [int(shipped.catalog.movie_ids[row]) for row in engine.best(session.state, 5)]
    assert ids(ask("--favorites", "heat; alien", "--like", "funny", "-n", "5")) == shown
    listed = ask("--favorites", "heat;alien", "--method", "svd", "-n", "3", "--why")
    assert ids(listed) == ids(shipped.recommend(["Heat (1995)", "Alien"], 3, "svd"))
    assert all("ranked by svd" in one["why"] and "Heat (1995)" in one["why"] for one in listed)


def test_filters_exclusions_and_familiarity_are_those_of_the_library(ask, shipped):
    wanted = MovieFilter(("War",), ("Drama",), 1960, 1999)
    expected = shipped.recommend(7, 5, "svd", wanted, familiarity=0.1)
    flags = ("--user", "7", "--method", "svd", "-n", "5", "--genre", "war", "--exclude-genre", "drama")
    more = ("--year", "1960-1999", "--familiarity", "0.1")
    assert ids(ask(*flags, *more)) == ids(expected)
    first = ids(ask("--favorites", "heat", "-n", "3"))
    title = str(shipped.catalog.movie(shipped.catalog.row_of(first[0])))
    assert ids(ask("--favorites", "heat", "-n", "2", "--exclude", title)) == first[1:]
    assert first[0] not in ids(ask("--similar-to", "heat", "--exclude", title))


def test_what_a_profile_holds_counts_unless_flags_say_otherwise(ask, shipped, tmp_path, capsys):
    chosen = {"filter": {"genres": ["War"], "first_year": 1980}, "familiarity": 0.9, "words": [["slow", 0]]}
    profile = {"format_version": 3, "seed": 0, "favorites": [4973, 5618], "answers": [], **chosen}
    dump_json(profile, tmp_path / "cleo.json")
    war, comedy = MovieFilter(("War",), (), 1980), MovieFilter(("Comedy",))
    expected = shipped.recommend(profile, 5, "svd", war, familiarity=0.9)
    flags = ("--profile", "cleo", "-n", "5")
    assert ids(ask(*flags, "--method", "svd")) == ids(expected)
    recommend.main([*flags, "--method", "svd", "--profiles", str(tmp_path)])
    assert "words of profile cleo" in capsys.readouterr().err
    expected = shipped.recommend(profile, 5, "svd", comedy, familiarity=0.2)
    assert ids(ask(*flags, "--method", "svd", "--genre", "comedy", "--familiarity", ".2")) == ids(expected)
    group = {"cleo": {**profile, "filter": {"genres": ["Comedy"]}, "familiarity": 0.2}, "ben": PROFILES["ben"]}
    session = shipped.group_session(group, wanted=comedy, familiarity=0.2)
    shown = shipped.catalog.movie_ids[session.engine.best(session.state, 5)].tolist()
    assert ids(ask(*flags, "--profile", "ben", "--genre", "comedy", "--familiarity", ".2")) == shown
    dump_json({**profile, "favorites": []}, tmp_path / "cleo.json")
    with pytest.raises(ChoiceError, match="name a movie"):
        ask(*flags)


@pytest.mark.parametrize("strategy", ["average", "fair-share"])
def test_profiles_and_lists_make_a_group(ask, shipped, strategy):
    people = {"anna": ["Amelie", "Spirited Away"], "ben": ["Die Hard", "Predator"]}
    session, expected = shipped.group_session(people, strategy), []
    for _ in range(4 if strategy == "fair-share" else 0):  # whose turn it is depends on what was shown
        expected.append(shipped.catalog.row_of(session.next().movie.movie_id))
    expected = shipped.catalog.movie_ids[expected or session.engine.best(session.state, 4)].tolist()
    for flags in (
        ("--profile", "anna", "--profile", "ben"),
        ("--favorites", "amelie;spirited away", "--favorites", "die hard;predator"),
    ):
        found = ask(*flags, "--strategy", strategy, "-n", "4", "--why")
        assert ids(found) == expected
        assert all(one["why"].count("whom it suits") == 2 for one in found)


def test_tables_csv_and_json_say_the_same(capsys, tmp_path, ask, monkeypatch):
    recommend.main(["--similar-to", "heat", "-n", "3", "--why", "--csv", str(tmp_path / "out.csv")])
    heading, *printed = capsys.readouterr().out.splitlines()
    assert heading == "like Heat (1995):"
    with open(tmp_path / "out.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    for place, row in enumerate(rows):
        assert printed[2 * place].startswith(f"{place + 1:3}  {row['title']} ({row['year']})")
        assert printed[2 * place + 1].strip() == row["why"]
    movie = Movie(1, "Untitled", 0, ("Drama", "War"))
    monkeypatch.setattr(recommend, "answer", lambda *_: [recommend.Row(movie, 1.0, "")])
    (found,) = ask("--user", "1")
    assert (found["genres"], found["year"]) == (["Drama", "War"], None)


def test_everybody_or_those_of_a_file(capsys, tmp_path):
    (tmp_path / "ids").write_text("7\n1\n")
    flags = ["--all", str(tmp_path / "all.csv"), "--method", "svd", "-n", "2", "--users", str(tmp_path / "ids")]
    recommend.main(flags)
    assert "2 users written" in capsys.readouterr().out
    assert [line.split(",")[0] for line in (tmp_path / "all.csv").read_text().splitlines()[1:]] == ["7", "7", "1", "1"]
    (tmp_path / "ids").write_text("7\nseven\n")
    with pytest.raises(DataError, match="list of user ids"):
        recommend.main(flags)


REFUSED = """for whom: | --user 1 --similar-to heat | --user 1 --like war
invalid int: --user x
no user 99999: --user 99999 --method svd
at least one: --favorites ;
no movie like: --favorites qqqqqqq | --similar-to zzzzzzzz
no movie here: --like 映画
not a year: --favorites heat --year 90
no genre: --favorites heat --genre x
choose from: --user 1 --method magic
n = 0: --favorites heat -n 0
profile: --profile nobody | --profile ../x
is a folder: --favorites heat --csv /
ends in: --all x.xml --method svd
nowhere: --all x.csv --users nowhere
invalid choice: --user 1 --strategy best
familiarity: --favorites heat --familiarity 2
--strategy does not go with --user: --user 1 --strategy average
--users does not go with --user: --user 1 --users x
--method does not go with --similar-to: --similar-to heat --method svd
--method does not go with --like: --favorites heat --like war --method svd
--like does not go with a group: --favorites heat --favorites alien --like war
--context does not go with a group: --profile a --profile b --context
--like does not go with --profile: --profile a --like war
does not go with --all: --all x.csv --exclude zzz | --all x.csv --json | --all x.csv --csv y.csv
the name is empty: --user 1 --csv= | --all="""


@pytest.mark.parametrize("refused", REFUSED.splitlines())
def test_what_cannot_be_answered_is_refused_in_one_line(refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message, _, cases = refused.partition(":")
    for flags in cases.split("|"):
        with pytest.raises((TastevecError, OSError), match=message) as caught:
            recommend.main([*flags.split(), "--profiles", str(tmp_path)])
        assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_what_stands_in_is_told_once(capsys, caplog, tmp_path):
    recommend.main(["--favorites", "Alpha", "--method", "stacker", "--processed", str(make_processed(tmp_path))])
    assert (capsys.readouterr().err + caplog.text).count("no stacker here") == 1


def test_a_session_for_a_group_of_profiles(ask, capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", __import__("io").StringIO("w\ny\nq\n"))
    flags = ["--profiles", str(tmp_path), "--group", "anna", "--group", "ben", "--strategy", "fair-share"]
    runsvd.main(flags)
    said = capsys.readouterr().out
    assert "Tonight: anna, ben." in said
    assert "for anna, whom it suits" in said
    with pytest.raises(ChoiceError, match="--group with --save"):
        runsvd.main([*flags, "--save", "both"])
    with pytest.raises(ChoiceError, match="2 to 8"):
        runsvd.main([*flags[:4]])


def test_the_demo_runs_and_every_step_says_something(shipped, capsys, monkeypatch):
    own = with_own_models(shipped)
    monkeypatch.setattr(Recommender, "load", lambda *given: own)
    monkeypatch.setattr(Ease, "_weights", lambda self, train: np.zeros((train.n_movies,) * 2, np.float32))  # at once
    monkeypatch.setattr(models, "load_all", lambda folder: load_all(folder).select(np.arange(50)))
    demo.main([])
    said = capsys.readouterr().out
    assert all(f"\n{step}. " in f"\n{said}" for step in range(1, 9))
    assert "Ponyo" in said
    assert "whom it suits" in said
