"""`model.runsvd` as people meet it: whole transcripts, profiles, words, a terminal, and everything that it refuses."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import select
import signal
import subprocess
import sys
from collections import namedtuple
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import runsvd
from model.terminal import tastevec
from recommender import cli
from recommender.data.catalog import Catalog
from recommender.data.errors import ArtifactError, ChoiceError
from recommender.learn.svd import SvdModel
from recommender.session.profiles import load_profile, save_profile
from recommender.session.state import ANSWERS, Event
from recommender.text.generator import TasteEmbeddingConfig, TasteEmbeddingGenerator
from tests.tiny import as_program, make_processed, run_on

ROOT = Path(__file__).resolve().parent.parent
PROMPT = "   [y]es [n]o [s]kip [l]ater [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > "
# What the figures below are worked with, whatever the defaults become.
RULE = ["--learning-rule", "moving-average", "--learning-rate", "0.15", "--genre-distance-penalty", "0.5"]
RULE += ["--popularity-penalty", "0.1", "--diversity-boost", "0.1", "--shared-traits-weight", "0"]
RULE += ["--favorite-turn-weight", "0"]
Done = namedtuple("Done", "returncode stdout stderr")


def run(text: str, *flags: object, main: Callable[..., object] = runsvd.main, rule: list[str] = RULE) -> Done:
    out, err, code = io.StringIO(), io.StringIO(), 0
    stdin, sys.stdin = sys.stdin, io.StringIO(text)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.run(lambda _: main([*rule, *map(str, flags)]))
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.stdin = stdin
    return Done(code, out.getvalue(), err.getvalue())


def refused(done: Done) -> str:
    assert done.returncode == 2, done
    assert re.fullmatch(r"tastevec: .*\n", done.stderr), done.stderr
    return done.stderr


def shown(done: Done) -> list[str]:
    return re.findall(r"^\d+\. (.*\))  ", done.stdout, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def processed(tmp_path_factory):
    return make_processed(tmp_path_factory.mktemp("data") / "processed")


@pytest.fixture(scope="module")
def with_texts(tmp_path_factory):
    folder = make_processed(tmp_path_factory.mktemp("data") / "processed")
    settings = {"fewest_texts": 1, "most_texts": 1.0}
    config = TasteEmbeddingConfig(folder.parent, "local", backend_settings=settings)
    TasteEmbeddingGenerator(config).build_movie_embeddings()
    return folder


# Worked by hand: the profile is Action 3/4, Drama 1/4, so Iota (Comedy) is out; u = (5/6, 1/6); over the five
# candidates u . m has mean .4133 and deviation .24; Gamma: (.7667 - .4133) / .24 - .5 * .25 - .1 * 30 / 40 = 1.272.
TRANSCRIPT = """\
tastevec: 9 movies, up to 2005. Name up to 4 that you love; Enter starts.
Favorite 1 of 4: alpha
  Alpha (1980)  Action
Favorite 2 of 4: zeta
  Which one?
  1  Zeta (2005)  Drama, War
  2  Zeta (1990)  Action, Drama
  Its number, another title, or Enter for none of these: 2
  Zeta (1990)  Action, Drama
Favorite 3 of 4: ALPHA
  Alpha (1980) is already named.
Favorite 3 of 4: nope nope
  No movie like 'nope nope' of 9 here, up to 2005: try another title, or t and what you want.
Favorite 3 of 4: gamma 7
  No movie here is called 'gamma 7'. One of these?
  1  Gamma (1982)  Action, War
  Its number, another title, or Enter for none of these:{space}
Favorite 3 of 4: nope (2031)
  'nope (2031)' is too new: the newest movies here are of 2005.
Favorite 3 of 4: beta the
  The Beta (1981)  Action
Favorite 4 of 4:{space}

