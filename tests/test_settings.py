"""Settings from YAML and flags: defaults, precedence, and a refusal for everything that makes no sense."""

from dataclasses import dataclass
from pathlib import Path
from typing import Union

import pytest

from preprocess.steps import PipelineSettings
from recommender.cli import Parser
from recommender.data.errors import SettingsError
from recommender.data.settings import default_folder, override, read_settings, setting
from recommender.session.policy import PolicySettings


@dataclass(frozen=True)
class Example:
    rank: int = setting(50, "how many factors", 1, 500)
    rate: float = setting(0.1, "step size", 0, 1)
    signal: str = setting("binary", "what a cell holds", choices=("binary", "ones"))
    final: bool = setting(False, "fit on everything")


def test_file_then_flags(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text("rank: 7\nrate: 1\n# signal: ones\n")
    settings = read_settings(Example, path)
    assert settings == Example(rank=7, rate=1.0)
    assert isinstance(settings.rate, float)
    parser = Parser("model.example", "")
    parser.add_settings(Example)
    given = override(settings, parser.parse_args(["--rate", "0.5", "--signal", "ones", "--final"]))
    assert given == Example(rank=7, rate=0.5, signal="ones", final=True)
    assert override(settings, parser.parse_args([])) == settings
    with pytest.raises(SettingsError, match=r"^--rank: 0 is out of range \(how many factors"):
        override(settings, parser.parse_args(["--rank", "0"]))
    path.write_bytes(b"\xef\xbb\xbfrank: 7\r\nrate: 1\r\n")  # as Notepad writes
    assert read_settings(Example, path) == Example(rank=7, rate=1.0)
    path.write_text("# nothing\n")
    assert read_settings(Example, path) == Example()
    for place, message in ((tmp_path / "none", "no settings file at .*none"), (tmp_path, "cannot be read")):
        with pytest.raises(SettingsError, match=message):
            read_settings(Example, place)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rnak: 7", r"x\.yaml line 1: unknown key 'rnak': did you mean rank\?"),
        ("zzz: 7", "unknown key 'zzz': known keys: rank, rate, signal, final"),
        ("rate: 0.1\nrank: 0", "line 2: rank: 0 is out of range (how many factors; from 1 to 500, default 50)"),
        ("rank: 7.5", "7.5 is not a whole number"),
        (f"rate: {10**400}", "is out of range"),
        ("rank: !!int x", "is not valid YAML"),
        ("rank: true", "True is not a whole number"),
        ("rank:", "None is not a whole number"),
        ("rate: .nan", "nan is not a number"),
        ("rate: .inf", "inf is not a number"),
        ("rate: 1.1", "1.1 is out of range (step size; from 0 to 1"),
        ("signal: stars", "'stars' is not one of binary, ones (what a cell holds;"),
        ("final: maybe", "'maybe' is not true or false (fit on everything;"),
        ("rank: 1\nrank: 2", "line 2: rank is given twice"),
        ("- rank", "contains a seq, not settings"),
        ("rank: [", "line 1 is not valid YAML"),
        ("rank: " + "[" * 1_000, "is not valid YAML"),
        ("rank: &a [x, x]\nrate: [*a, *a]", "line 1: rank is no single value"),
        (f"rate: 1\nrank: {'9' * 5000}", "x.yaml line 2 is not valid YAML (Exceeds the limit"),
        (f"rank: 0x{'f' * 5000}", "rank: a number of thousands of digits is out of range"),
        (f"rank: {'x' * 5000}", f"rank: '{'x' * 56}... is not a whole number"),
        (f"{'x' * 1000}: 1", f"unknown key '{'x' * 56}...: known"),
        ("# \n" * 50_000, "has more than 10,000 characters"),
        ("rank: !!python/object:os.system 1", "line 1 is not valid YAML"),
        (b"rank: 7 # caf\xe9", "cannot be read"),
    ],
)
def test_what_makes_no_sense_is_refused(tmp_path: Path, text: Union[str, bytes], message: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(SettingsError) as error:
        read_settings(Example, path)
    assert message.replace("\\", "") in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


def test_the_shipped_settings_are_the_defaults_and_name_every_key() -> None:
    for settings, name in ((PolicySettings, "recommender_policy.yaml"), (PipelineSettings, "pipeline.yaml")):
        path = default_folder("config") / name
        assert read_settings(settings, path) == settings()
        assert all(f"\n{key}: " in path.read_text() for key in settings.__dataclass_fields__)
    with pytest.raises(SettingsError, match="learning_rate: 9 is out of range"):  # in code as in a file
        PolicySettings(learning_rate=9)
