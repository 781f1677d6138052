"""What is understood of everyday chat messages: `python -m tests.benchmarks.chat_messages [--part tune|report]`.

`--dialogues redial_valid.jsonl`: precision and recall of titles in sentences of real people. A title found is right if
the movie, or one of the same name, was tagged there; people leave some titles untagged, which here count as wrong.
`--time`: milliseconds a message, wall and processor, in conversations of eight, after a first one.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from recommender import Recommender
from recommender.chat.chat import Chat, ChatState
from recommender.chat.mentions import Finder, Message
from recommender.chat.rerank import MMRReranker
from recommender.chat.understanding import Understood, read
from recommender.data.catalog import parse_title
from recommender.data.errors import ChoiceError
from recommender.text.dialogues import read_dialogues
from recommender.text.everyday_words import ALSO
from tests.benchmarks.tools import flags

MESSAGES = Path(__file__).resolve().parents[1] / "chat_messages.yaml"
TASTE = {"likes": "like", "dislikes": "dislike"}
PARTS = ("tune", "report")


def differences(expected: dict[str, Any], found: Understood, shown: list[int], rows: dict[str, int]) -> list[str]:
    """Return what differs, as lines; [] for a message that is understood."""
    names = {row: name for name, row in rows.items()}
    answers = {shown[n - 1]: answer for n, answer in expected.get("feedback", {}).items()}
    wanted: dict[str, set[Any]] = {name: {rows[title] for title in expected.get(name, ())} for name in TASTE}
    got: dict[str, set[Any]] = {"likes": set(found.likes), "dislikes": set(found.dislikes)}
    for name, answer in TASTE.items():
        wanted[name] |= {row for row, one in answers.items() if one == answer}
        got[name] |= {row for row, one in found.feedback.items() if one == answer}
    wanted["more"], got["more"] = {rows[title] for title in expected.get("more", ())}, set(found.more_like)
    for name in ("likes", "dislikes", "more"):
        wanted[name], got[name] = ({names[row] for row in one[name]} for one in (wanted, got))
    wanted["feedback"], got["feedback"] = (
        {(names[row], one) for row, one in all_of.items() if one not in ("like", "dislike")}
        for all_of in (answers, found.feedback)
    )
    wanted["clear"], got["clear"] = set(expected.get("clear", ())), set(found.cleared)
    ask = expected.get("ask")
    wanted["ask"] = {(ask[0], names[shown[ask[1] - 1]])} if ask else set()
    got["ask"] = {(found.question[0], names[found.question[1]])} if found.question else set()
    entailed = {f"not {other}".casefold() for fact in found.reading.facts for other in ALSO.get(fact.label, ())}
    facts = {("" if fact.wanted else "not ") + fact.label for fact in found.reading.facts}
    for label in expected.get("facts", ()):
        if "person " in label:
            name = label.replace("person ", "").removeprefix("not ")
            near = {one for one in facts if name in one.casefold() and (label[:4] == "not ") == (one[:4] == "not ")}
            facts = facts - near | ({label} if near else set())
    wanted["facts"] = set(expected.get("facts", ()))
    got["facts"] = {one for one in facts if one in wanted["facts"] or one.casefold() not in entailed}
    wanted["unwanted"], got["unwanted"] = set(expected.get("unwanted", ())), set(found.reading.unwanted)
    lines = [f"{name}: {sorted(got[name])} for {sorted(wanted[name])}" for name in wanted if wanted[name] != got[name]]
    return lines + [f"words: no {word}" for word in expected.get("words", ()) if word not in found.reading.left.split()]


def misses(part: str, recommender: Recommender) -> tuple[int, list[tuple[str, list[str], str]]]:
    """Return the number of messages, and of each that is not wholly understood what differs, and what is shown."""
    data = yaml.safe_load(MESSAGES.read_text(encoding="utf-8"))
    rows = {str(recommender.catalog.movie(row)): row for row in reversed(range(len(recommender.catalog)))}
    shown = [rows[title] for title in data["shown"]]
    missed = []
    for message in data[part]:
        last = shown[message["last"] - 1] if "last" in message else None
        found = read(message["say"], shown, recommender, last)
        if wrong := differences(message, found, shown, rows):
            missed.append((message["say"], wrong, found.said))
    return len(data[part]), missed


def titles_in(path: Path, recommender: Recommender, lower: bool) -> str:
    """Return precision and recall of titles in the turns of a file of dialogues, with titles for @12345, no years."""
    catalog, titles = recommender.catalog, recommender.titles
    n_found = n_right = n_tagged = n_met = 0
    for dialogue in read_dialogues(path):
        tagged_names = {key: parse_title(" ".join(title.split()))[:2] for key, title in dialogue.titles.items()}
        for turn in dialogue.turns:
            names = [tagged_names[key] for key in re.findall(r"@(\d+)", turn.text) if key in tagged_names]
            text = re.sub(r"@(\d+)", lambda match, known=tagged_names: known.get(match[1], [""])[0], turn.text)
            message = Message(text.lower() if lower else text, recommender.free_text.is_word)
            mentions = Finder(message, [], None, titles, recommender.free_text).mentions()
            found = {one.rows[0] for one in mentions if not one.listed}
            tagged = {one.row for name, year in names for one in titles.named(name) if catalog.years[one.row] == year}
            same = {one.row for name, _ in names for one in titles.named(name)}
            n_found, n_right = n_found + len(found), n_right + len(found & (tagged | same))
            n_tagged, n_met = n_tagged + len(tagged), n_met + len(found & tagged)
    return f"precision {n_right / n_found:.1%} of {n_found}, recall {n_met / n_tagged:.1%} of {n_tagged}"


def times(recommender: Recommender, data: dict[str, Any]) -> str:
    """Return percentiles of the time of a turn, offline: understanding, retrieval, re-ranking, reasons."""
    chat, state, seconds = Chat(recommender, MMRReranker()), ChatState(), []
    chat.step(state, "I loved Heat and Fargo, something like that but funnier")
    for n, message in enumerate([*data["tune"], *data["report"]]):
        if n % 8 == 0:
            state = ChatState()
        began = time.perf_counter(), time.process_time()
        with suppress(ChoiceError):
            state, _ = chat.step(state, message["say"])
        seconds.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    wall, cpu = np.percentile(1000 * np.array(seconds), [50, 99], axis=0).T
    return f"{len(seconds)} messages, ms: wall p50 {wall[0]:.1f}, p99 {wall[1]:.1f}; cpu {cpu[0]:.1f}, {cpu[1]:.1f}"


def main() -> None:
    args = flags(__doc__, part=str, dialogues=Path, time=False)
    recommender = Recommender.load()
    if args.time:
        return print(times(recommender, yaml.safe_load(MESSAGES.read_text(encoding="utf-8"))))
    if args.dialogues:
        for lower in (False, True):
            said = titles_in(args.dialogues, recommender, lower)
            print(f"titles {'in lower case' if lower else 'as written'}: {said}")
        return
    for part in [args.part] if args.part else PARTS:
        n, missed = misses(part, recommender)
        print(f"{part}: {n - len(missed)} of {n} wholly right ({1 - len(missed) / n:.0%})")
        for say, wrong, said in missed:
            print(f"  {say!r}: {'; '.join(wrong)}  (understood: {said})")


if __name__ == "__main__":
    main()
