"""All that can be said in a session: commands, lists, favorites, filters, what a profile keeps, and exports."""

from __future__ import annotations

import csv
import json
import re

import numpy as np
import pytest

from model import runtwotower
from model.terminal.answers import HELP, PROMPT, Command, read
from recommender.data.errors import ChoiceError
from recommender.session.gaussian import Gaussian, GaussianSettings
from recommender.session.policy import MovieFilter
from recommender.session.taste_covariance import save_gaussian
from tests.test_runtwotower import FLAGS, tiny_two_tower
from tests.test_session_program import Terminal, refused, run, shown, stored
from tests.tiny import FILMS, make_processed


@pytest.fixture(scope="module")
def processed(tmp_path_factory):
    """The nine movies, also for the conditional Gaussian, with the numbers that Letterboxd knows them by."""
    folder = make_processed(tmp_path_factory.mktemp("data") / "processed")
    ids, vectors = np.array([movie[0] for movie in FILMS]), np.array([movie[4] for movie in FILMS], dtype=np.float32)
    ones = np.ones(len(FILMS), dtype=np.float32)
    fitted = Gaussian(vectors, 0.2 * ones, ones, np.linspace(0, 1, len(FILMS), dtype=np.float32), 100)
    save_gaussian(folder / "artifacts" / "session", fitted, GaussianSettings(rank=2), ids, "train")
    listed = folder / "movie_metadata.csv"
    first, *rows = listed.read_text(encoding="utf-8").splitlines()
    lines = [
        f"{first},tmdbId,imdbId,original_language",
        *(f"{row},{number}0,000{number},en" for number, row in enumerate(rows, 1)),
    ]
    listed.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return folder


TRANSCRIPT = """\
tastevec: 9 movies, up to 2005. Name up to 4 that you love; Enter starts.
Favorite 1 of 4: 1 2 3
  No movie like '1 2 3' of 9 here, up to 2005: try another title, or t and what you want.
Favorite 1 of 4: Y
  No movie was shown yet: type titles, divided by ;  or t and what you want, in your own words: t slow science fiction
  Enter starts, u takes the last title back, q quits; fav y is the title y.
Favorite 1 of 4: u
  No favorite to take back.
Favorite 1 of 4: iota; delta, epsilon
  Iota (2001)  Comedy
  Delta (1983)  Drama
  Epsilon (1984)  Drama
Favorite 4 of 4: U
  Epsilon (1984) is taken back.
Favorite 3 of 4: undo
  Delta (1983) is taken back.
Favorite 2 of 4: u
  Iota (2001) is taken back.
Favorite 1 of 4: alpha, zeta
  Alpha (1980)  Action
  Which one?
  1  Zeta (2005)  Drama, War
  2  Zeta (1990)  Action, Drama
  Its number, another title, or Enter for none of these: 2
  Zeta (1990)  Action, Drama
Favorite 3 of 4: fav beta, the
  The Beta (1981)  Action
Favorite 4 of 4:{space}

1. Gamma (1982)  Action, War
> list 3
    1  Gamma (1982)  Action, War
    2  Théta (1999)  Action
    3  Zeta (2005)  Drama, War
   Answer as in 1y 3n 4l; y alone answers the first.
> 2y, 3x 1 later
   Théta (1999): liked; Zeta (2005): not interested; Gamma (1982): for later

4. Epsilon (1984)  Drama
> u

1. Gamma (1982)  Action, War
> 2y 9n
   no 9 in the list: it goes from 1 to 3; nothing was answered
> 1n
   Gamma (1982): disliked

2. Théta (1999)  Action
> 3y 1y
   Gamma (1982) is answered already: nothing was heard
> Seen  Y

3. Zeta (2005)  Drama, War
> only drama
   filters: only Drama

3. Zeta (2005)  Drama, War
> 1984
   filters: only Drama; 1984

3. Epsilon (1984)  Drama
> only war
   no movie that is left passes these filters: widen them
> u
   filters: only Drama

3. Zeta (2005)  Drama, War
> any
   filters: none

3. Zeta (2005)  Drama, War
> only comdy
   no genre 'comdy': choose from Action, Comedy, Drama, War
> only comedy
   filters: only Comedy

3. Iota (2001)  Comedy
> fav gamma; iota
  Gamma (1982)  Action, War
  Iota (2001)  Comedy
   favorites: 1 Alpha (1980); 2 Zeta (1990); 3 The Beta (1981); 4 Gamma (1982); 5 Iota (2001)

No movies left: all were answered or are outside the filters.
> y
   nothing to answer 'like' to: no movie is left
> i
   no movie is left
> list
   no movie is left
> u
   favorites: 1 Alpha (1980); 2 Zeta (1990); 3 The Beta (1981)

3. Iota (2001)  Comedy
> unfav 1
   favorites: 1 Zeta (1990); 2 The Beta (1981)

3. Iota (2001)  Comedy
> unfav nothing
   no favorite 'nothing': again lists them, with numbers
> +
   this learning rule has no familiarity: only conditional-gaussian has
> again
   favorites: 1 Zeta (1990); 2 The Beta (1981)
   filters: only Comedy
   disliked: Gamma (1982)
   liked: Théta (1999)

3. Iota (2001)  Comedy
> i
   No description of this movie here.
   genres: Comedy
   language: English
   ratings: 12 people rated it
> l

No movies left: all were answered or are outside the filters.
> q

You liked 1:
  Théta (1999)

For later 1:
  Iota (2001)
Goodbye.
"""


