"""README tells the truth: its session and its example are run, its files and flags exist."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


TRANSCRIPTS = [block for block in blocks("console") if "model.runsvd" in block]


@pytest.mark.parametrize("shown", TRANSCRIPTS, ids=[block.split("\n", 1)[0][-30:] for block in TRANSCRIPTS])
def test_a_session_shown_is_what_the_program_prints(shown: str) -> None:
    command, expected = shown.split("\n", 1)
    typed = re.fullmatch(r"\$ printf '(.*?)' \| \.venv/bin/python (-m model\.runsvd.*)", command)
    assert typed is not None
    text = typed.group(1).replace("\\n", "\n")
    arguments = [sys.executable, *shlex.split(typed.group(2))]
    done = subprocess.run(arguments, input=text, cwd=ROOT, capture_output=True, encoding="utf-8")
    assert done.stdout == expected


def test_the_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = (block for block in blocks("python") if "Recommender.load()" in block)
    monkeypatch.chdir(tmp_path)  # it writes a file
    exec(example.replace('method="ease"', 'method="svd"'), {})  # which fits sooner
    assert (tmp_path / "lists.csv").is_file()
    assert re.fullmatch(r".+ \(\d{4}\) \d+\.\d+ \(Reason\(kind=.*\)\)\n", capsys.readouterr().out)


def test_the_first_screen_has_the_two_commands() -> None:
    first_screen = README.splitlines()[:24]
    assert [line for line in first_screen if line.startswith("python3 -m venv")] == [
        "python3 -m venv .venv && .venv/bin/pip install -q -e . && .venv/bin/python -m model.runsvd",
        "python3 -m venv .venv && .venv/bin/pip install -q -e '.[test]' && .venv/bin/python -m pytest",
    ]


def test_every_program_and_flag_named_exists(capsys: pytest.CaptureFixture[str]) -> None:
    named: dict[str, set[str]] = {}
    for program, flags in re.findall(r"python -m ((?:model|preprocess)\.\w+)(.*)", README):
        assert (ROOT / (program.replace(".", "/") + ".py")).is_file()
        named.setdefault(program, set()).update(re.findall(r" (--[a-z-]+)", flags))
    for program in (program for program, flags in named.items() if flags):
        with pytest.raises(SystemExit):
            importlib.import_module(program).main(["--help-all"])
        said = capsys.readouterr().out
        assert not [flag for flag in named[program] if flag not in said]


def test_every_file_named_exists() -> None:
    paths = re.compile(r"`((?:recommender|preprocess|model|config|processed|tests)/[\w/.]*|[\w/]+\.py)`")
    for text in (README, (ROOT / "docs" / "reading.md").read_text(encoding="utf-8")):
        folder = ROOT
        for name in paths.findall(text):  # a short name is in the folder of the one before it
            found = [place / name for place in (ROOT, folder, ROOT / "tests") if (place / name).exists()]
            assert found, name
            folder = found[0].parent
