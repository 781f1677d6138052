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
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

from ..data.catalog import parse_title
from ..data.errors import ChoiceError, DataError

SEEKER, RECOMMENDER = "seeker", "recommender"
ENDINGS = (".json", ".jsonl", ".tsv")  # a .csv may hold ratings too
_MENTION = re.compile(r"@(\d+)")  # a movie in a text of ReDial
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


def read_dialogues(path: Path, source: str = "") -> list[Dialogue]:
    """Read a file of `source`, by default that of the ending: .json CCPE-M, .jsonl ReDial, .tsv INSPIRED, .csv a table.

    Raises `ChoiceError` for another source or ending, `DataError`, with the line, for an invalid file.
    """
    name = source or next((name for name, form in _FORMS.items() if form[0] == path.suffix.lower()), "")
    if name not in _FORMS:
        given = f"source {source!r}" if source else f"file {path.name!r}"
        raise ChoiceError(f"unknown {given} of dialogues: give one of {', '.join(_FORMS)}")
    _, build, expected = _FORMS[name]
    found: dict[str, Dialogue] = {}
    where = "as a whole"
    try:
        for where, entry in _entries(name, _text(path)):
            part = build(entry)
            # In a table each line is a turn, and the turns of a dialogue need not be adjacent.
            key = part.dialog_id if name in ("inspired", "table") else where
            found[key] = replace(found[key], turns=found[key].turns + part.turns) if key in found else part
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, csv.Error) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DataError(f"{path} {where} is invalid ({what}): give {expected}") from None
    if not found:
        raise DataError(f"{path} has no dialogue: give {expected}")
    return list(found.values())


def gather(dialogues: Iterable[Dialogue]) -> tuple[dict[str, str], int]:
    """Return the profile of each seeker, and the number of dialogues in which no seeker speaks.

    Mentions are replaced by titles; one without a title is removed. A profile's key is `source:speaker_id`, or
    `source:dialog_id` where there is no speaker id, without `source:` for a table; in order of appearance.

    >>> gather([Dialogue("redial", "1", (Turn(SEEKER, "5", "I like @7 and @8."),), {"7": "Heat (1995)"})])
    ({'redial:5': 'I like Heat (1995) and .'}, 0)
    """
    said: dict[str, list[str]] = {}
    n_silent = 0
    for dialogue in dialogues:
        source = f"{dialogue.source}:" if dialogue.source else ""
        silent = True
        for role, speaker_id, text in dialogue.turns:
            parts = _MENTION.split(text)  # words, key, words, key, ...
            parts[1::2] = [dialogue.titles.get(key, "") for key in parts[1::2]]
            words = " ".join("".join(parts).split())
            if role == SEEKER and words:
                said.setdefault(source + (speaker_id or dialogue.dialog_id), []).append(words)
                silent = False
        n_silent += silent
    return {person: "\n".join(texts) for person, texts in said.items()}, n_silent


def words_before(dialogue: Dialogue, mention: str) -> Optional[str]:
    """Return what the seeker said before movie `mention` was first named by anybody, without any title.

    In the turn that names the movie, the words before the name count. Mentions by number and typed titles, whole or
    up to the colon, in any case, are removed; a one-word title such as "It" removes the word everywhere. None if the
    movie is never mentioned; "" if nothing was said before.

    >>> said = Turn(SEEKER, "5", "Dark ones like heat, not @7")
    >>> words_before(Dialogue("redial", "1", (said,), {"7": "Heat (1995)"}), "7")
    'Dark ones like , not'
    """
    titles = _typed_titles(dialogue)
    before: list[str] = []
    for role, _, text in dialogue.turns:
        named = next((found.start() for found in _MENTION.finditer(text) if found.group(1) == mention), None)
        if role == SEEKER:
            words = _MENTION.sub(" ", text[:named])
            words = " ".join((titles.sub(" ", words) if titles else words).split())
            before.extend([words] if words else [])
        if named is not None:
            return "\n".join(before)
    return None


