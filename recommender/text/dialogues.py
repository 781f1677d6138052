"""Dialogues about movies, read into one form, and the texts extracted from them.

    CCPE-M    one JSON list; USER and ASSISTANT; no speaker ids         Radlinski et al. 2019, CC BY-SA 4.0
    ReDial    a JSON object per line; worker ids; movies as @12345         Li et al. 2018, CC BY 4.0
    INSPIRED  tab-separated, one turn per line; SEEKER and RECOMMENDER      Hayati et al. 2020
    table     .csv: dialog_id, speaker_id, text and, optionally role     your own

ReDial also asks both people afterwards about every movie that came up. Its `initiator` is the seeker, its `respondent`
the recommender. In a table, speaker ids may be those of the users who rate: then words and ratings of a user meet.

A profile (`gather`) is everything that a user said as a seeker. `words_before` returns the seeker's words before a
movie, without titles: natural descriptions for the evaluation of search by text.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

from ..data.catalog import parse_title
from ..data.errors import ChoiceError, DataError
from ..data.raw.cells import is_nothing, whole_number
from ..data.raw.csv_table import file_rows

SEEKER, RECOMMENDER = "seeker", "recommender"
ENDINGS = (".json", ".jsonl", ".tsv")  # a .csv may hold ratings too
MENTION = re.compile(r"@(\d+)")  # a movie in a text of ReDial
_ROLES = {"USER": SEEKER, "ASSISTANT": RECOMMENDER, "SEEKER": SEEKER, "RECOMMENDER": RECOMMENDER}


class Turn(NamedTuple):
    """One utterance: `speaker_id` is "" if the data has none; @7 in `text` is key "7" of `Dialogue.titles`."""

    role: str
    speaker_id: str
    text: str


@dataclass(frozen=True)
class Dialogue:
    """One conversation, in order.

    titles: mention -> title, with the year if the data has it ("The Shining (1980)").
    liked: the mentions that the seeker liked, in order of mention; only in ReDial.
    """

    source: str
    dialog_id: str
    turns: tuple[Turn, ...]
    titles: Mapping[str, str] = field(default_factory=dict)
    liked: tuple[str, ...] = ()


def read_dialogues(path: Path, source: str = "", notes: Optional[list[str]] = None) -> list[Dialogue]:
    """Read a file of `source`, by default that of the ending: .json CCPE-M, .jsonl ReDial, .tsv INSPIRED, .csv a table.

    notes: receives what is unusual about a table.
    Raises `ChoiceError` for another ending, `DataError`, with the line, for an invalid file.
    """
    name = source or next((name for name, form in _FORMS.items() if form[0] == path.suffix.lower()), "")
    if name not in _FORMS:
        endings = ", ".join(form[0] for form in _FORMS.values())
        raise ChoiceError(f"{path.name!r} is no file of dialogues: give one that ends with {endings}")
    if not path.is_file():
        raise DataError(f"no dialogues at {path}: give one file of dialogues")
    _, build, expected = _FORMS[name]
    found: dict[str, Dialogue] = {}
    where = "as a whole"
    try:
        for where, entry in _entries(name, path, [] if notes is None else notes):
            part = build(entry)
            # In a table each line is a turn, and the turns of a dialogue need not be adjacent.
            key = part.dialog_id if name in _COLUMNS else where
            found[key] = replace(found[key], turns=found[key].turns + part.turns) if key in found else part
    except (ValueError, RecursionError) as error:
        what = " ".join(str(error).split())[:200]
        raise DataError(f"{path} {where} is invalid ({what}): give {expected}") from None
    if not found:
        raise DataError(f"{path} has no dialogue: give {expected}")
    return list(found.values())


def gather(dialogues: Iterable[Dialogue]) -> dict[str, str]:
    """Return the profile of each seeker, in order of appearance.

    Mentions are replaced by titles; one without a title is removed. A profile's key is `source:speaker_id`, or
    `source:dialog_id` where there is no speaker id, without `source:` for a table.

    >>> gather([Dialogue("redial", "1", (Turn(SEEKER, "5", "I like @7 and @8."),), {"7": "Heat (1995)"})])
    {'redial:5': 'I like Heat (1995) and .'}
    """
    said: dict[str, list[str]] = {}
    for dialogue in dialogues:
        source = f"{dialogue.source}:" if dialogue.source else ""
        for role, speaker_id, text in dialogue.turns:
            parts = MENTION.split(text)  # words, key, words, key, ...
            parts[1::2] = [dialogue.titles.get(key, "") for key in parts[1::2]]
            words = " ".join("".join(parts).split())
            if role == SEEKER and words:
                said.setdefault(source + (speaker_id or dialogue.dialog_id), []).append(words)
    return {person: "\n".join(texts) for person, texts in said.items()}


def words_before(dialogue: Dialogue, mention: str) -> Optional[str]:
    """Return what the seeker said before movie `mention` was first named by anybody, without any title.

    In the turn that names the movie, the words before the name count. Mentions by number and typed titles, whole or
    up to the colon, in any case, are removed; a one-word title such as "It" removes the word everywhere. None if the
    movie is never mentioned; "" if nothing was said before.

    >>> said = Turn(SEEKER, "5", "Dark ones like heat, not @7")
    >>> words_before(Dialogue("redial", "1", (said,), {"7": "Heat (1995)"}), "7")
    'Dark ones like , not'
    """
    before: list[str] = []
    for role, _, text in dialogue.turns:
        named = next((found.start() for found in MENTION.finditer(text) if found.group(1) == mention), None)
        if role == SEEKER:
            before.append(_without_titles(text[:named], dialogue))
        if named is not None:
            return "\n".join(filter(None, before))
    return None


def _without_titles(text: str, dialogue: Dialogue) -> str:
    """Return `text` without mentions, and without the dialogue's titles as typed, in single spaces."""
    parsed = map(parse_title, dialogue.titles.values())
    whole = [name for title in parsed for name in (title.title, *title.alternatives)]
    names = {part for name in whole for part in (name, name.split(":")[0].strip()) if part}
    longest_first = "|".join(sorted(map(re.escape, names), key=len, reverse=True))
    typed = re.compile(rf"(?<!\w)(?:{longest_first})(?!\w)" if names else "$", re.IGNORECASE)
    return " ".join(typed.sub(" ", MENTION.sub(" ", text)).split())


