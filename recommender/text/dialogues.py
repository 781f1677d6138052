"""Conversations about movies, read into one form.

    CCPE-M    one JSON list; USER and ASSISTANT; no speaker ids         Radlinski et al. 2019, CC BY-SA 4.0
    ReDial    a JSON object a line; worker ids; movies as @12345         Li et al. 2018, CC BY 4.0
    INSPIRED  tab-separated, a turn a line; SEEKER and RECOMMENDER      Hayati et al. 2020
    table     .csv: dialog_id, speaker_id, text and, if wanted, role    anybody's own

ReDial also asks both people afterwards, for every movie that came up: was it suggested (or brought up by the seeker),
had the seeker seen it, did the seeker like it. Its `initiator` is the seeker, its `respondent` the recommender.
In a table of one's own, speaker ids may be those of the users who rate, and then words and ratings of one person meet.
What is done with the words is in `dialogue_profiles`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

from ..data.errors import ChoiceError, DataError

SEEKER, RECOMMENDER = "seeker", "recommender"
ROLES = (SEEKER, RECOMMENDER)
MENTION = re.compile(r"@(\d+)")  # a movie in a text of ReDial

_CCPE_ROLES = {"USER": SEEKER, "ASSISTANT": RECOMMENDER}
_INSPIRED_ROLES = {"SEEKER": SEEKER, "RECOMMENDER": RECOMMENDER}
_INSPIRED_QUOTE = "QUOTATION_MARK"  # how its authors wrote many of them
_YES_NO = {0: False, 1: True}  # 2: did not say


class Turn(NamedTuple):
    """What somebody said: `speaker_id` is "" where the data has none; `mentions` are keys of `Dialogue.titles`."""

    role: str
    speaker_id: str
    text: str
    mentions: tuple[str, ...] = ()


class Answer(NamedTuple):
    """What was said afterwards about a movie; None: did not say. `seen` and `liked` are always about the seeker."""

    suggested: bool
    seen: Optional[bool]
    liked: Optional[bool]


@dataclass(frozen=True)
class Dialogue:
    """One conversation, in order.

    titles: mention -> title as people write it, with the year where the data has it ("The Shining (1980)").
    answers: role -> mention -> what that person answered afterwards; only ReDial has them, and not always.
    """

    source: str
    dialog_id: str
    turns: tuple[Turn, ...]
    titles: Mapping[str, str] = field(default_factory=dict)
    answers: Mapping[str, Mapping[str, Answer]] = field(default_factory=dict)


def read_ccpe(path: Path) -> list[Dialogue]:
    """Read `data.json` of CCPE-M; raises `DataError` for a file that is something else."""
    try:
        conversations = json.loads(_text(path))
    except (ValueError, RecursionError):
        raise DataError(f"{path} is not JSON: give the data.json of CCPE-M") from None
    if not isinstance(conversations, list):
        raise DataError(f"{path} holds no list of conversations: give the data.json of CCPE-M")
    return [_built(path, number, _ccpe_dialogue, entry) for number, entry in enumerate(conversations, 1)]


def read_redial(path: Path) -> list[Dialogue]:
    """Read a `.jsonl` of ReDial; raises `DataError`, naming the line, for one that can't be read."""
    found = []
    for number, line in enumerate(_text(path).split("\n"), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            raise DataError(f"{path} line {number} is not JSON: give a .jsonl file of ReDial") from None
        found.append(_built(path, number, _redial_dialogue, entry))
    return found


def read_inspired(path: Path) -> list[Dialogue]:
    """Read a `.tsv` of INSPIRED; raises `DataError` for missing columns and unknown speakers.

    Quotation marks in it are part of the text, never a way to write a tab.
    """
    lines = _text(path).rstrip("\n").split("\n")
    header = lines[0].split("\t")
    missing = [name for name in ("dialog_id", "speaker", "text") if name not in header]
    if missing:
        raise DataError(f"{path} has no column {missing[0]}: give a .tsv of INSPIRED's dialogues")
    turns: dict[str, list[Turn]] = {}
    for number, line in enumerate(lines[1:], 2):
        row = dict(zip(header, line.split("\t")))
        if "text" not in row or row.get("speaker") not in _INSPIRED_ROLES:
            who = f"speaker {row.get('speaker')!r}"
            raise DataError(f"{path} line {number}: {who}, expected SEEKER or RECOMMENDER and a text")
        text = row["text"].replace(_INSPIRED_QUOTE, '"')
        turns.setdefault(row["dialog_id"], []).append(Turn(_INSPIRED_ROLES[row["speaker"]], "", text))
    return [Dialogue("inspired", dialog_id, tuple(said)) for dialog_id, said in turns.items()]


def read_table(path: Path) -> list[Dialogue]:
    """Read a `.csv` with columns dialog_id, speaker_id (may be empty), text and, if wanted, role; source is "".

    Raises `DataError` for missing columns and cells, and for a role other than seeker (the default) or recommender.
    """
    rows = csv.DictReader(io.StringIO(_text(path), newline=""))
    missing = [name for name in ("dialog_id", "speaker_id", "text") if name not in (rows.fieldnames or ())]
    if missing:
        raise DataError(f"{path} has no column {missing[0]}: give dialog_id,speaker_id,text")
    turns: dict[str, list[Turn]] = {}
    try:
        for row in rows:
            role = row.get("role") or SEEKER
            if None in (row["text"], row["speaker_id"]) or not row["dialog_id"] or role not in ROLES:
                raise DataError(
                    f"{path} line {rows.line_num}: give all columns, a dialog_id, and as role {' or '.join(ROLES)}"
                )
            turns.setdefault(row["dialog_id"], []).append(Turn(role, row["speaker_id"].strip(), row["text"]))
    except csv.Error as error:
        raise DataError(f"{path} line {rows.line_num} can't be read ({error}): save it anew as CSV") from None
    return [Dialogue("", dialog_id, tuple(said)) for dialog_id, said in turns.items()]


READERS: dict[str, Callable[[Path], list[Dialogue]]] = {
    "ccpe": read_ccpe,
    "redial": read_redial,
    "inspired": read_inspired,
    "table": read_table,
}
_BY_SUFFIX = {".json": "ccpe", ".jsonl": "redial", ".tsv": "inspired", ".csv": "table"}


def read_dialogues(path: Path, source: str = "") -> list[Dialogue]:
    """Read a file of `source`; left out, the ending tells: .json CCPE-M, .jsonl ReDial, .tsv INSPIRED, .csv a table."""
    name = source or _BY_SUFFIX.get(path.suffix.lower(), "")
    if name not in READERS:
        given = f"source {source!r}" if source else f"file {path.name!r}"
        raise ChoiceError(f"no dialogues are read from {given}: give one of {', '.join(READERS)}")
    return READERS[name](path)


def _text(path: Path) -> str:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return file.read().replace("\r\n", "\n")
    except FileNotFoundError:
        raise DataError(f"no dialogues at {path}: give an existing file") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder: give one file of dialogues") from None
    except UnicodeDecodeError:
        raise DataError(f"{path} is not UTF-8: download the file again") from None


def _built(path: Path, number: int, build: Callable[[Any], Dialogue], entry: Any) -> Dialogue:
    try:
        return build(entry)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        raise DataError(f"{path}: dialogue {number} has another form than expected ({what}): check the file") from None


def _ccpe_dialogue(entry: Any) -> Dialogue:
    said = sorted(entry["utterances"], key=lambda utterance: int(utterance["index"]))
    turns = tuple(Turn(_CCPE_ROLES[utterance["speaker"]], "", str(utterance["text"])) for utterance in said)
    return Dialogue("ccpe", str(entry["conversationId"]), turns)


def _redial_dialogue(entry: Any) -> Dialogue:
    # An empty mapping is written as an empty list, and a movie without a title as null.
    titles = {str(key): " ".join(title.split()) for key, title in dict(entry["movieMentions"] or {}).items() if title}
    seeker, recommender = entry["initiatorWorkerId"], entry["respondentWorkerId"]
    roles = {seeker: SEEKER, recommender: RECOMMENDER}
    turns = []
    for message in entry["messages"]:
        who, text = message["senderWorkerId"], str(message["text"])
        mentions = tuple(dict.fromkeys(key for key in MENTION.findall(text) if key in titles))
        turns.append(Turn(roles[who], str(who), text, mentions))
    answers = {
        SEEKER: _redial_answers(entry["initiatorQuestions"]),
        RECOMMENDER: _redial_answers(entry["respondentQuestions"]),
    }
    return Dialogue("redial", str(entry["conversationId"]), tuple(turns), titles, answers)


def _redial_answers(given: Any) -> dict[str, Answer]:
    return {
        str(key): Answer(bool(answer["suggested"]), _YES_NO.get(answer["seen"]), _YES_NO.get(answer["liked"]))
        for key, answer in dict(given or {}).items()
    }
