"""Conversations about movies, read into one form, and what is made of the words.

    CCPE-M    one JSON list; USER and ASSISTANT; no speaker ids         Radlinski et al. 2019, CC BY-SA 4.0
    ReDial    a JSON object a line; worker ids; movies as @12345         Li et al. 2018, CC BY 4.0
    INSPIRED  tab-separated, a turn a line; SEEKER and RECOMMENDER      Hayati et al. 2020
    table     .csv: dialog_id, speaker_id, text and, if wanted, role    anybody's own

ReDial also asks both people afterwards about every movie that came up. Its `initiator` is the seeker, its `respondent`
the recommender. In a table, speaker ids may be those of the users who rate: then words and ratings of a user meet.

A profile (`gather`) is all that a user said, by default as a seeker. `words_before` gives the words that lead up to a
movie, without titles: a description that nobody wrote as one, with which finding movies by words is measured.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

from ..data.catalog import parse_title
from ..data.errors import ChoiceError, DataError

SEEKER, RECOMMENDER = "seeker", "recommender"
ROLES = (SEEKER, RECOMMENDER)
MENTION = re.compile(r"@(\d+)")  # a movie in a text of ReDial
ENDINGS = (".json", ".jsonl", ".tsv")  # a .csv may hold ratings too
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


def read_dialogues(path: Path, source: str = "") -> list[Dialogue]:
    """Read a file of `source`; left out, the ending tells: .json CCPE-M, .jsonl ReDial, .tsv INSPIRED, .csv a table.

    Raises `ChoiceError` for another source or ending, `DataError`, naming the place, for what can't be read.
    """
    name = source or next((name for name, form in _FORMS.items() if form.suffix == path.suffix.lower()), "")
    if name not in _FORMS:
        given = f"source {source!r}" if source else f"file {path.name!r}"
        raise ChoiceError(f"no dialogues are read from {given}: give one of {', '.join(_FORMS)}")
    found: dict[str, Dialogue] = {}
    where = "as a whole"
    try:
        for where, entry in _entries(name, _text(path)):
            part = _FORMS[name].build(entry)
            # In a table each line is a turn, and those of one dialogue may stand apart.
            key = part.dialog_id if name in ("inspired", "table") else where
            found[key] = replace(found[key], turns=found[key].turns + part.turns) if key in found else part
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, csv.Error) as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise DataError(f"{path} {where} can't be read ({what}): give {_FORMS[name].expected}") from None
    if not found:
        raise DataError(f"{path} holds no dialogue: give {_FORMS[name].expected}")
    return list(found.values())


def written_out(dialogue: Dialogue, text: str) -> str:
    """Return a turn's text with every `@12345` replaced by the movie's title; one without a title is taken out.

    >>> written_out(Dialogue("redial", "1", (), {"7": "Heat (1995)"}), "I like @7 and @8.")
    'I like Heat (1995) and .'
    """
    return " ".join(MENTION.sub(lambda found: dialogue.titles.get(found.group(1), ""), text).split())


def gather(dialogues: Iterable[Dialogue], roles: Sequence[str] = (SEEKER,)) -> tuple[dict[str, str], int]:
    """Return the profile of each person who speaks in one of `roles`, and in how many dialogues nobody of them does.

    A profile's key is `source:speaker_id`, or `source:dialog_id` where there is no speaker id, without `source:` for a
    table of one's own; in order of first appearance.
    """
    said: dict[str, list[str]] = {}
    n_silent = 0
    for dialogue in dialogues:
        spoken = [(turn.speaker_id, written_out(dialogue, turn.text)) for turn in dialogue.turns if turn.role in roles]
        for speaker_id, text in spoken:
            if text:
                source = f"{dialogue.source}:" if dialogue.source else ""
                said.setdefault(source + (speaker_id or dialogue.dialog_id), []).append(text)
        n_silent += not any(text for _, text in spoken)
    return {person: "\n".join(texts) for person, texts in said.items()}, n_silent


def liked_mentions(dialogue: Dialogue) -> list[str]:
    """Return the movies (keys of `titles`) that the seeker says to like and that are mentioned, in order of mention."""
    answers = dialogue.answers.get(SEEKER, {})
    mentioned = dict.fromkeys(key for turn in dialogue.turns for key in turn.mentions)
    return [key for key in mentioned if key in answers and answers[key].liked]


def words_before(dialogue: Dialogue, mention: str, roles: Sequence[str] = ROLES) -> Optional[str]:
    """Return what people in `roles` said before movie `mention` was first named, without any title.

    The words of the naming turn itself count up to the place of the name. Taken out are mentions by number and the
    dialogue's titles where they are typed, whole or up to the colon, in any case; one-word titles such as "It" take
    the word out wherever it stands. None where the movie is never mentioned; "" where nothing was said before.

    >>> said = Turn(SEEKER, "5", "Dark ones like heat, not @7", ("7",))
    >>> words_before(Dialogue("redial", "1", (said,), {"7": "Heat (1995)"}), "7")
    'Dark ones like , not'
    """
    titles = _typed_titles(dialogue)
    before: list[str] = []
    for turn in dialogue.turns:
        named = mention in turn.mentions
        text = turn.text
        if named:
            text = text[: next(found.start() for found in MENTION.finditer(text) if found.group(1) == mention)]
        if turn.role in roles:
            text = MENTION.sub(" ", text)
            text = " ".join((titles.sub(" ", text) if titles else text).split())
            before.extend([text] if text else [])
        if named:
            return "\n".join(before)
    return None


def _typed_titles(dialogue: Dialogue) -> Optional[re.Pattern[str]]:
    """Return a pattern that finds the dialogue's titles as people type them; None where it has none."""
    names: set[str] = set()
    for title in dialogue.titles.values():
        parsed = parse_title(title)
        for name in (parsed.title, *parsed.alternatives):
            names |= {name, name.split(":")[0].strip()}
    found = sorted((re.escape(name) for name in names if name), key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(found)})(?!\w)", re.IGNORECASE) if found else None


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


