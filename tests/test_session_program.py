"""`model.runsvd` as people meet it: a whole transcript, every command, words, a terminal, and all that it refuses."""

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
from model.terminal.answers import HELP, PROMPT, Command, read
from recommender import cli
from recommender.data.errors import ChoiceError
from recommender.learn.svd import SvdModel
from recommender.session.gaussian import Gaussian, GaussianSettings
from recommender.session.policy import MovieFilter
from recommender.session.taste_covariance import save_gaussian
from recommender.text.generator import TasteEmbeddingConfig, TasteEmbeddingGenerator
from tests.tiny import FILMS, as_program, make_processed, run_on

ROOT = Path(__file__).resolve().parent.parent
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


def stored(path: Path) -> dict[str, object]:
    return dict(json.loads(path.read_text(encoding="utf-8")))


def make_session_data(folder: Path) -> Path:
    """The nine movies, also for the conditional Gaussian, with the numbers that Letterboxd knows them by."""
    make_processed(folder)
    ids, vectors = np.array([movie[0] for movie in FILMS]), np.array([movie[4] for movie in FILMS], dtype=np.float32)
    ones = np.ones(len(FILMS), dtype=np.float32)
    fitted = Gaussian(vectors, 0.2 * ones, ones, np.linspace(0, 1, len(FILMS), dtype=np.float32), 100)
    save_gaussian(folder / "artifacts" / "session", fitted, GaussianSettings(rank=2), ids, "train")
    first, *rows = (listed := folder / "movie_metadata.csv").read_text(encoding="utf-8").splitlines()
    rows = [f"{row},{number}0,000{number},en" for number, row in enumerate(rows, 1)]
    listed.write_text("\n".join([f"{first},tmdbId,imdbId,original_language", *rows, ""]), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def processed(tmp_path_factory):
    return make_session_data(tmp_path_factory.mktemp("data") / "processed")


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
Favorite 1 of 4: Y
  No movie was shown yet: type titles, divided by ;  or t and what you want, in your own words: t slow science fiction
  Enter starts, u takes the last title back, q quits; fav y is the title y.
Favorite 1 of 4: u
  No favorite to take back.
Favorite 1 of 4: iota; delta
  Iota (2001)  Comedy
  Delta (1983)  Drama
Favorite 3 of 4: U
  Delta (1983) is taken back.
Favorite 2 of 4: undo
  Iota (2001) is taken back.
Favorite 1 of 4: alpha, zeta
  Alpha (1980)  Action
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
Favorite 3 of 4: fav beta, the
  The Beta (1981)  Action
Favorite 4 of 4:{space}

1. Gamma (1982)  Action, War
> w
   Gamma (1982) has score +1.272, the sum of
     +0.694  your favorite Alpha (1980)
     +0.694  your favorite The Beta (1981)
     +0.083  your favorite Zeta (1990)
     -0.125  genres: it shares 75% of your favorites' genres
     -0.075  popularity: 30 people rated it
> y

2. Théta (1999)  Action
> i
   No description of this movie here.
   genres: Action
   language: English
   ratings: 8 people rated it
> z
   'z' is not an answer: type y, n, s, x or l, or ? for all that can be said
> n

3. Zeta (2005)  Drama, War
> u

2. Théta (1999)  Action
> u

1. Gamma (1982)  Action, War
> u
   nothing to undo: no movie has been answered
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
   Gamma (1982) is answered already: no answer was recorded
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
   no favorite 'nothing': type again to see them with numbers
> +
   this learning rule has no familiarity: only conditional-gaussian has
> again
   favorites: 1 Zeta (1990); 2 The Beta (1981)
   filters: only Comedy
   disliked: Gamma (1982)
   liked: Théta (1999)

3. Iota (2001)  Comedy
> l

No movies left: all were answered or are outside the filters.
> q

You liked 1:
  Théta (1999)

For later 1:
  Iota (2001)
Goodbye.
""".replace("{space}", " ").replace("\n> ", "\n" + PROMPT)
_asked = [line for line in TRANSCRIPT.splitlines() if line.startswith((PROMPT, "Favorite", "  Its number"))]
TYPED = "".join(re.split("> |: ", line, maxsplit=1)[1] + "\n" for line in _asked)


def test_a_whole_session_through_a_pipe_and_from_another_folder(processed, tmp_path):
    assert run(TYPED, "--processed", processed) == (0, TRANSCRIPT, "")
    # The file runs as the module does, in a bare clone and wherever one stands.
    command = [sys.executable, str(ROOT / "model" / "runsvd.py"), "--processed", str(processed), *RULE]
    done = subprocess.run(command, input=TYPED, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8")
    assert (done.returncode, done.stdout, done.stderr) == (0, TRANSCRIPT, "")


READ = [
    *((text, Command("answer", "like")) for text in ("y", "YES", "like", " seen   yes ")),
    *((text, Command("answer", "dislike")) for text in ("n", "no", "seen n")),
    *((text, Command("answer", text.casefold())) for text in ("Not Interested", "skip", "later")),
    ("t Slow  Sci-Fi", Command("tell", "Slow  Sci-Fi")),
    ("list", Command("list", 5)),
    *((text, Command("favorite", "heat, fargo")) for text in ("fav Heat, Fargo", "favorite heat, fargo")),
    *((text, Command("several", {1: "like", 12: "not interested"})) for text in ("1y 12x", "12 X,1yes", "1y12x")),
]
FILTERS = [
    ("only comedy, sci-fi and war", MovieFilter(("comedy", "sci-fi", "war"), ("Drama",), 1980, 1985)),
    ("only noir or comedies", MovieFilter(("Film-Noir", "Comedy"), ("Drama",), 1980, 1985)),
    ("not horror or drama", MovieFilter(("Action",), ("Drama", "horror", "drama"), 1980, 1985)),
    *((text, MovieFilter(("Action",), ("Drama",), *years)) for text, years in (
        ("1990s", (1990, 1999)), ("1994", (1994, 1994)), ("1990-", (1990, None)), ("1990-1999", (1990, 1999)),
        ("-1970", (None, 1970)), ("after 2000", (2001, None)), ("before 1980", (None, 1979)),
        ("only 1990s", (1990, 1999)), ("80s and 90s", (1980, 1999)), ("the seventies", (1970, 1979)),
    )),
    ("any", MovieFilter()),
]  # fmt: skip
UNREAD = [
    *((text, "is not an answer: type y") for text in ("", "yy", "seen", "seen s", "after", "only", "not ")),
    ("something funny", "n, s, t and what you want"),
    *((text, "one answer, as in 1y 3n 4l") for text in ("7", "1 2, 3", "1y 2q", "1y 1n", "1y or 2", "1999-1990")),
    *((f"list {n}", "give a number from 1 to 20") for n in ("0", "21", "x", "-1", "9" * 5000)),
    ("fav", "which movie?"),
    ("t", "Say what you want after the t"),
]


def test_lines_are_read_as_people_mean_them(processed):
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
    said = run("alpha\n\n?\nq\n", "--processed", processed).stdout.split("> ?\n")[1].split(PROMPT)[0].splitlines()
    assert len(said) < 24
    assert max(map(len, [PROMPT, *said])) < 80


def test_familiarity_moves_by_fifths_and_says_where_it_stands(processed):
    typed, no_turns = "zeta 1990\n\n" + "+\n" * 4 + "u\n" + "-\n" * 6, ["--favorite-turn-weight", "0"]
    done = run(typed, "--processed", processed, rule=no_turns)
    steps = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("   familiarity: ")]
    assert steps == ["0.75", "0.95", "1.00", "0.95", "0.75", "0.55", "0.35", "0.15", "0.00"]
    assert done.stdout.count("already: it goes from 0 to 1") == 2
    known, own = (
        shown(run("zeta 1990\n\n", "--processed", processed, "--familiarity", dial, rule=no_turns)) for dial in "10"
    )
    assert known != own
    assert known[0] == shown(done)[3]


def test_tastevec_names_every_program_and_starts_a_session_by_its_flags(processed):
    def tastevec_(*flags: object, typed: str = "") -> Done:
        return run(typed, *flags, main=tastevec.main, rule=[])

    typed, flags = "alpha\n\nq\n", [*RULE, "--processed", processed]
    session = run(typed, "--processed", processed)
    assert tastevec_(*flags, typed=typed) == tastevec_("session", *flags, typed=typed) == session
    listed = tastevec_()
    assert all(re.search(rf"^  {command}  ", listed.stdout, flags=re.MULTILINE) for command in tastevec.COMMANDS)
    helps = [tastevec_(*command.split(), "--help") for command in tastevec.COMMANDS]
    assert {(said.returncode, said.stderr) for said in [listed, *helps]} == {(0, "")}
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
    everything = ["Delta", "Epsil", "Gamma", "The B", "Théta", "Zeta "]
    for flags, expected in (
        ("", everything),
        ("--genre war", ["Gamma", "Zeta "]),
        ("--exclude-genre Drama --exclude-genre War", ["The B", "Théta"]),
        ("--year 1981-1983", ["Delta", "Gamma", "The B"]),
        ("--year 1999-", ["Théta", "Zeta "]),
        ("--year=-1981", ["The B"]),
    ):
        done = run("alpha\nzeta 1990\n\n" + "s\n" * 9, "--processed", processed, *flags.split())
        assert sorted(name[:5] for name in shown(done)) == expected
        assert "No movies left" in done.stdout


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


def test_words_in_a_session_are_read_explained_and_undone(processed, with_texts):
    done = run("alpha\n\nt War\nw\nu\nt 7\nt  heist \nq\n", "--processed", with_texts)
    first, *others = shown(done)
    assert others == ["Gamma (1982)", first, "The Beta (1981)"]  # the one of war and action, the one of that keyword
    total = float(re.search(r"has score ([+-][\d.]+), the sum of", done.stdout)[1])
    terms = re.findall(r"^ *([+-]\d+\.\d+)  (.*)$", done.stdout, flags=re.MULTILINE)
    assert sum(float(value) for value, _ in terms) == pytest.approx(total, abs=0.003)
    assert [label for _, label in terms[:2]] == ['your words "War"', "your favorite Alpha (1980)"]
    assert f"{PROMPT}t 7\n   no movie here has anything of '7': try other words\n{PROMPT}t" in done.stdout
    # in one short line, without what a terminal obeys
    typed = ["alpha", "", "t \x1b[31mwar\u202e " + "heist " * 50, "w", *(f"t war {i}" for i in range(8)), "w", "q", ""]
    done = run("\n".join(typed), "--processed", with_texts)
    assert f'  your words "{("[31mwar " + "heist " * 50)[:57]}..."\n' in done.stdout
    assert re.search(r"  all else that you said \(\d+\)\n", done.stdout)
    # without text vectors
    command = f"run python -m model.generate_embeddings --processed {processed} --backend minilm"
    done = run("alpha\n\nt war\ny\nq\n", "--processed", processed)
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
    *((f"--{flag} {'9' * 5000}", f"{'9' * 40}...") for flag in ("seed", "year", "n-favorites")),
    ("--like war --backend nope", "nope"),
    ("--base-url http://localhost", "--base-url and --model belong to the backend http"),
    ("--genre Sitcom", "no genre 'Sitcom': choose from Action, Comedy, Drama, War"),
    ("--year 1920", "no movie passes --genre, --exclude-genre and --year together: widen one of them"),
    ("--save ../x", "profile name '../x': use up to 64 letters"),
    ("--resume nobody", "no profile 'nobody' in"),
    ("--group a --group b --save c", "a group's session is not saved"),
    ("--learning-rate 0.5", "--learning-rate and --negative-weight belong to the moving average"),
    ("--diversity-band-low 0.9", "diversity_band_low 0.9 is above diversity_band_high 0.5: give the lower"),
    ("--resume ann --seed 3", "--seed 3 with --resume: the profile has its own seed: omit --seed"),
    ("--n-favorites 0", "--n-favorites: 0 is out of range"),
    ("--config nowhere.yaml", "no settings file at nowhere.yaml"),
    ("--processed nowhere", "no movie list at nowhere"),
    ("--profiles setup.cfg --save ann", "setup.cfg"),
    ("--like-a-boss", "unrecognized arguments: --like-a-boss"),
]
DAMAGE = {"artifacts/svd/movie_embeddings.npy": "short", "movie_popularity.json": '{"1": "x"}'}


def test_flags_and_damaged_data_are_refused(processed, tmp_path):
    for flags, message in FLAGS:
        assert message in refused(run("alpha\n\ny\n", "--processed", processed, *flags.split(), rule=[]))
    for number, (name, text) in enumerate(DAMAGE.items()):
        folder = make_processed(tmp_path / str(number))
        (folder / name).write_text(text)
        line = refused(run("", "--processed", folder))
        assert Path(name).name in line
        assert str(folder) in line.split("run python")[-1]  # makes this folder again, not the shipped one


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
