"""`model.runsvd` as people meet it: whole transcripts through a pipe and through a pseudo-terminal."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tiny import make_processed

ROOT = Path(__file__).resolve().parent.parent
# What the figures below are worked with, whatever the defaults become.
RULE = [
    *("--learning-rule", "moving-average", "--learning-rate", "0.15", "--genre-distance-penalty", "0.5"),
    *("--popularity-penalty", "0.1", "--diversity-boost", "0.1"),
]


@pytest.fixture(scope="module")
def processed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_processed(tmp_path_factory.mktemp("data") / "processed")


def run(text: str, *flags: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "model.runsvd", *RULE, *map(str, flags)]
    return subprocess.run(command, input=text, cwd=cwd, capture_output=True, text=True, timeout=60, encoding="utf-8")


# Worked by hand: the profile is Action 3/4, Drama 1/4, so Iota (Comedy) is out; u = (5/6, 1/6); over the five
# candidates u . m has mean .4133 and deviation .24; Gamma: (.7667 - .4133) / .24 - .5 * .25 - .1 * 30 / 40 = 1.272.
TRANSCRIPT = """\
tastevec: 9 movies. Name 4 that you love; Enter alone starts with fewer.
Favorite 1 of 4: alpha
  Alpha (1980)  Action
Favorite 2 of 4: zeta
  Which one?
  1  Zeta (2005)  Drama, War
  2  Zeta (1990)  Action, Drama
  Its number, another title, or Enter for none of these: 2
  Zeta (1990)  Action, Drama
Favorite 3 of 4: ALPHA
  Alpha (1980) is named already.
Favorite 3 of 4: nope nope
  No movie like 'nope nope' of 9 here: try other words.
Favorite 3 of 4: beta the
  The Beta (1981)  Action
Favorite 4 of 4:{space}