def _entries(name: str, text: str) -> Iterator[tuple[str, Any]]:
    """Yield (where, entry): a dialogue of CCPE-M, a line of ReDial, or a line of a table as a mapping."""
    if name == "table":
        rows = csv.DictReader(io.StringIO(text, newline=""))
        for row in rows:
            yield f"line {rows.line_num}", row
    elif name == "ccpe":
        for number, entry in enumerate(json.loads(text), 1):
            yield f"dialogue {number}", entry
    else:
        lines = text.rstrip("\n").split("\n")
        header = lines[0].split("\t")
        for number, line in enumerate(lines, 1):
            if name == "redial" and line.strip():
                yield f"line {number}", line
            elif name == "inspired" and number > 1:  # its quotation marks are part of the text
                yield f"line {number}", dict(zip(header, line.split("\t")))


def _ccpe(entry: Any) -> Dialogue:
    roles = {"USER": SEEKER, "ASSISTANT": RECOMMENDER}
    said = sorted(entry["utterances"], key=lambda utterance: int(utterance["index"]))
    turns = tuple(Turn(roles[utterance["speaker"]], "", str(utterance["text"])) for utterance in said)
    return Dialogue("ccpe", str(entry["conversationId"]), turns)


def _redial(line: str) -> Dialogue:
    entry = json.loads(line)
    # An empty mapping is written as an empty list, and a movie without a title as null.
    titles = {str(key): " ".join(title.split()) for key, title in dict(entry["movieMentions"] or {}).items() if title}
    roles = {entry["initiatorWorkerId"]: SEEKER, entry["respondentWorkerId"]: RECOMMENDER}
    turns = []
    for message in entry["messages"]:
        who, text = message["senderWorkerId"], str(message["text"])
        mentions = tuple(dict.fromkeys(key for key in MENTION.findall(text) if key in titles))
        turns.append(Turn(roles[who], str(who), text, mentions))
    answers = {}
    for role, asked in ((SEEKER, "initiatorQuestions"), (RECOMMENDER, "respondentQuestions")):
        answers[role] = {
            str(key): Answer(bool(said["suggested"]), _YES_NO.get(said["seen"]), _YES_NO.get(said["liked"]))
            for key, said in dict(entry[asked] or {}).items()
        }
    return Dialogue("redial", str(entry["conversationId"]), tuple(turns), titles, answers)


def _inspired(row: Mapping[str, str]) -> Dialogue:
    role = {"SEEKER": SEEKER, "RECOMMENDER": RECOMMENDER}[row["speaker"]]
    return Dialogue("inspired", row["dialog_id"], (Turn(role, "", row["text"].replace(_INSPIRED_QUOTE, '"')),))


def _table(row: Mapping[str, str]) -> Dialogue:
    role = row.get("role") or SEEKER
    if role not in ROLES or not row["dialog_id"] or row["text"] is None:
        raise ValueError(f"{dict(row)}")
    return Dialogue("", row["dialog_id"], (Turn(role, row["speaker_id"].strip(), row["text"]),))


class _Form(NamedTuple):
    suffix: str
    build: Callable[[Any], Dialogue]
    expected: str


_FORMS = {
    "ccpe": _Form(".json", _ccpe, "the data.json of CCPE-M"),
    "redial": _Form(".jsonl", _redial, "a .jsonl of ReDial"),
    "inspired": _Form(".tsv", _inspired, "a .tsv of INSPIRED, with dialog_id, speaker and text"),
    "table": _Form(".csv", _table, "a .csv with dialog_id, speaker_id, text and perhaps role, seeker or recommender"),
}
