"""What a session keeps when asked: profiles of every version, refusals of what is no profile, lists for Letterboxd."""

from __future__ import annotations

import csv
import json
import os
import re
import signal

import pytest

from model import runtwotower
from recommender.data.catalog import Catalog
from recommender.data.errors import ArtifactError
from recommender.session.profiles import load_profile, save_profile
from recommender.session.state import ANSWERS, Event
from tests.test_runtwotower import FLAGS, tiny_two_tower
from tests.test_session_program import RULE, Terminal, make_session_data, refused, run, shown, stored
from tests.test_session_program import with_texts as with_texts


@pytest.fixture(scope="module")
def processed(tmp_path_factory):
    return make_session_data(tmp_path_factory.mktemp("data") / "processed")


def test_a_profile_is_kept_only_when_asked_and_resumes_where_it_stood(processed, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    profiles = tmp_path / "data" / "tastevec" / "profiles"
    flags = ["--processed", processed]
    assert run("alpha\n\ny\n", *flags).returncode == 0
    assert list(tmp_path.iterdir()) == []
    first = run("alpha\nzeta 1990\n\ny\nn\n", *flags, "--save", "ann")
    ann = stored(profiles / "ann.json")
    assert (ann["favorites"], [answer for _, answer in ann["answers"]]) == ([1, 6], ["like", "dislike"])
    again = run("w\n", *flags, "--resume", "ann")
    assert "Welcome back, ann: favorites 2, answers 2." in again.stdout
    assert shown(again) == shown(first)[2:]  # the movie on which the first session stopped
    assert run("u\ns\n", *flags, "--resume", "ann").returncode == 0
    assert [answer for _, answer in stored(profiles / "ann.json")["answers"]] == ["like", "skip"]
    assert "profile 'ann' exists" in refused(run("", *flags, "--save", "ann"))
    assert run("y\n", *flags, "--resume", "ann", "--save", "bob").returncode == 0
    assert [len(stored(profiles / f"{name}.json")["answers"]) for name in ("bob", "ann")] == [3, 2]


def test_a_killed_session_keeps_every_answer_and_nobody_else_may_use_its_profile(processed, tmp_path):
    flags = ["--processed", processed, "--profiles", tmp_path]
    first = Terminal(*flags[1:2], *RULE, *flags[2:], "--save", "ann")
    first.wait_for("Favorite 1", "alpha\n\ny\nn\n")
    first.wait_for("3. ")
    assert "another process is using profile 'ann'" in refused(run("", *flags, "--resume", "ann"))
    os.kill(first.pid, signal.SIGKILL)
    assert first.exit_code() == -signal.SIGKILL
    assert len(stored(tmp_path / "ann.json")["answers"]) == 2
    assert run("", *flags, "--resume", "ann").returncode == 0


def test_a_resumed_profile_keeps_its_choices_unless_a_flag_says_otherwise(processed, tmp_path):
    flags, path = ["--processed", processed, "--profiles", tmp_path], tmp_path / "ann.json"
    run("alpha\n\nnot comedy\n1980s\n+\n", *flags, "--save", "ann", "--genre", "Action", rule=[])
    ann = stored(path)
    kept = {"genres": ["Action"], "exclude_genres": ["Comedy"], "first_year": 1980, "last_year": 1989}
    assert (ann["filter"], ann["familiarity"]) == (kept, 0.75)
    assert not {"learning_rule", "backend"} & ann.keys()  # nobody chose them
    again = run("again\n", *flags, "--resume", "ann", rule=[])
    assert "  filters: only Action; not Comedy; 1980-1989\n  familiarity: 0.75 of 1\n\n1. " in again.stdout
    assert stored(path) == ann
    rule = ["--learning-rule", "moving-average", "--backend", "minilm", "--year", "1990-", "--genre", "drama"]
    run("", *flags, "--resume", "ann", rule=rule)
    chosen = {**ann, "filter": {"genres": ["drama"], "exclude_genres": ["Comedy"], "first_year": 1990}}
    assert stored(path) == {**chosen, "learning_rule": "moving-average", "backend": "minilm"}
    again = run("any\n", *flags, "--resume", "ann", rule=[])
    assert "  learning rule: moving-average\n  backend: minilm\n" in again.stdout
    assert "familiarity" not in again.stdout  # that rule has none
    assert (stored(path)["filter"], stored(path)["familiarity"]) == ({}, 0.75)
    run("", *flags, "--resume", "ann", "--learning-rule", "conditional-gaussian", rule=[])
    flags[1] = tiny_two_tower(tmp_path / "towers", {})  # which has a rule of its own, and leaves that of the profile
    again = run("s\n", *flags, "--resume", "ann", main=runtwotower.main, rule=FLAGS)
    assert (again.returncode, stored(path)["learning_rule"]) == (0, "conditional-gaussian")
    assert "learning rule" not in again.stdout


GOOD = {"format_version": 3, "seed": 0, "favorites": [1], "answers": [], "words": []}
WRONG = [  # a key, its value, and what is said of it
    *(("format_version", n, f"format_version: {n!r} is not 1, 2 or 3") for n in (9, "2", 1.0, True)),
    *(("seed", n, f"seed: {n!r} is not a whole number from 0") for n in (None, -4, 0.5, "1", True)),
    *(("favorites", n, f"favorites: {n!r} is not a list") for n in ("1", {"a": 1}, None)),
    *(("favorites", [1, n], f"favorites: {n!r} is not a movie id") for n in ("x", 2.9, True, -2, [2])),
    ("favorites", [1, 2, 1], "movie 1 is there twice"),
    ("favorites", [77], "none of the favorites is in this"),
    ("answers", [[1, "like"]], "movie 1 is there twice"),
    *(
        ("answers", [answer], f"answers: {answer!r} is not [movie id, one of like, dislike")
        for answer in ([2, "maybe"], [2], ["2", "like"], [2, "like", 3], 2, [2, ["like"]])
    ),
    *(("words", [n], f"words: {n!r} is not [text") for n in (["a", -1], ["a"], [1, 2, 3], ["a", "0"], "a")),
    *(("words", [["a", n] for n in places], f"words: {places} are no numbers of answers") for places in ([2], [1, 0])),
    ("words", [["\ud800", 0]], "'words': [['\\ud800', 0]] cannot be written back"),
    ("x", float("nan"), "'x': nan cannot be written back"),
    *(("familiarity", n, f"familiarity: {n} is not a number from 0 to 1") for n in (1.5, True)),
    ("backend", "clay", "backend: 'clay' is not one of minilm"),
    ("learning_rule", 3, "learning_rule: 3 is not one of"),
    *(("filter", n, "is no filter of") for n in ([1], {"moods": []}, {"genres": 5}, {"last_year": "x"})),
]
NO_JSON = [
    *((text, "is damaged") for text in ("", "{", "[" * 100_000)),
    ("[]", "[] is no profile"),
    ('{"seed": 0, "seed": 1}', "key 'seed' is given twice"),
    (json.dumps({**GOOD, "seed": 7}).replace("7", "9" * 5000), f"seed: {'9' * 57}... is not a whole number"),
]


def test_profiles_that_are_not_understood_are_refused_and_left_alone(processed, tmp_path):
    path = tmp_path / "ann.json"
    for text, message in [*NO_JSON, *((json.dumps({**GOOD, key: value}), message) for key, value, message in WRONG)]:
        path.write_text(text)
        line = refused(run("", "--processed", processed, "--profiles", tmp_path, "--resume", "ann", rule=[]))
        assert re.search(f"ann.json.*{re.escape(message)}", line), text[:200]
        assert len(line) < 400
        assert path.read_text() == text


@pytest.mark.dev
def test_any_file_as_a_profile_is_understood_in_full_or_refused_and_left_alone(processed, tmp_path):
    hypothesis = pytest.importorskip("hypothesis")
    some = hypothesis.strategies
    catalog, path = Catalog.load(processed), tmp_path / "ann.json"
    words = some.text(some.characters(exclude_categories=()), max_size=3)
    leaf = some.none() | some.booleans() | some.integers(-2, 12) | some.integers() | some.floats() | words
    value = some.recursive(leaf, lambda inner: some.lists(inner) | some.dictionaries(words, inner), max_leaves=6)
    answers = some.tuples(some.integers(0, 12), some.sampled_from([*ANSWERS, "maybe"]))
    wanted = some.fixed_dictionaries({}, optional={"genres": some.just(["War"]), "last_year": some.none() | leaf})
    keys = {"favorites": some.lists(some.integers(0, 12), max_size=4), "answers": some.lists(answers, max_size=4)}
    keys |= {
        "words": some.lists(some.tuples(words, some.integers(-1, 4)), max_size=3),
        "seed": some.integers(0, 9) | leaf,
    }
    choices = {"familiarity": some.none() | some.floats(-0.1, 1), "filter": wanted, "note": value}
    near = some.fixed_dictionaries({**keys, "format_version": some.just(3)}, optional=choices)

    @hypothesis.settings(max_examples=int(os.environ.get("EXAMPLES", "200")), deadline=None, database=None)
    @hypothesis.given((value | near).map(lambda made: json.dumps(made).encode()) | some.binary())
    def check(content: bytes) -> None:
        path.write_bytes(content)
        refusal, known = "", {}
        try:
            state, known, _ = load_profile(path, catalog)
        except ArtifactError as error:
            refusal = str(error)
        assert bool(known) != refusal.startswith(str(path))
        if known:
            save_profile(path, catalog, state, known)
        assert path.read_bytes() == content  # nothing was said
        if known and 9 not in {*known["favorites"], *(movie for movie, _ in known["answers"])}:
            more = state._replace(answers=(*state.answers, Event(8, "like")))
            save_profile(path, catalog, more, known)
            said, kept = json.loads(content), json.loads(path.read_bytes())
            assert [pair for pair in kept.pop("answers") if pair != [9, "like"]] == said.pop("answers")
            assert {"words": [], **said, "format_version": 3} == kept
            assert load_profile(path, catalog)[0] == more

    check()


def test_what_a_profile_holds_beyond_this_catalogue_stays_in_its_place(processed, tmp_path):
    answers = [[88, "like"], [3, "like"], [89, "skip"], [5, "dislike"]]
    profile = {"note": {"mine": [1.5, None]}, "favorites": [98, 1, 99, 2], "answers": answers, "format_version": 2}
    path, flags = tmp_path / "ann.json", ["--processed", processed, "--profiles", tmp_path]
    for text in (
        json.dumps({**profile, "seed": 3, "words": []}),
        "\ufeff" + json.dumps({**profile, "seed": 3, "format_version": 1}, indent=2).replace("\n", "\r\n"),
    ):
        path.write_bytes(text.encode())
        done = run("i\nw\nq\n", *flags, "--resume", "ann", rule=[])
        assert (done.returncode, path.read_bytes()) == (0, text.encode())  # nothing was said, so nothing is written
        assert "4 movies of the profile are not in this catalogue" in done.stdout
        assert "'note' of the profile is not known here" in done.stdout
        assert "favorites 2, answers 2" in done.stdout
        run("u\nu\ny\n", *flags, "--resume", "ann", rule=[])
        found = stored(path)
        (liked,) = (movie for movie, answer in found["answers"] if movie not in (88, 89))
        said = {"answers": [[88, "like"], [89, "skip"], [liked, "like"]], "words": []}
        assert {**profile, "format_version": 3, "seed": 3, **said} == found
    assert run("q\n", *flags, "--resume", "ann", "--save", "bob", rule=[]).returncode == 0
    assert stored(tmp_path / "bob.json") == found


def test_words_are_kept_in_their_place(with_texts, tmp_path):
    flags = ["--processed", with_texts, "--profiles", tmp_path]
    first = run("\ny\nt war\n", *flags, "--like", "heist", "--save", "ann")
    assert "Name up to 4 that you love; Enter starts.\nFavorite 1 of 4: \n\n1. " in first.stdout
    ann = stored(tmp_path / "ann.json")
    assert (ann["favorites"], ann["words"]) == ([], [["heist", 0], ["war", 1]])
    asked = run("\nt 7\n\nt heist\n\nt War\nq\n", *flags)  # the same, at the prompt for favorites
    assert asked.stdout.count("Name at least one movie") == 2
    assert shown(asked)[0] == shown(first)[0]
    odd = run("\n", *flags, "--like", "heist \udcff", "--save", "bob")  # no text, as a shell may give it
    assert odd.returncode == 0
    assert stored(tmp_path / "bob.json")["words"] == [["heist ", 0]]
    again = run("w\nu\nu\n", *flags, "--resume", "ann")
    assert "Welcome back, ann: favorites 0, answers 1, wishes in words 2." in again.stdout
    assert shown(again)[0] == shown(first)[-1]
    run("", *flags, "--resume", "ann", "--like", "drama")
    ann = stored(tmp_path / "ann.json")
    assert (ann["answers"], ann["words"]) == ([], [["heist", 0], ["drama", 0]])
    # among movies that the catalogue lacks
    answers, words = [[3, "like"], [88, "like"], [5, "skip"], [89, "like"]], [["war", 1], ["heist", 2], ["war", 4]]
    profile = {"format_version": 2, "seed": 0, "favorites": [1], "answers": answers, "words": words}
    (tmp_path / "ann.json").write_text(json.dumps(profile))
    assert run("w\ny\nt drama\nq\n", *flags, "--resume", "ann").returncode == 0
    found = stored(tmp_path / "ann.json")
    assert (found["answers"][:4], len(found["answers"])) == (answers, 5)
    assert found["words"] == [*words, ["drama", 5]]


def test_likes_and_watchlist_are_exported_as_letterboxd_imports_them(processed, tmp_path):
    export = tmp_path / "mine" / "films.csv"
    typed = "the beta\n\nlist\n1y 2n 3l\nq\n"
    done = run(typed, "--processed", processed, "--export", export)
    names = re.findall(r"^ {4}\d  (.*\))  ", done.stdout, flags=re.MULTILINE)
    lists = [tmp_path / "mine" / f"films-{name}.csv" for name in ("likes", "watchlist")]
    likes, later = (list(csv.DictReader(file.open(encoding="utf-8", newline=""))) for file in lists)
    assert likes[0] == {"Title": "The Beta", "Year": "1981", "tmdbID": "20", "imdbID": "tt0002"}
    assert [f"{row['Title']} ({row['Year']})" for row in (*likes[1:], *later)] == [names[0], names[2]]
    assert run("alpha\n\nq\n", "--processed", processed, "--export", export).returncode == 0  # its own are replaced
    assert "Alpha,1980,10,tt0001" in lists[0].read_text(encoding="utf-8")
    for theirs in ("Title,Year,tmdbID,imdbID,Rating\nHeat,1995,949,tt0113277,5\n", "my notes"):
        lists[1].write_text(theirs, encoding="utf-8")
        line = refused(run("", "--processed", processed, "--export", export))
        assert "films-watchlist.csv is not of this program" in line
        assert lists[1].read_text(encoding="utf-8") == theirs
