"""Settings: frozen dataclasses read from YAML.

The line `setting(default, meaning, low, high)` of a field defines its default, its range check, the error message and
the command-line flag. Precedence: flags, then the file, then the default.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, TypeVar

from .errors import ChoiceError, SettingsError, shown

T = TypeVar("T")
LARGEST = 10_000  # characters of a file


def setting(
    default: Any,
    meaning: str,
    low: Optional[float] = None,
    high: Optional[float] = None,
    choices: Optional[Sequence[str]] = None,
) -> Any:
    """Declare one field of a settings dataclass; `low` and `high` are inclusive."""
    metadata = {"meaning": meaning, "low": low, "high": high, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class NoSettings:
    """For what has nothing to choose."""


def read_settings(cls: type[T], path: Path) -> T:
    """Read the YAML mapping at `path` into the settings dataclass `cls`.

    An empty file gives the defaults. Raises `SettingsError`, naming file and line, for invalid YAML, an unknown or
    repeated key, and a value of the wrong type or out of range.
    """
    import yaml

    values: dict[str, Any] = {}
    line = 1
    try:
        with open(path, encoding="utf-8-sig") as file:
            text = file.read(LARGEST + 1)
        if len(text) > LARGEST:
            raise SettingsError(f"{path} has more than {LARGEST:,} characters: give a file of settings")
        loader = yaml.SafeLoader(text)
        root = loader.get_single_node()
        if root and not isinstance(root, yaml.MappingNode):
            raise SettingsError(f"{path} contains a {root.tag.split(':')[-1]}, not settings: write `key: value` lines")
        for node, content in root.value if root else ():
            key, line = str(node.value), node.start_mark.line + 1
            if key in values:
                raise SettingsError(f"{path} line {line}: {key} is given twice: remove one of the lines")
            if not isinstance(content, yaml.ScalarNode):  # a few aliases can stand for millions of values
                raise SettingsError(f"{path} line {line}: {key} is no single value: write `key: value` lines")
            value = loader.construct_object(content)
            values[key] = check_value(cls, key, value, f"{path} line {line}: {key}")
    except FileNotFoundError:
        raise SettingsError(f"no settings file at {path}: give an existing file with --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read ({error}): give a UTF-8 YAML file") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: `2020-13-45`, `!!int x`
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark else line
        problem = (getattr(error, "problem", None) or str(error)).splitlines()[0].partition(";")[0]
        raise SettingsError(f"{path} line {line} is not valid YAML ({problem}): write `key: value` lines") from None
    return cls(**values)


def check_value(cls: type[Any], key: str, value: Any, label: str = "") -> Any:
    """Return `value` as the type of field `key` of `cls`, or raise `SettingsError` with the field's meaning.

    label: for the message, by default the key.
    """
    label = label or key
    fields = {field.name: field for field in dataclasses.fields(cls)}
    if key not in fields:
        import difflib  # which every start of a program would wait for

        near = difflib.get_close_matches(key, fields, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(fields)}"
        raise SettingsError(f"{label.removesuffix(key)}unknown key {shown(key)}: {hint}")
    default, metadata = fields[key].default, fields[key].metadata
    meaning, low, high, choices = (metadata[name] for name in ("meaning", "low", "high", "choices"))
    kind: type[Any] = type(default)
    if kind is bool:
        fits, wanted = isinstance(value, bool), "true or false"
    elif kind is str:
        fits = isinstance(value, str) and (choices is None or value in choices)
        wanted = f"one of {', '.join(choices)}" if choices else "a string"
    else:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < math.inf
        fits = fits and (kind is float or value == int(value))
        wanted = "a whole number" if kind is int else "a number"
    if not fits:
        raise SettingsError(f"{label}: {shown(value)} is not {wanted} ({meaning}; default {default})")
    largest = sys.float_info.max
    if kind in (int, float) and not (-largest if low is None else low) <= value <= (largest if high is None else high):
        bounds = "" if low is None else f"at least {low:g}, " if high is None else f"from {low:g} to {high:g}, "
        raise SettingsError(f"{label}: {shown(value)} is out of range ({meaning}; {bounds}default {default})")
    return kind(value)


def check_settings(settings: Any) -> None:
    """Raise `SettingsError` for an invalid field of a settings dataclass; for `__post_init__`."""
    for field in dataclasses.fields(settings):
        check_value(type(settings), field.name, getattr(settings, field.name))


def override(settings: T, arguments: argparse.Namespace) -> T:
    """Return `settings`, overridden by the flags given in `arguments`."""
    names = [field.name for field in dataclasses.fields(settings)]  # type: ignore[arg-type]
    given = {
        name: check_value(type(settings), name, value, "--" + name.replace("_", "-"))
        for name in names
        if (value := getattr(arguments, name, None)) is not None
    }
    return dataclasses.replace(settings, **given)  # type: ignore[type-var]


def default_folder(name: str) -> Path:
    """Return the library's own folder `config` or `processed`: in the package (a wheel) or beside it (a clone)."""
    package = Path(__file__).resolve().parents[1]
    return package / name if (package / name).is_dir() else package.parent / name


def path_of(value: object, what: str) -> Optional[Path]:
    """Return a path given as a str or a Path; raises `ChoiceError` for anything else but None."""
    if not isinstance(value, (str, Path, type(None))):
        raise ChoiceError(f"{what} {shown(value)}: give its path as a str or a Path")
    return None if value is None else Path(value)
