"""Years as people say them: 1994, the late seventies, between 1980 and 1985, before 1960, from the nineties on."""

from __future__ import annotations

import re
from typing import Optional

EVER = (1, 9999)
NAMES = ("twenties", "thirties", "forties", "fifties", "sixties", "seventies", "eighties", "nineties", "noughties")
_PARTS = {"early": (0, 4), "mid": (3, 6), "late": (5, 9)}  # of a decade
_YEAR = rf"(?:the )?(?:(early|mid|late) )?(?:the )?((?:18[89]|19\d|20\d)\d|(?:19|20)?\d0s|{'|'.join(NAMES)})\b"
_FIRST = re.compile(
    r"(?:(?P<before>before|pre|older than|earlier than|prior to)|(?P<until>until|till|up to|no later than)|"
    rf"(?P<since>since|post|starting|no older than)|(?P<after>after|newer than|later than)|between|from)? ?{_YEAR}"
)
_LAST = re.compile(rf" (?:to |and |until |till |through )?{_YEAR}")
_RECENT = re.compile(
    r"(?:(?:from|in|of|within) )?the (?:last|past) (?:(\d\d?|two|three|five|ten|twenty|few) years|decade)\b"
)
_COUNTS = {"two": 2, "three": 3, "few": 3, "five": 5, "ten": 10, "twenty": 20, None: 10}
_ON = re.compile(r" (?:on|onwards?|(?:and|or) (?:later|newer))\b")


def read_years(text: str, newest: int = 0) -> tuple[int, int, int]:
    """Return how many words at the beginning of `text` say years, 0 for none, and the first and last year meant.

    text: in lower case, words with single spaces between.  newest: the year from which "the last ten years" count.

    >>> read_years("between 1980 and 1985 or so"), read_years("before the late 60s"), read_years("after dark")
    ((4, 1980, 1985), (4, 1, 1964), (0, 1, 9999))
    """
    if newest and (recent := _RECENT.match(text)):
        count = recent.group(1)
        return len(recent.group().split()), newest + 1 - (_COUNTS.get(count) or int(count)), EVER[1]
    said = _FIRST.match(text)
    if said is None or text.startswith(" "):
        return 0, *EVER
    first, last = _span(*said.groups()[-2:])
    end = said.end()
    on, second = _ON.match(text, end), _LAST.match(text, end)
    if said["before"]:
        first, last = EVER[0], first - 1
    elif said["until"]:
        first = EVER[0]
    elif said["after"]:
        first, last = last + 1, EVER[1]
    elif on or said["since"]:
        last, end = EVER[1], on.end() if on else end
    elif second and _span(*second.groups())[1] > last:
        last, end = _span(*second.groups())[1], second.end()
    return len(text[:end].split()), first, last


def _span(part: Optional[str], year: str) -> tuple[int, int]:
    if year.isdigit():
        return int(year), int(year)
    digits = re.sub("s$", "", year)
    first = int(digits) if digits.isdigit() else 1920 + 10 * NAMES.index(year)
    if first < 100:
        first += 2000 if first < 20 else 1900
    low, high = _PARTS.get(part or "", (0, 9))
    return first + low, first + high