1. Gamma (1982)  Action, War
   [y]es [n]o [s]kip [l]ater [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > w
   Gamma (1982) has score +1.272, the sum of
     +0.694  your favorite Alpha (1980)
     +0.694  your favorite The Beta (1981)
     +0.083  your favorite Zeta (1990)
     -0.125  genres: it shares 75% of your favorites' genres
     -0.075  popularity: 30 people rated it
   [y]es [n]o [s]kip [l]ater [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > y

2. Théta (1999)  Action
   [y]es [n]o [s]kip [l]ater [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > i
   No description of this movie here.
   genres: Action
   ratings: 8 people rated it
   [y]es [n]o [s]kip [l]ater [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > z
   'z' is not an answer: type y, n, s, x or l, or ? for all that can be said
   [y]es [n]o [s]kip [l]ater [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > n

3. Zeta (2005)  Drama, War
   [y]es [n]o [s]kip [l]ater [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > u

2. Théta (1999)  Action
   [y]es [n]o [s]kip [l]ater [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > u

1. Gamma (1982)  Action, War
   [y]es [n]o [s]kip [l]ater [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > u
   nothing to undo: no movie has been answered
   [y]es [n]o [s]kip [l]ater [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > LIKE

2. Théta (1999)  Action
   [y]es [n]o [s]kip [l]ater [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > q

You liked 1:
  Gamma (1982)
Goodbye.
""".replace("{space}", " ")
TYPED = "alpha\nzeta\n2\nALPHA\nnope nope\ngamma 7\n\nnope (2031)\nbeta the\n\nw\ny\ni\nz\nn\nu\nu\nu\nLIKE\nq\n"


def test_a_whole_session_through_a_pipe_and_from_another_folder(processed, tmp_path):
    assert run(TYPED, "--processed", processed) == (0, TRANSCRIPT, "")
    # The file runs as the module does, in a bare clone and wherever one stands.
    command = [sys.executable, str(ROOT / "model" / "runsvd.py"), "--processed", str(processed), *RULE]
    done = subprocess.run(command, input=TYPED, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8")
    assert (done.returncode, done.stdout, done.stderr) == (0, TRANSCRIPT, "")


def test_tastevec_names_every_program_and_starts_a_session_by_its_flags(processed):
    def tastevec_(*flags: object, typed: str = "") -> Done:
        return run(typed, *flags, main=tastevec.main, rule=[])

    typed, flags = "alpha\n\nq\n", [*RULE, "--processed", processed]
    session = run(typed, "--processed", processed)
    assert tastevec_(*flags, typed=typed) == tastevec_("session", *flags, typed=typed) == session
    listed = tastevec_()
    assert (listed.returncode, listed.stderr) == (0, "")
    assert all(re.search(rf"^  {command}  ", listed.stdout, flags=re.MULTILINE) for command in tastevec.COMMANDS)
    helps = [tastevec_(*command.split(), "--help") for command in tastevec.COMMANDS]
    assert {(said.returncode, said.stderr) for said in helps} == {(0, "")}
    assert len({re.match("usage: python -m .*", said.stdout)[0] for said in helps}) == len(helps)
    assert "train svd" in refused(tastevec_("train"))
    assert "no command 'dance'" in refused(tastevec_("dance", "--seed", "1"))


def test_end_of_input_quits_cleanly_anywhere_and_a_tie_can_be_asked_about_for_ever(processed):
    ties = "zeta\n" * 500
    for text in ("", "alpha\n", "alpha\nzeta", "alpha\n\n", "alpha\n\ny\nw\n", "alpha\n\ny\nn", ties, "zeta\nq\n"):
        done = run(text, "--processed", processed)
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith("Goodbye.\n")
        assert done.stdout.count("Which one?") == text.count("zeta")


def test_filters_and_the_end_of_the_list(processed):
    def left(*flags: str) -> list[str]:
        done = run("alpha\nzeta 1990\n\n" + "s\n" * 9, "--processed", processed, *flags)
        assert "No movies left" in done.stdout
        return sorted(name[:5] for name in shown(done))

    assert left() == ["Delta", "Epsil", "Gamma", "The B", "Théta", "Zeta "]
    assert left("--genre", "war") == ["Gamma", "Zeta "]
    assert left("--exclude-genre", "Drama", "--exclude-genre", "War") == ["The B", "Théta"]
    assert left("--year", "1981-1983") == ["Delta", "Gamma", "The B"]
    assert left("--year", "1999-") == ["Théta", "Zeta "]
    assert left("--year=-1981") == ["The B"]
    assert left("--year", "1984") == ["Epsil"]


def test_info_has_the_average_and_the_place_in_the_decade(tmp_path):
    folder = make_processed(tmp_path)
    model = SvdModel.load(folder / "artifacts" / "svd")
    model.movie_means_ = np.array([3, 3, 4.149, 3, 3, 3, 3, 2, 3], dtype=np.float32)
    model.save(folder / "artifacts" / "svd")
    typed = "alpha\nbeta\n\ni\ny\ni\ny\n"  # of 1980 to 1984: 30 of 10, 20, 30, 40, 5 ratings
    done = run(typed, "--processed", folder)
    assert "   ratings: 4.1 from 30 people; 2nd most rated of the 1980s\n" in done.stdout
    assert "   ratings: 2.0 from 8 people; 2nd most rated of the 1990s\n" in done.stdout


def test_texts_of_the_catalogue_cannot_command_the_terminal(tmp_path):
    folder = make_processed(tmp_path)
    listed, evil = folder / "movie_metadata.csv", "\x1b]0;renamed\x07\x1b[2J\u202e"
    text = re.sub("Alpha|Gamma|War|Ann Lee|heist|A movie", rf"{evil}\g<0>", listed.read_text(encoding="utf-8"))
    listed.write_text(text, encoding="utf-8")
    typed = "alpha\nzeta\n1\ngamma\ni\nw\ny\ni\ny\ni\ny\nq\n"
    for flags in ([], ["--genre", "nope"], ["--like", evil]):
        done = run(typed, "--processed", folder, *flags)
        assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", done.stdout + done.stderr)
        assert done.returncode == (2 if flags else 0)


def test_no_program_prints_what_commands_a_terminal():
    evil = "a\x1b[31m\x07\x9b5m\u202e\u200b\r\tb\n"

    def main(text: str) -> None:
        print(evil, "\rprogress\r", end="")
        print(evil, end="", file=sys.stderr)
        raise ChoiceError(evil * 200)

    done = run("", main=lambda _: main("x"))
    assert (done.returncode, done.stdout) == (2, "a[31m5m  b\n \rprogress\r")
    first, error = done.stderr.splitlines()
    assert (first, error[:21], len(error) < 1100) == ("a[31m5m  b", "tastevec: a[31m5m b a", True)


def stored(path: Path) -> dict[str, object]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


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


PLAIN = '{"format_version": 1, "seed": 0, "favorites": [1], "answers": []}'
WORDS = '"answers": [[2, "like"]], "words": '
PROFILES = [
    *((text, "is damaged") for text in ("", "{", "[" * 100_000)),
    ("[]", "[] is no profile"),
    *((PLAIN.replace("1,", f"{n},"), f"format_version: {n} is not 1, 2 or 3") for n in ("9", "'2'", "1.0", "True")),
    (PLAIN.replace('"seed": 0, ', ""), "seed: None is not a whole number"),
    (PLAIN.replace('"seed": 0', '"seed": 0, "seed": 1'), "key 'seed' is given twice"),
    *((PLAIN.replace(": 0", f": {n}"), f"seed: {n} is not a whole") for n in ("-4", "0.5", "'1'", "True", "None")),
    (PLAIN.replace(": 0", ": Infinity"), "seed: inf is not a whole number"),
    (PLAIN.replace(": 0", f": {'9' * 5000}"), f"seed: {'9' * 57}... is not a whole number"),
    *((PLAIN.replace("[1]", n), f"favorites: {n} is not a list") for n in ("'1'", "1", "{'a': 1}", "None")),
    *((PLAIN.replace("[1]", f"[1, {n}]"), f"favorites: {n} is not") for n in ("'x'", "2.9", "True", "-2", "[2]", "{}")),
    (PLAIN.replace("[1]", f"[{'9' * 5000}]"), f"favorites: {'9' * 57}... is not a movie id"),
    (PLAIN.replace("[1]", "[1, 2, 1]"), "movie 1 is there twice"),
    (PLAIN.replace("[]", '[[1, "like"]]'), "movie 1 is there twice"),
    (PLAIN.replace("[1]", "[77]"), "none of the favorites is in this"),
    *(
        (PLAIN.replace("[]", f"[{answer}]"), f"answers: {answer} is not [movie id, one of like, dislike")
        for answer in ("[2, 'maybe']", "[2]", "['2', 'like']", "[2, 'like', 3]", "2", "[2, ['like']]", "None")
    ),
    *(
        (PLAIN.replace('"answers": []', WORDS + words), message)
        for words, message in (
            *((f"[{n}]", f"words: {n} is not [text") for n in ("['a', -1]", "['a']", "[1, 2, 3]", "['a', '0']", "'a'")),
            ("'ab'", "words: 'ab' is not a list"),
            ('[["\\ud800", 0]]', "it cannot be written back"),
        )
    ),
    *(
        (PLAIN.replace("{", '{"x": ' + n + ", "), "cannot be written back")
        for n in ("NaN", "1e999", '{"y": "\\udfff"}', "9" * 5000)
    ),
]


def as_json(text: str) -> str:
    return re.sub("'|True|None", lambda found: {"'": '"', "True": "true", "None": "null"}[found[0]], text)


def test_profiles_that_are_not_understood_are_refused_and_left_alone(processed, tmp_path):
    for text, message in PROFILES:
        (tmp_path / "ann.json").write_text(as_json(text))
        line = refused(run("", "--processed", processed, "--profiles", tmp_path, "--resume", "ann"))
        assert re.search(f"ann.json.*{re.escape(message)}", line), text[:200]
        assert len(line) < 400
        assert (tmp_path / "ann.json").read_text() == as_json(text)


@pytest.mark.dev
def test_any_file_as_a_profile_is_understood_in_full_or_refused_and_left_alone(processed, tmp_path):
    hypothesis = pytest.importorskip("hypothesis")
    some = hypothesis.strategies
    catalog, path = Catalog.load(processed), tmp_path / "ann.json"
    words = some.text(some.characters(exclude_categories=()), max_size=3)
    leaf = some.none() | some.booleans() | some.integers(-2, 12) | some.integers() | some.floats() | words
    value = some.recursive(leaf, lambda inner: some.lists(inner) | some.dictionaries(words, inner), max_leaves=6)
    ids = some.lists(some.integers(0, 12), max_size=4)
    answers = some.lists(some.tuples(some.integers(0, 12), some.sampled_from([*ANSWERS, "maybe"])), max_size=4)
    spoken = some.lists(some.tuples(words, some.integers(-1, 4)), max_size=3)
    keys = {"format_version": some.integers(0, 4), "seed": leaf, "favorites": ids, "answers": answers, "words": spoken}
    near = some.fixed_dictionaries({}, optional={**{key: kind | value for key, kind in keys.items()}, "note": value})
    good = {**keys, "format_version": some.just(3), "seed": some.integers(0, 9)}
    wanted = some.fixed_dictionaries({}, optional={"genres": some.just(["War"]), "last_year": some.none() | leaf})
    choices = {"familiarity": some.none() | some.floats(-0.1, 1), "filter": wanted, "backend": some.just("minilm")}
    files = (value | near | some.fixed_dictionaries(good, optional=choices)).map(lambda made: json.dumps(made).encode())

    @hypothesis.settings(max_examples=int(os.environ.get("EXAMPLES", "200")), deadline=None, database=None)
    @hypothesis.given(files | some.binary())
    def check(content: bytes) -> None:
        path.write_bytes(content)
        refusal, known = "", {}
        try:
            state, known, _ = load_profile(path, catalog)
        except ArtifactError as error:
            refusal = str(error)
        else:
            save_profile(path, catalog, state, known)
            assert load_profile(path, catalog)[0] == state
        assert known or path.read_bytes() == content
        assert bool(known) != refusal.startswith(str(path))
        if known and 9 not in {*known["favorites"], *(movie for movie, _ in known["answers"])}:
            more = state._replace(answers=(*state.answers, Event(8, "like")))
            save_profile(path, catalog, more, known)
            said, kept = {"words": [], **json.loads(content), "format_version": 3}, json.loads(path.read_bytes())
            for key in ("favorites", "answers", "words"):  # movies that the catalogue lacks change places
                assert len(kept[key]) == len(said.pop(key)) + (key == "answers")
            assert said.items() <= kept.items()
            assert load_profile(path, catalog)[0] == more

    check()


def test_what_a_profile_holds_beyond_this_catalogue_is_kept(processed, tmp_path):
    answers = [[88, "like"], [89, "skip"], [3, "like"], [5, "dislike"]]
    profile = {"note": {"mine": [1.5, None]}, "favorites": [1, 2, 98, 99], "answers": answers, "format_version": 2}
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


def test_words_keep_their_place_among_movies_that_a_catalogue_lacks(with_texts, tmp_path):
    answers, words = [[3, "like"], [88, "like"], [5, "skip"], [89, "like"]], [["war", 1], ["heist", 2], ["war", 4]]
    profile = {"format_version": 2, "seed": 0, "favorites": [1], "answers": answers, "words": words}
    (tmp_path / "ann.json").write_text(json.dumps(profile))
    done = run("w\ny\nt drama\nq\n", "--processed", with_texts, "--profiles", tmp_path, "--resume", "ann")
    found = stored(tmp_path / "ann.json")
    assert (done.returncode, found["answers"][:2], len(found["answers"])) == (0, answers[1::2], 5)
    assert found["words"] == [["war", 3], ["heist", 3], ["war", 4], ["drama", 5]]


def test_words_in_a_session_are_read_explained_and_undone(with_texts):
    done = run("alpha\n\nt\nt War\nw\nu\nt  heist \nq\n", "--processed", with_texts)
    assert (done.returncode, done.stderr) == (0, "")
    assert "   Say what you want after the t, such as: t slow atmospheric science fiction\n" in done.stdout
    first, *others = shown(done)
    assert others == ["Gamma (1982)", first, "The Beta (1981)"]  # the one of war and action, the one of that keyword
    total = float(re.search(r"has score ([+-][\d.]+), the sum of", done.stdout)[1])
    terms = re.findall(r"^ *([+-]\d+\.\d+)  (.*)$", done.stdout, flags=re.MULTILINE)
    assert sum(float(value) for value, _ in terms) == pytest.approx(total, abs=0.003)
    assert [label for _, label in terms[:2]] == ['your words "War"', "your favorite Alpha (1980)"]
    # in one short line, without what a terminal obeys
    typed = ["alpha", "", "t \x1b[31mwar\u202e " + "heist " * 50, "w", *(f"t war {i}" for i in range(8)), "w", "q", ""]
    done = run("\n".join(typed), "--processed", with_texts)
    assert f'  your words "{("[31mwar " + "heist " * 50)[:57]}..."\n' in done.stdout
    assert re.search(r"  your other \d+ answers and words together\n", done.stdout)


def test_words_alone_start_a_session_and_are_kept_in_a_profile(with_texts, tmp_path):
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


def test_words_that_cannot_be_read_change_nothing(processed, with_texts):
    done = run("alpha\n\nt 7\nq\n", "--processed", with_texts)
    assert f"{PROMPT}t 7\n   no movie here has anything of '7': try other words\n{PROMPT}q\n" in done.stdout
    done = run("", "--processed", with_texts, "--like", "7")
    assert (refused(done), done.stdout) == ("tastevec: no movie here has anything of '7': try other words\n", "")
    done = run("alpha\n\nt war\ny\nq\n", "--processed", processed)
    command = f"run python -m model.generate_embeddings --processed {processed} --backend minilm"
    assert command in done.stdout
    assert len(shown(done)) == 2
    assert command in refused(run("", "--processed", processed, "--like", "war"))


def test_a_service_on_the_network_reads_words_and_nothing_said_is_kept(tmp_path, monkeypatch, server):
    folder = make_processed(tmp_path / "data" / "processed")
    (home := tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(home))
    settings = {"base_url": server.url, "cache": ""}
    config = TasteEmbeddingConfig(folder.parent, "http", openai_model="fake", backend_settings=settings)
    TasteEmbeddingGenerator(config).build_movie_embeddings()
    flags = ["--processed", folder, "--backend", "http", "--base-url", server.url, "--model"]
    done = run("alpha\n\nt a movie of war\nw\nq\n", *flags, "fake")
    assert (done.returncode, done.stderr, list(home.iterdir())) == (0, "", [])
    assert 'your words "a movie of war"' in done.stdout
    assert "model fake, not another" in run("alpha\n\nt war\nq\n", *flags, "another").stdout


FLAGS = [
    ("--year soon", "'soon' is not a year or a range: write 1994, 1990-1999, 1990- or -1970"),
    ("--year 1999-1990", "'1999-1990' is not a year or a range"),
    ("--seed -1", "'-1' is not a whole number from 0"),
    *((f"--{flag} {'9' * 5000}", f"{'9' * 40}...") for flag in ("seed", "year", "n-favorites")),
    ("--like war --backend nope", "nope"),
    ("--base-url http://localhost", "--base-url and --model belong to the backend http"),
    ("--genre Sitcom", "no genre 'Sitcom': choose from Action, Comedy, Drama, War"),
    ("--year 1920", "no movie passes --genre, --exclude-genre and --year together: widen one of them"),
    ("--save ../x", "profile name '../x': use up to 64 letters"),
    ("--resume nobody", "no profile 'nobody' in"),
    (
        "--learning-rate 0.5 --learning-rule conditional-gaussian",
        "--learning-rate and --negative-weight belong to the moving",
    ),
    ("--diversity-band-low 0.9", "diversity_band_low 0.9 is above diversity_band_high 0.5: give the lower"),
    ("--resume ann --seed 3", "--seed 3 with --resume: the profile has its own seed: omit --seed"),
    ("--n-favorites 0", "--n-favorites: 0 is out of range"),
    ("--config nowhere.yaml", "no settings file at nowhere.yaml"),
    ("--processed nowhere", "no movie list at nowhere"),
    ("--processed setup.cfg", "setup.cfg"),
    ("--profiles setup.cfg --save ann", "setup.cfg"),
    ("--like-a-boss", "unrecognized arguments: --like-a-boss"),
]


def test_flags_that_are_refused(processed):
    rule = ["--learning-rule", "moving-average"]
    for flags, message in FLAGS:
        assert message in refused(run("alpha\n\ny\n", "--processed", processed, *flags.split(), rule=rule))


DAMAGE = [
    ("artifacts/svd/movie_embeddings.npy", "short", "movie_embeddings.npy is damaged or from another run"),
    ("movie_popularity.json", '{"1": "x"}', "movie_popularity.json"),
]


def test_damaged_data(tmp_path):
    for number, (name, text, message) in enumerate(DAMAGE):
        folder = make_processed(tmp_path / str(number))
        (folder / name).write_text(text)
        line = refused(run("", "--processed", folder))
        assert message in line
        # the command makes this folder again, not the shipped one
        assert str(folder) in line.split("run python")[-1]


@pytest.mark.skipif(os.name == "nt", reason="needs a shell that can close a stream")
def test_streams_that_are_closed_full_or_no_text(processed, tmp_path):
    program = f'"{sys.executable}" -m model.runsvd {" ".join(RULE)} --processed "{processed}"'
    closed = "tastevec: standard output is closed: redirect it to a terminal or a file\n"
    for closing, expected in (("<&-", (0, "")), (">&-", (2, closed))):
        done = subprocess.run(f"{program} {closing}", shell=True, cwd=ROOT, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == expected
    flags = (tmp_path, runsvd.main, *RULE, "--processed", processed)
    assert run_on(b"\xff\xfe\x00\nalpha\n\n\x07\nq\n", "out", *flags) == (0, "")
    assert run_on(b"s\n" * 99, None, *flags) == (141, "")
    code, line = run_on(b"alpha\n\ny\n", "/dev/full", *flags)
    assert code == 2
    assert re.fullmatch("tastevec: .*the disk is full.*\n", line)
    done = run("", main=lambda _: np.ones(99_999).tofile("/dev/full"), rule=[])
    assert "the disk is full" in refused(done)  # numpy's error has no number


class Terminal:
    """A program on a pseudo-terminal."""

    def __init__(self, processed: Path, *flags: object, main: Any = runsvd.main, **environment: str) -> None:
        self.unread, (self.pid, self.handle) = "", pytest.importorskip("pty").fork()
        if self.pid == 0:
            os.chdir(ROOT)
            signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background it is ignored
            signal.alarm(30)  # it ends in any case
            os.environ.update({"TERM": "xterm", "INPUTRC": "/dev/null", **environment})
            as_program(main, "--processed", processed, *flags)

    def wait_for(self, text: str, then: str = "") -> None:
        while text not in self.unread:
            try:
                piece = os.read(self.handle, 4096)
            except OSError:  # Linux reports the end of a pseudo-terminal as an error
                piece = b""
            assert piece, f"no {text!r} in {self.unread!r}"
            self.unread += piece.decode("utf-8", "replace")
        self.unread = self.unread.split(text, 1)[1]
        os.write(self.handle, then.encode())

    def rest(self) -> str:
        """Return what the program writes until its end."""
        with contextlib.suppress(AssertionError):
            self.wait_for("no such text")
        return self.unread

    def exit_code(self) -> int:
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.handle)
        return code


def test_no_color_is_obeyed_and_ctrl_c_says_goodbye(processed):
    terminal = Terminal(processed, NO_COLOR="1")
    terminal.wait_for("Favorite 1 of 4: ", "alpha\n")
    terminal.wait_for("Alpha (1980)  Action")
    terminal.wait_for("Favorite 2 of 4: ")
    # A signal between readline's prompt and its wait for keys is seen only at the next key: press until it is seen.
    for _ in range(20):
        os.write(terminal.handle, b"\x03")
        if select.select([terminal.handle], [], [], 1)[0]:
            break
    terminal.wait_for("\r\nGoodbye.\r\n")
    assert terminal.exit_code() == 130
    assert "Traceback" not in terminal.unread