1. Gamma (1982)  Action, War
   [y]es [n]o [s]kip [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > w
   Gamma (1982) has score +1.272, the sum of
     +0.694  your favorite Alpha (1980)
     +0.694  your favorite The Beta (1981)
     +0.083  your favorite Zeta (1990)
     -0.125  genres: it shares 75% of your favorites' genres
     -0.075  popularity: 30 people rated it
   [y]es [n]o [s]kip [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > y

2. Théta (1999)  Action
   [y]es [n]o [s]kip [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > i
   No description of this movie here.
   genres: Action
   ratings: 8 people rated it
   [y]es [n]o [s]kip [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > x
   'x' is not an answer: type y, n, s, t and words, i, w, u, q or ?.
   [y]es [n]o [s]kip [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > n

3. Zeta (2005)  Drama, War
   [y]es [n]o [s]kip [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > u

2. Théta (1999)  Action
   [y]es [n]o [s]kip [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > u

1. Gamma (1982)  Action, War
   [y]es [n]o [s]kip [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > u
   Nothing to undo yet.
   [y]es [n]o [s]kip [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > LIKE

2. Théta (1999)  Action
   [y]es [n]o [s]kip [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > q

You liked 1:
  Gamma (1982)
Goodbye.
""".replace("{space}", " ")
TYPED = "alpha\nzeta\n2\nALPHA\nnope nope\nbeta the\n\nw\ny\ni\nx\nn\nu\nu\nu\nLIKE\nq\n"


def test_a_whole_session_through_a_pipe(processed: Path) -> None:
    done = run(TYPED, "--processed", processed)
    assert done.stderr == ""
    assert done.stdout == TRANSCRIPT
    assert done.returncode == 0


def test_the_file_runs_as_the_module_does(processed: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "model" / "runsvd.py"), "--processed", str(processed), *RULE]
    done = subprocess.run(command, input=TYPED, cwd=tmp_path, capture_output=True, text=True, encoding="utf-8")
    assert (done.stdout, done.stderr, done.returncode) == (TRANSCRIPT, "", 0)


@pytest.mark.parametrize("text", ["", "alpha\n", "alpha\nzeta", "alpha\n\n", "alpha\n\ny\nw\n", "alpha\n\ny\nn"])
def test_end_of_input_quits_cleanly_anywhere(processed: Path, text: str) -> None:
    done = run(text, "--processed", processed)
    assert done.returncode == 0
    assert done.stderr == ""
    assert done.stdout.endswith("Goodbye.\n")


def test_a_tie_can_be_asked_about_for_ever_and_left(processed: Path) -> None:
    done = run("zeta\n" * 1500, "--processed", processed)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("Which one?") == 1500
    assert run("zeta\nq\n", "--processed", processed).stdout.endswith("none of these: q\nGoodbye.\n")


def test_the_session_ends_when_nothing_is_left(processed: Path) -> None:
    done = run("alpha\n\n" + "y\n" * 20, "--processed", processed)
    assert "Nothing is left to show" in done.stdout
    assert done.returncode == 0


def test_filters(processed: Path) -> None:
    def shown(*flags: str) -> list[str]:
        done = run("alpha\nzeta 1990\n\n" + "s\n" * 9, "--processed", processed, *flags)
        assert done.returncode == 0, done.stderr
        return sorted(re.findall(r"^\d+\. (.*\))  ", done.stdout, flags=re.MULTILINE))

    everything = shown()
    assert everything == [
        "Delta (1983)",
        "Epsilon (1984)",
        "Gamma (1982)",
        "The Beta (1981)",
        "Théta (1999)",
        "Zeta (2005)",
    ]
    assert shown("--genre", "war") == ["Gamma (1982)", "Zeta (2005)"]
    assert shown("--exclude-genre", "Drama", "--exclude-genre", "War") == ["The Beta (1981)", "Théta (1999)"]
    assert shown("--year", "1981-1983") == ["Delta (1983)", "Gamma (1982)", "The Beta (1981)"]
    assert shown("--year", "1999-") == ["Théta (1999)", "Zeta (2005)"]
    assert shown("--year=-1981") == ["The Beta (1981)"]
    assert shown("--year", "1984") == ["Epsilon (1984)"]


def test_a_profile_is_kept_only_when_asked_and_resumes_where_it_stood(processed: Path, tmp_path: Path) -> None:
    home = {**os.environ, "HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path / "data")}
    base = [sys.executable, "-m", "model.runsvd", "--processed", str(processed), *RULE]

    def talk(text: str, *flags: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*base, *flags], input=text, cwd=ROOT, env=home, capture_output=True, text=True, encoding="utf-8"
        )

    assert talk("alpha\n\ny\n").returncode == 0
    assert list(tmp_path.iterdir()) == []
    first = talk("alpha\nzeta 1990\n\ny\nn\n", "--save", "ann")
    assert "Kept as profile ann: go on with --resume ann" in first.stdout
    stored = json.loads((tmp_path / "data" / "tastevec" / "profiles" / "ann.json").read_text())
    assert stored["favorites"] == [1, 6]
    assert [answer for _, answer in stored["answers"]] == ["like", "dislike"]
    again = talk("w\n", "--resume", "ann")
    assert "Welcome back, ann: 2 favorites, 2 answers." in again.stdout
    assert "\n3. " in again.stdout
    # The movie that resume shows is the one on which the first session stopped.
    third = re.search(r"\n3\. (.*)\n", first.stdout)
    assert third is not None
    assert f"\n3. {third.group(1)}\n" in again.stdout
    undone = talk("u\ns\n", "--resume", "ann")
    assert undone.returncode == 0
    stored = json.loads((tmp_path / "data" / "tastevec" / "profiles" / "ann.json").read_text())
    assert [answer for _, answer in stored["answers"]] == ["like", "skip"]
    refused = talk("", "--save", "ann")
    assert refused.returncode == 2
    assert "profile 'ann' exists: go on with --resume" in refused.stderr
    copied = talk("y\n", "--resume", "ann", "--save", "bob")
    assert copied.returncode == 0
    assert len(json.loads((tmp_path / "data" / "tastevec" / "profiles" / "bob.json").read_text())["answers"]) == 3


def test_two_sessions_cannot_share_a_profile(processed: Path, tmp_path: Path) -> None:
    flags = ["--processed", str(processed), "--profiles", str(tmp_path)]
    run("alpha\n\ny\n", *flags, "--save", "ann")
    command = [sys.executable, "-m", "model.runsvd", *flags, "--resume", "ann"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        first.stdout.readline()  # it has begun, so it holds the profile
        second = run("", *flags, "--resume", "ann")
        first.communicate("q\n")
    assert second.returncode == 2
    assert "another process is using profile 'ann'" in second.stderr


def test_a_closed_pipe_is_no_error(processed: Path) -> None:
    command = f"yes s | {sys.executable} -m model.runsvd {' '.join(RULE)} --processed {processed} | head -1"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    assert done.stdout.startswith("tastevec:")


def test_input_that_is_not_text(processed: Path) -> None:
    command = [sys.executable, "-m", "model.runsvd", *RULE, "--processed", str(processed)]
    done = subprocess.run(command, input=b"\xff\xfe\x00\nalpha\n\n\x07\nq\n", cwd=ROOT, capture_output=True)
    assert done.returncode == 0
    assert done.stderr == b""


class Terminal:
    """The program on a pseudo-terminal."""

    def __init__(self, *flags: str, **environment: str) -> None:
        pty = pytest.importorskip("pty")
        self.unread = ""
        self.pid, self.handle = pty.fork()
        if self.pid == 0:
            os.chdir(ROOT)
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a test run in the background inherits it ignored
            os.environ.update({"TERM": "xterm", "INPUTRC": "/dev/null", **environment})
            os.execv(sys.executable, [sys.executable, "-m", "model.runsvd", *flags])

    def wait_for(self, text: str, seconds: float = 20) -> str:
        """Read until `text` appears after what was read before, and return what came before it."""
        end = time.monotonic() + seconds
        while text not in self.unread:
            ready, _, _ = select.select([self.handle], [], [], max(0, end - time.monotonic()))
            assert ready, f"no {text!r} in {self.unread!r}"
            try:
                self.unread += os.read(self.handle, 4096).decode("utf-8", "replace")
            except OSError:  # Linux reports the end of a pseudo-terminal as an error
                break
        assert text in self.unread, self.unread
        before, self.unread = self.unread.split(text, 1)
        return before

    def type(self, text: str) -> None:
        os.write(self.handle, text.encode())

    def close(self, seconds: float = 20) -> int:
        """Return the exit code; a program that does not end is killed."""
        end = time.monotonic() + seconds
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > end:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.02)
        os.close(self.handle)
        return os.waitstatus_to_exitcode(status)


def test_a_session_on_a_terminal_completes_and_colors(processed: Path) -> None:
    terminal = Terminal("--processed", str(processed))
    terminal.wait_for("Favorite 1 of 4: ")
    terminal.type("gam\t")
    terminal.wait_for("Gamma (1982)")
    terminal.type("\n")
    terminal.wait_for("\033[1mGamma (1982)\033[0m")
    terminal.wait_for("Favorite 2 of 4: ")
    terminal.type("\n")
    terminal.wait_for("> ")
    terminal.type("y\n")
    terminal.wait_for("2. ")
    terminal.wait_for("> ")
    terminal.type("\x04")
    terminal.wait_for("Goodbye.")
    assert terminal.close() == 0


def test_no_color_is_obeyed(processed: Path) -> None:
    terminal = Terminal("--processed", str(processed), NO_COLOR="1")
    terminal.wait_for("Favorite 1 of 4: ")
    terminal.type("alpha\n")
    terminal.wait_for("Alpha (1980)  Action")
    terminal.type("q\n")
    terminal.wait_for("Goodbye.")
    assert terminal.close() == 0


def test_ctrl_c_leaves_without_a_traceback(processed: Path) -> None:
    terminal = Terminal("--processed", str(processed))
    terminal.wait_for("Favorite 1 of 4: ")
    # A signal between readline's prompt and its wait for keys is seen only at the next key: press until it is seen.
    for _ in range(20):
        terminal.type("\x03")
        if select.select([terminal.handle], [], [], 1)[0]:
            break
    terminal.wait_for("\n")
    assert terminal.close() == 130
    assert "Traceback" not in terminal.unread


def test_killed_sessions_keep_every_answer_given(processed: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "model.runsvd", "--processed", str(processed), "--profiles", str(tmp_path)]
    with subprocess.Popen(
        [*command, "--save", "ann"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as program:
        assert program.stdin is not None
        assert program.stdout is not None
        program.stdin.write(b"alpha\n\ny\nn\n")
        program.stdin.flush()
        for line in program.stdout:
            if line.startswith(b"3. "):
                break
        program.send_signal(signal.SIGKILL)
    assert len(json.loads((tmp_path / "ann.json").read_text())["answers"]) == 2
    assert run("", "--processed", processed, "--profiles", tmp_path, "--resume", "ann").returncode == 0