def test_a_session_with_every_command(processed):
    expected = TRANSCRIPT.replace("{space}", " ")
    typed = [line.partition(": " if ": " in line else "> ")[2] for line in expected.splitlines()
             if line.startswith(("> ", "Favorite", "  Its number"))]  # fmt: skip
    done = run("\n".join([*typed, ""]), "--processed", processed)
    assert (done.returncode, done.stdout.replace(PROMPT, "> "), done.stderr) == (0, expected, "")


READ = [
    *((text, Command("answer", "like")) for text in ("y", "YES", "like", "seen y", " seen   yes ")),
    *((text, Command("answer", "dislike")) for text in ("n", "no", "dislike", "seen n")),
    *((text, Command("answer", "not interested")) for text in ("x", "Not Interested")),
    *((text, Command("answer", answer)) for text, answer in (("s", "skip"), ("next", "skip"), ("later", "later"))),
    ("t Slow  Sci-Fi", Command("tell", "Slow  Sci-Fi")),
    ("list", Command("list", 5)),
    *((text, Command("favorite", "heat, fargo")) for text in ("fav Heat, Fargo", "favorite heat, fargo")),
    *(
        (text, Command("several", {1: "like", 12: "not interested"}))
        for text in ("1y 12x", "1 y,12 X", "12x;1yes", "1y12x")
    ),
]
FILTERS = [
    ("only comedy, sci-fi and war", MovieFilter(("comedy", "sci-fi", "war"), ("Drama",), 1980, 1985)),
    ("only noir or comedies", MovieFilter(("Film-Noir", "Comedy"), ("Drama",), 1980, 1985)),
    ("not horror or drama", MovieFilter(("Action",), ("Drama", "horror", "drama"), 1980, 1985)),
    *((text, MovieFilter(("Action",), ("Drama",), *years)) for text, years in (
        ("1990s", (1990, 1999)), ("90s", (1990, 1999)), ("1994", (1994, 1994)), ("1990-", (1990, None)),
        ("1990-1999", (1990, 1999)),
        ("-1970", (None, 1970)), ("after 2000", (2001, None)), ("before 1980", (None, 1979)),
        ("only 1990s", (1990, 1999)), ("80s and 90s", (1980, 1999)),
        ("the seventies", (1970, 1979)),
        ("between 1980 and 1985", (1980, 1985)), ("older than 1960", (None, 1959)),
    )),
    ("any", MovieFilter()),
]  # fmt: skip
UNREAD = [
    *((text, "is not an answer: type y") for text in ("", "yy", "seen", "seen s", "after", "after x", "only", "not ")),
    ("something funny", "n, s, t and what you want"),
    *((text, "one answer, as in 1y 3n 4l") for text in ("7", "1 2, 3", "1y 2q", "1y 1n", "1y or 2", "1999-1990")),
    *((f"list {n}", "give a number from 1 to 20") for n in ("0", "21", "x", "-1", "9" * 5000)),
    ("fav", "which movie?"),
    ("t", "Say what you want after the t"),
]


