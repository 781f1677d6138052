"""Settings: frozen dataclasses read from YAML, each default and each meaning written once.

A field is declared with `setting(default, meaning, low, high)`. From that one line come the default, the range
check, the message when a value is refused, and the command-line flag of the same name. Precedence: the
dataclass's default, then the file, then flags.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, TypeVar

from .errors import SettingsError

T = TypeVar("T")


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


def read_settings(cls: type[T], path: Path) -> T:
    """Read the YAML mapping at `path` into the settings dataclass `cls`.

    Raises `SettingsError`, naming file and line, for a file that is not a YAML mapping, a key that `cls` does not
    have, a key given twice, or a value of the wrong type or out of range. An empty file gives the defaults.
    """
    import yaml

    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise SettingsError(f"no settings file at {path}: give an existing file with --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read ({error}): give a UTF-8 YAML file") from None
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)  # the same again with line numbers
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:  # ValueError: `2020-13-45`, `!!int x`
        mark = getattr(error, "problem_mark", None)
        line = f" line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise SettingsError(f"{path}{line} is not valid YAML ({problem}): write `key: value` lines") from None
    if root is None:
        return cls()
    if not isinstance(root, yaml.MappingNode):
        raise SettingsError(f"{path} holds a {root.tag.split(':')[-1]}, not settings: write `key: value` lines")
    given = {str(key): value for key, value in content.items()}
    values: dict[str, Any] = {}
    for key_node, _ in root.value:
        key = str(key_node.value)
        where = f"{path} line {key_node.start_mark.line + 1}: "
        if key in values:
            raise SettingsError(f"{where}{key} is given twice: keep one of the two lines")
        values[key] = check_value(cls, key, given.get(key), where + key)
    return cls(**values)


def check_value(cls: type[Any], key: str, value: Any, label: str = "") -> Any:
    """Return `value` as the type of field `key` of `cls`, or raise `SettingsError` with the field's meaning.

    label: what the person wrote, for the message; by default the key.
    """
    label = label or key
    fields = {field.name: field for field in dataclasses.fields(cls)}
    if key not in fields:
        import difflib

        near = difflib.get_close_matches(key, fields, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(fields)}"
        raise SettingsError(f"{label.removesuffix(key)}unknown key {key!r}: {hint}")
    field = fields[key]
    metadata = field.metadata
    low, high, choices = metadata["low"], metadata["high"], metadata["choices"]
    kind: type[Any] = type(field.default)
    wanted = f"{metadata['meaning']}; "
    if kind is bool:
        if isinstance(value, bool):
            return value
        raise SettingsError(f"{label}: {value!r} is not true or false ({metadata['meaning']})")
    if kind is str:
        if isinstance(value, str) and (choices is None or value in choices):
            return value
        allowed = ", ".join(choices) if choices else "a text"
        raise SettingsError(f"{label}: {value!r} is not one of {allowed} ({metadata['meaning']})")
    number_given = isinstance(value, (int, float)) and not isinstance(value, bool)
    finite = number_given and (isinstance(value, int) or math.isfinite(value))  # an int may be too large for a float
    if not finite or (kind is int and value != int(value)):
        what = "a whole number" if kind is int else "a number"
        raise SettingsError(f"{label}: {value!r} is not {what} ({wanted}default {field.default})")
    if (low is not None and value < low) or (high is not None and value > high):
        bounds = f"at least {low:g}" if high is None else f"from {low:g} to {high:g}"
        raise SettingsError(f"{label}: {value!r} is out of range ({wanted}{bounds}, default {field.default})")
    if kind is float and isinstance(value, int) and abs(value) > sys.float_info.max:
        raise SettingsError(f"{label}: {str(value)[:20]}... is out of range ({wanted}default {field.default})")
    return kind(value)


def check_settings(settings: Any) -> None:
    """Raise `SettingsError` for a field of a settings dataclass whose value makes no sense; for `__post_init__`."""
    for field in dataclasses.fields(settings):
        check_value(type(settings), field.name, getattr(settings, field.name))


def override(settings: T, arguments: argparse.Namespace) -> T:
    """Return `settings` with each flag that was given in `arguments` in place of the file's value."""
    dataclass: Any = settings
    given = {
        field.name: check_value(type(settings), field.name, value, "--" + field.name.replace("_", "-"))
        for field in dataclasses.fields(dataclass)
        if (value := getattr(arguments, field.name, None)) is not None
    }
    changed: T = dataclasses.replace(dataclass, **given)
    return changed


def default_folder(name: str) -> Path:
    """Return the folder `config` or `processed` that belongs to this library.

    A wheel holds it inside the package, a clone beside it. The current folder plays no part, so a script that
    has its own `processed/` still gets ours.
    """
    package = Path(__file__).resolve().parents[1]
    inside = package / name
    return inside if inside.is_dir() else package.parent / name
