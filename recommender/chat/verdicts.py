"""What the clauses of a chat ask and judge, with @ for a movie: "why @", "@ was great", "not @", "any year is fine"."""

from __future__ import annotations

import re
from typing import Optional

from ..session.state import DISLIKE, LATER, LIKE, NOT_INTERESTED, SEEN

_BETWEEN = r",? *\n *|, "


def any_of(phrases: str) -> str:
    """Return a pattern of any of these phrases, divided by commas or lines, as whole words."""
    return rf"(?<!\w)(?:{'|'.join(re.split(_BETWEEN, phrases))})(?!\w)"


UNKNOWN = ""  # the verdict on a movie that somebody has not seen
NO = any_of(
    "not, no, never, didnt, dont, doesnt, isnt, wasnt, werent, cant, havent, wont, hardly, nor, without, neither"
)
QUESTIONS = {  # kind -> pattern; the first that is found
    "why": r"^(?:but )?why\b|^how come\b|\breason\b.*@",
    "director": r"\bwho(?:s| is| was)? (?:the )?(?:direct\w*|made|filmed)|\bdirector of @|^@ director\b",
    "cast": r"\bwho(?:s| is| was| are)? (?:in|else|starring|acting|plays?|stars?)\b|\b(?:cast|actors) (?:of|in)\b",
    "year": r"^when\b|\b(?:what|which) year\b|^how (?:old|new|recent)\b",
    "length": r"^how long\b|\b(?:running time|runtime)\b",
    "genre": r"\bwhat (?:genre|kind|type|sort)\b",
    "language": r"\b(?:what|which) language\b",
    "rating": r"\b(?:is|was|are) @ (?:any |really )?(?:good|worth|popular)\b|\b(?:how (?:good|is|was)|rating of) @",
    "about": r"^(?:what|who|where|how|tell|whats|describe|more (?:about|on))\b.*@|^(?:is|does|do|was|are|has) @",
}
ASKED_LIKE = re.compile(r"(?:like|similar to|in the (?:style|vein|spirit) of|reminds me of|along the lines of) @")
_SUBJECT = "i, we, kids, they, she, he, you, really, also, both, do, did, dont, didnt, always, never, people, not, and"
LIKES = re.compile(any_of(_SUBJECT + ", wife, husband, son, daughter, friends?, mom, dad") + r"(?: \w+)? like @")
_KINDS = {"year": "years", "decade": "years", "era": "years", "actor": "person", "director": "person"}
_ANY_OF = re.compile(rf"\b(?:any|whatever|all) ({'|'.join(_KINDS)}|genre|language)s?\b")
_TAKEN_BACK = re.compile(
    any_of("forget, ignore, drop, never ?mind, remove, undo, lift, scrap")
    + r"(?: about)? (?:the |my )?([\w -]+?) (?:thing|filters?|part|rule|bit|limit|wish)\b"
)
_ALL = re.compile(rf"{any_of('no, without, clear, reset, remove, drop, forget')}(?: all)?(?: the| my)? filters?"
                  r"|\bstart over\b|\banything goes\b")  # fmt: skip
OTHERS = re.compile(
    r"^(?:next|again|go on|surprise me"
    r"|(?:show me |give me |some |any |what )?(?:more|others?|another one|something else|else)(?: please)?)$"
)
SMALL_TALK = re.compile(
    r"^(?:hi|hello+|hey|thanks?(?: you)?(?: so much| a lot)?|please|(?:oh )?ok(?:ay)?|(?:great|nice|cool)(?: list)?"
    r"|(?:good)?bye|you too|yes|yeah|yep|nope|no|(?:(?:oh|no|yes|well) )*(?:i|we) (?:have|had|did|do)(?:nt| not)?"
    r"|perfect|(?:thats|those are|that was) (?:perfect|great|fine)(?: thanks)?|(?:any|other) (?:ideas|suggestions)"
    r"|(?:so )?what (?:could|should|can|shall|do) (?:we|i|you) (?:watch|see|recommend|suggest)(?: (?:next|tonight))?)$"
)
_BAD = any_of(
    r"""hat(?:e|ed|es|ing), dislik\w+, despis\w+, loath\w+, awful, terribl[ey], bad, boring, bored?, dull, worst, stupid
    disappoint\w*, overrated, sucks?, sucked, horribl[ey], annoying, crap, trash, garbage, cant stand, not for (?:me|us)
    waste, weak, lame, meh, (?:is|was|are|were|looks|sounds|seems)(?: \w+)? too, @ no(?= |$)"""
)
_GOOD = any_of(
    r"""lov(?:e|ed|es|ing|ely), like[ds]?, enjoy\w*, ador\w+, great, good, excellent, amazing, brilliant, fantastic
    wonderful, fine, favou?rites?, faves?, best, fans?, perfect, classic, masterpiece, beautiful, fun, funny, cool
    nice, blew my mind, ok, okay, incredible, superb, grew up with, obsessed, yes, gem, moved me, hilarious, awesome"""
)
_LATER = any_of(
    r"""watch ?list, my list, for later, later, want to (?:see|watch), wanna, ill (?:take|watch|try), save
    (?:looks?|sounds?) (?:good|great|interesting|nice|fun|cool), lets (?:watch|try)"""
)
_REFUSED_PRAISE = any_of(
    "like[ds]?, love[ds]?, enjoy\\w*, good, great, fans?, into, favou?rites?, funny, care, impressed"
)
_VERDICTS = [  # the first that is found
    (UNKNOWN, rf"{NO}(?: \w+)? (?:seen|heard)\b"),
    (LIKE, r"\bnot bad\b"),
    (NOT_INTERESTED, rf"{NO} (?:so|too|very) (?:much|keen|sure)\b|\bnot really\b|{NO} interested\b"),
    (DISLIKE, rf"{_BAD}|{NO}(?: \w+){{0,3}} {_REFUSED_PRAISE}"),
    (LATER, _LATER),
    (LIKE, _GOOD),
    (SEEN, any_of("seen, saw, watched, already, know, rewatched")),
    (NOT_INTERESTED, rf"{NO}|{any_of('skip, pass, remove, drop, none')}"),
]


def verdict(words: str) -> Optional[str]:
    """Return the answer (session/state.py) that a clause gives, None for none.

    >>> verdict("@ was not great"), verdict("i have seen @"), verdict("something with @")
    ('dislike', 'seen', None)
    """
    return next((answer for answer, pattern in _VERDICTS if re.search(pattern, words)), None)


def taken_back(words: str) -> str:
    """Return what a clause takes back: "all", a kind of fact such as "years", or words such as "horror"; or ""."""
    if _ALL.search(words):
        return "all"
    found = _ANY_OF.search(words) or _TAKEN_BACK.search(words)
    return _KINDS.get(found[1].rstrip("s"), found[1]) if found else ""
