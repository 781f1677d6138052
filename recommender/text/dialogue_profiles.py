"""From conversations to texts that stand for people.

A person's profile is all they said, turn after turn, as one text: gathered by speaker id over all conversations, and
by conversation where the data has no speaker ids. By default only what people say as seekers counts: what a
recommender says is about somebody else's wishes. Movies mentioned by number are written as their titles.

`words_before` gives the words that lead up to a movie, with all titles taken out: a description of what somebody is
looking for by somebody who did not write it as a description. It is what finding movies by words is measured with.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Optional

import numpy as np

from ..data.catalog import parse_title
from .base import BaseEmbeddingBackend
from .dialogues import MENTION, ROLES, SEEKER, Dialogue


class Profiles(NamedTuple):
    """Texts that stand for people.

    ids: `source:speaker_id`, or `source:dialog_id` where there is no speaker id, without `source:` for a table of one's
    own; in order of first appearance.
    texts: one for each.  n_silent: dialogues in which nobody of the wanted roles said a word.
    """

    ids: list[str]
    texts: list[str]
    n_silent: int


def written_out(dialogue: Dialogue, text: str) -> str:
    """Return a turn's text with every `@12345` replaced by the movie's title; one without a title is taken out.

    >>> written_out(Dialogue("redial", "1", (), {"7": "Heat (1995)"}), "I like @7 and @8.")
    'I like Heat (1995) and .'
    """
    return " ".join(MENTION.sub(lambda found: dialogue.titles.get(found.group(1), ""), text).split())


def gather(dialogues: Iterable[Dialogue], roles: Sequence[str] = (SEEKER,)) -> Profiles:
    """Return one text for each person who speaks in one of `roles`."""
    said: dict[str, list[str]] = {}
    n_silent = 0
    for dialogue in dialogues:
        silent = True
        source = f"{dialogue.source}:" if dialogue.source else ""
        for turn in dialogue.turns:
            text = written_out(dialogue, turn.text) if turn.role in roles else ""
            if text:
                said.setdefault(source + (turn.speaker_id or dialogue.dialog_id), []).append(text)
                silent = False
        n_silent += silent
    return Profiles(list(said), ["\n".join(texts) for texts in said.values()], n_silent)


def embed_profiles(profiles: Profiles, backend: BaseEmbeddingBackend) -> tuple[list[str], np.ndarray]:
    """Return ids and vectors (n, d); people whose words mean nothing to the backend (a row of zeros) are left out."""
    vectors = backend.embed_texts(profiles.texts)
    known = vectors.any(axis=1)
    return [profiles.ids[row] for row in np.flatnonzero(known)], vectors[known]


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

    >>> from .dialogues import Turn
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