def _entries(name: str, path: Path, notes: list[str]) -> Iterator[tuple[str, Any]]:
    """Yield (where, entry): a dialogue of CCPE-M, a line of ReDial, or a line of a table as a mapping."""
    if name in _COLUMNS:
        # The quotation marks of INSPIRED are part of the text.
        quoting = csv.QUOTE_NONE if name == "inspired" else csv.QUOTE_MINIMAL
        for line, cells in file_rows(path, _COLUMNS[name], notes, ("role",), quoting):
            yield f"line {line}", dict(zip((*_COLUMNS[name], "role"), cells))
        return
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not valid UTF-8 (byte {error.start:,}): convert the file") from None
    if name == "ccpe":
        for number, entry in enumerate(_get({"content": json.loads(text)}, "content", list), 1):
            yield f"dialogue {number}", entry
        return
    for number, row in enumerate(text.split("\n"), 1):
        if row.strip():
            yield f"line {number}", row


def _get(entry: Any, name: Any, *kinds: type) -> Any:
    """Return a field of a JSON object; raises `ValueError` if it has none of `kinds`, by default a string."""
    if not isinstance(entry, dict) or name not in entry:
        raise ValueError(f"{name!r:.60} is missing or unknown")
    if not isinstance(entry[name], kinds or str):
        expected = " or ".join(kind.__name__ for kind in kinds or (str,))
        raise ValueError(f"{name} is {entry[name]!r:.60}, not {expected}")
    return entry[name]


def _ccpe(entry: Any) -> Dialogue:
    said = sorted(_get(entry, "utterances", list), key=lambda utterance: int(_get(utterance, "index", int, str)))
    turns = tuple(Turn(_get(_ROLES, _get(part, "speaker")), "", _get(part, "text")) for part in said)
    return Dialogue("ccpe", _get(entry, "conversationId"), turns)


def _redial(line: str) -> Dialogue:
    entry = json.loads(line)
    sides = (("respondentWorkerId", RECOMMENDER), ("initiatorWorkerId", SEEKER))
    roles = {_get(entry, name, int, str): role for name, role in sides}
    # An empty mapping is written as an empty list, and a movie without a title as null.
    mapped = ("movieMentions", "initiatorQuestions")
    mentions, asked = (_get(entry, name, dict) if entry.get(name, name) else {} for name in mapped)
    titles = {key: " ".join(_get(mentions, key).split()) for key in mentions if mentions[key]}
    liked = {key for key in asked if _get(asked[key], "liked", int) == 1}  # 0: did not; 2: did not say
    said = [(_get(part, "senderWorkerId", int, str), _get(part, "text")) for part in _get(entry, "messages", list)]
    mentioned = dict.fromkeys(key for _, text in said for key in MENTION.findall(text))
    in_order = tuple(key for key in mentioned if key in liked and key in titles)
    turns = tuple(Turn(_get(roles, who), str(who), text) for who, text in said)
    return Dialogue("redial", str(_get(entry, "conversationId", int, str)), turns, titles, in_order)


def _inspired(row: Mapping[str, str]) -> Dialogue:
    text = row["text"].replace("QUOTATION_MARK", '"')  # its authors' encoding of many of them
    return Dialogue("inspired", row["dialog_id"], (Turn(_get(_ROLES, row["speaker"]), "", text),))


def _table(row: Mapping[str, str]) -> Dialogue:
    role, speaker_id = (("" if is_nothing(row[name]) else row[name]) for name in ("role", "speaker_id"))
    if not role and speaker_id.upper() in _ROLES:  # as in INSPIRED
        role, speaker_id = _ROLES[speaker_id.upper()], ""
    if role.lower() not in ("", SEEKER, RECOMMENDER) or is_nothing(row["dialog_id"]):
        raise ValueError(f"dialog_id {row['dialog_id']!r:.60}, role {role!r:.60}")
    number = whole_number(speaker_id)  # as in the ratings, 12.0 is 12
    said = Turn(role.lower() or SEEKER, speaker_id if number is None else str(number), row["text"])
    return Dialogue("", row["dialog_id"], (said,))


# The columns of a line of a table, beside `role`.
_COLUMNS = {"inspired": ("dialog_id", "speaker", "text"), "table": ("dialog_id", "speaker_id", "text")}
# source -> ending, function from entry to dialogue, expected file
_FORMS: dict[str, tuple[str, Callable[[Any], Dialogue], str]] = {
    "ccpe": (".json", _ccpe, "the data.json of CCPE-M"),
    "redial": (".jsonl", _redial, "a .jsonl of ReDial"),
    "inspired": (".tsv", _inspired, "a .tsv of INSPIRED, with dialog_id, speaker and text"),
    "table": (".csv", _table, "a .csv with dialog_id, speaker_id, text and optionally role (seeker or recommender)"),
}