def _typed_titles(dialogue: Dialogue) -> Optional[re.Pattern[str]]:
    """Return a pattern that matches the dialogue's titles as typed; None if there are none."""
    names: set[str] = set()
    for title in dialogue.titles.values():
        parsed = parse_title(title)
        for name in (parsed.title, *parsed.alternatives):
            names |= {name, name.split(":")[0].strip()}
    found = sorted((re.escape(name) for name in names if name), key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(found)})(?!\w)", re.IGNORECASE) if found else None


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig").replace("\r\n", "\n")
    except FileNotFoundError:
        raise DataError(f"no dialogues at {path}: give an existing file") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder: give one file of dialogues") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not valid UTF-8: download the file again") from None


def _entries(name: str, text: str) -> Iterator[tuple[str, Any]]:
    """Yield (where, entry): a dialogue of CCPE-M, a line of ReDial, or a line of a table as a mapping."""
    if name == "ccpe":
        for number, entry in enumerate(json.loads(text), 1):
            yield f"dialogue {number}", entry
    elif name == "redial":
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield f"line {number}", line
    else:
        # The quotation marks of INSPIRED are part of the text.
        tabs: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if name == "inspired" else {}
        rows = csv.DictReader(io.StringIO(text.replace("\r", " ")), **tabs)
        for row in rows:
            yield f"line {rows.line_num}", row


def _ccpe(entry: Any) -> Dialogue:
    said = sorted(entry["utterances"], key=lambda utterance: int(utterance["index"]))
    turns = tuple(Turn(_ROLES[utterance["speaker"]], "", str(utterance["text"])) for utterance in said)
    return Dialogue("ccpe", str(entry["conversationId"]), turns)


def _redial(line: str) -> Dialogue:
    entry = json.loads(line)
    # An empty mapping is written as an empty list, and a movie without a title as null.
    titles = {str(key): " ".join(title.split()) for key, title in dict(entry["movieMentions"] or {}).items() if title}
    roles = {entry["initiatorWorkerId"]: SEEKER, entry["respondentWorkerId"]: RECOMMENDER}
    said = [(message["senderWorkerId"], str(message["text"])) for message in entry["messages"]]
    asked = dict(entry["initiatorQuestions"] or {})
    liked = {str(key) for key, answer in asked.items() if answer["liked"] == 1}  # 0: did not; 2: did not say
    mentioned = dict.fromkeys(key for _, text in said for key in _MENTION.findall(text))
    in_order = tuple(key for key in mentioned if key in liked and key in titles)
    turns = tuple(Turn(roles[who], str(who), text) for who, text in said)
    return Dialogue("redial", str(entry["conversationId"]), turns, titles, in_order)


def _inspired(row: Mapping[str, str]) -> Dialogue:
    text = row["text"].replace("QUOTATION_MARK", '"')  # its authors' encoding of many of them
    return Dialogue("inspired", row["dialog_id"], (Turn(_ROLES[row["speaker"]], "", text),))


def _table(row: Mapping[str, str]) -> Dialogue:
    role = row.get("role") or SEEKER
    if role not in (SEEKER, RECOMMENDER) or not row["dialog_id"] or row["text"] is None:
        raise ValueError(f"{dict(row)}")
    return Dialogue("", row["dialog_id"], (Turn(role, row["speaker_id"].strip(), row["text"]),))


# source -> ending, function from entry to dialogue, expected file
_FORMS: dict[str, tuple[str, Callable[[Any], Dialogue], str]] = {
    "ccpe": (".json", _ccpe, "the data.json of CCPE-M"),
    "redial": (".jsonl", _redial, "a .jsonl of ReDial"),
    "inspired": (".tsv", _inspired, "a .tsv of INSPIRED, with dialog_id, speaker and text"),
    "table": (".csv", _table, "a .csv with dialog_id, speaker_id, text and optionally role (seeker or recommender)"),
}
