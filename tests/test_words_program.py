"""Words of a person's own in `model.runsvd`: transcripts through a pipe, with text vectors and without."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from recommender.text import TasteEmbeddingConfig, TasteEmbeddingGenerator
from tests.fake_server import Server
from tests.test_session_program import ROOT, RULE
from tests.tiny import make_processed

PROMPT = "   [y]es [n]o [s]kip [t]ell [i]nfo [w]hy [u]ndo [q]uit [?] > "


@pytest.fixture(scope="module")
def deaf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A processed folder without text vectors."""
    return make_processed(tmp_path_factory.mktemp("data") / "processed")


@pytest.fixture(scope="module")
def hearing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A processed folder whose movies have text vectors."""
    folder = make_processed(tmp_path_factory.mktemp("data") / "processed")
    settings = {"fewest_texts": 1, "most_texts": 1.0}
    TasteEmbeddingGenerator(TasteEmbeddingConfig(folder.parent, backend_settings=settings)).build_movie_embeddings()
    return folder


def run(text: str, *flags: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "model.runsvd", *RULE, *map(str, flags)]
    return subprocess.run(command, input=text, cwd=ROOT, capture_output=True, text=True, timeout=60, encoding="utf-8")


def shown(done: subprocess.CompletedProcess[str]) -> list[str]:
    return re.findall(r"^\d+\. (?:.*\))  ", done.stdout, flags=re.MULTILINE)


def test_words_in_a_session_are_heard_explained_and_undone(hearing: Path) -> None:
    done = run("alpha\n\nt\nt War\nw\nu\nt  heist \nq\n", "--processed", hearing)
    assert (done.stderr, done.returncode) == ("", 0)
    assert "   Say what you want after the t, such as: t slow atmospheric science fiction\n" in done.stdout
    first, war, again, heist = shown(done)
    assert war == "1. Gamma (1982)  "  # the one movie of war and action
    assert again == first
    assert heist == "1. The Beta (1981)  "  # the one movie with that keyword
    why = done.stdout.split("is the sum of\n")[0] if "is the sum of" in done.stdout else done.stdout
    total = float(re.findall(r"has score ([+-][\d.]+), the sum of", why)[0])
    terms = re.findall(r"^ *([+-]\d+\.\d+)  (.*)$", why, flags=re.MULTILINE)
    assert sum(float(value) for value, _ in terms) == pytest.approx(total, abs=0.003)
    assert [label for _, label in terms if "words" in label] == ['your words "War"']


def test_words_are_shown_in_one_short_line_without_control_characters(hearing: Path) -> None:
    told = [f"t war {number}" for number in range(8)]
    done = run(
        "\n".join(["alpha", "", "t \x1b[31mwar\u202e " + "heist " * 50, "w", *told, "w", "q", ""]),
        "--processed",
        hearing,
    )
    terms = [line for line in done.stdout.split("\n") if 'your words "' in line]
    assert terms[0].endswith(f'  your words "{("[31mwar " + "heist " * 50)[:57]}..."')
    assert "  your other 2 answers and words together\n" in done.stdout


def test_words_alone_start_a_session(hearing: Path) -> None:
    done = run("\ns\nq\n", "--processed", hearing, "--like", "drama with war", "--like", "heist")
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.startswith(
        "tastevec: 9 movies. Name up to 4 that you love; Enter alone starts.\nFavorite 1 of 4: \n\n1. "
    )
    beside = run("alpha\n\nw\nq\n", "--processed", hearing, "--like", "heist")
    assert "your favorite Alpha (1980)" in beside.stdout
    assert 'your words "heist"' in beside.stdout


def test_words_are_resumed_from_a_profile_and_can_be_added_to(hearing: Path, tmp_path: Path) -> None:
    flags = ["--processed", hearing, "--profiles", tmp_path]
    first = run("\ny\nt war\n", *flags, "--like", "heist", "--save", "ann")
    assert first.returncode == 0
    stored = json.loads((tmp_path / "ann.json").read_text(encoding="utf-8"))
    assert stored["favorites"] == []
    assert stored["words"] == [["heist", 0], ["war", 1]]
    again = run("w\nu\nu\n", *flags, "--resume", "ann")
    assert "Welcome back, ann: 0 favorites, 1 answers, 2 times in words." in again.stdout
    assert shown(again)[0] == shown(first)[-1]
    stored = json.loads((tmp_path / "ann.json").read_text(encoding="utf-8"))
    assert (stored["answers"], stored["words"]) == ([], [["heist", 0]])
    run("", *flags, "--resume", "ann", "--like", "drama")
    stored = json.loads((tmp_path / "ann.json").read_text(encoding="utf-8"))
    assert stored["words"] == [["heist", 0], ["drama", 0]]


def test_words_of_which_nothing_is_known_change_nothing(hearing: Path) -> None:
    done = run("alpha\n\nt 7\nq\n", "--processed", hearing)
    assert (done.stderr, done.returncode) == ("", 0)
    assert f"{PROMPT}t 7\n   no movie here has anything of '7': try other words\n{PROMPT}q\n" in done.stdout
    refused = run("alpha\n\n", "--processed", hearing, "--like", "7")
    assert refused.returncode == 2
    assert refused.stderr == "tastevec: no movie here has anything of '7': try other words\n"
    assert refused.stdout == ""


def test_without_text_vectors_one_line_names_the_command(deaf: Path) -> None:
    done = run("alpha\n\nt war\ny\nq\n", "--processed", deaf)
    assert (done.stderr, done.returncode) == ("", 0)
    said = re.search(re.escape(PROMPT) + r"t war\n   (.*)\n" + re.escape(PROMPT) + "y", done.stdout)
    assert said is not None
    assert said.group(1).endswith(f": run python -m model.generate_embeddings --processed {deaf} --backend local")
    assert len(shown(done)) == 2
    refused = run("", "--processed", deaf, "--like", "war")
    assert refused.returncode == 2
    assert refused.stdout == ""
    assert refused.stderr.count("\n") == 1
    assert "python -m model.generate_embeddings" in refused.stderr


def test_a_service_on_the_network_hears_words_and_nothing_said_is_kept(deaf: Path, tmp_path: Path) -> None:
    server = Server()
    try:
        settings = {"base_url": server.url, "cache": ""}
        config = TasteEmbeddingConfig(deaf.parent, "http", openai_model="fake", backend_settings=settings)
        TasteEmbeddingGenerator(config).build_movie_embeddings()
        flags = ["--processed", deaf, "--backend", "http", "--base-url", server.url]
        command = [sys.executable, "-m", "model.runsvd", *RULE, *map(str, flags)]
        home = {**os.environ, "HOME": str(tmp_path)}
        done = subprocess.run(
            [*command, "--model", "fake"],
            input="alpha\n\nt a movie of war\nw\nq\n",
            cwd=ROOT,
            env=home,
            capture_output=True,
            encoding="utf-8",
        )
        assert (done.stderr, done.returncode) == ("", 0)
        assert 'your words "a movie of war"' in done.stdout
        assert list(tmp_path.iterdir()) == []
        other = run("alpha\n\nt war\nq\n", *flags, "--model", "another")
        assert "vectors of model" in other.stdout
        assert "can't be compared" in other.stdout
    finally:
        server.close()
    refused = run("", "--processed", deaf, "--base-url", "http://localhost")
    assert refused.returncode == 2
    assert "--base-url belongs to the backend http" in refused.stderr


def test_a_backend_without_vectors_or_of_no_name_is_refused(hearing: Path) -> None:
    done = run("", "--processed", hearing, "--like", "war", "--backend", "nope")
    assert done.returncode == 2
    assert "nope" in done.stderr
    other = run("", "--processed", hearing, "--like", "war", "--backend", "minilm")
    assert other.returncode == 2
    assert other.stderr.count("\n") == 1