def test_lines_are_read_as_people_mean_them():
    for text, command in READ:
        assert read(text) == command, text
    before = MovieFilter(("Action",), ("Drama",), 1980, 1985)
    for text, wanted in FILTERS:
        assert read(text).about(before) == wanted, text
    for text, message in UNREAD:
        with pytest.raises(ChoiceError, match=message):
            read(text)
    for key in HELP:
        assert read(key.split()[0] + (" war" if " " in key and key[0] in "tfuo" else "")), key


def test_help_fits_a_screen_and_prompts_a_line(processed):
    said = run("alpha\n\n?\nq\n", "--processed", processed).stdout.split("> ?\n")[1].split(PROMPT)[0].splitlines()
    assert len(said) < 24
    assert max(map(len, [PROMPT, *said])) < 80


NO_TURNS = ["--favorite-turn-weight", "0"]


def test_familiarity_moves_by_fifths_and_says_where_it_stands(processed):
    typed = "zeta 1990\n\n" + "+\n" * 4 + "u\n" + "-\n" * 6
    done = run(typed, "--processed", processed, rule=[])
    steps = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("   familiarity: ")]
    assert steps == ["0.75", "0.95", "1.00", "0.95", "0.75", "0.55", "0.35", "0.15", "0.00"]
    assert done.stdout.count("already: it goes from 0 to 1") == 2
    first = shown(run("zeta 1990\n\n", "--processed", processed, "--familiarity", "1", rule=NO_TURNS))
    assert first != shown(run("zeta 1990\n\n", "--processed", processed, "--familiarity", "0", rule=NO_TURNS))
    assert first[0] == shown(run(typed, "--processed", processed, rule=NO_TURNS))[3]


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


def test_choices_that_are_not_understood_are_refused(processed, tmp_path):
    good = {"format_version": 3, "seed": 0, "favorites": [1], "answers": [], "words": []}
    for more, message in (
        ({"familiarity": 1.5}, "familiarity: 1.5 is not a number from 0 to 1"),
        ({"familiarity": True}, "familiarity: True"),
        ({"backend": "clay"}, "backend: 'clay' is not one of minilm"),
        ({"learning_rule": 3}, "learning_rule: 3 is not one of"),
        *(({"filter": wrong}, "is no filter of") for wrong in ([1], {"moods": []}, {"genres": 5}, {"last_year": "x"})),
    ):
        (tmp_path / "ann.json").write_text(json.dumps({**good, **more}))
        assert message in refused(run("", "--processed", processed, "--profiles", tmp_path, "--resume", "ann", rule=[]))


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


def test_a_terminal_completes_titles_only_colors_and_wraps_lines(processed, tmp_path):
    terminal = Terminal(processed, "--save", "ann", "--profiles", str(tmp_path), COLUMNS="40")
    terminal.wait_for("Favorite 1 of 4: ", "gam\t\n")
    terminal.wait_for("\033[1mGamma (1982)\033[0m  \033[2mAction, War\033[0m")
    terminal.wait_for("Favorite 2 of 4: ", "\n")
    terminal.wait_for("[?] > ", "READ\t\t!\n")  # a file's name, where one stands
    terminal.wait_for("READ!")
    terminal.wait_for("[?] > ", "fav io\t\n")
    terminal.wait_for("1 Gamma (1982); 2 Iota\r\n     (2001)")
    terminal.wait_for("[?] > ", "\x04")
    terminal.wait_for("Saved as profile ann")
    assert terminal.exit_code() == 0
    assert stored(tmp_path / "ann.json")["favorites"] == [3, 9]
