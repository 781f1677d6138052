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
OFF = "off the watchlist"  # that on a movie that somebody has seen there
WATCHLIST = "on your watchlist"
HELLO = "Say what you feel like: like Heat, but funnier; /help lists the commands"
NO_ANSWER = "That question I do not understand; write titles as they are, such as: who directed Heat?"
NO = any_of(
    """not, no, never, didnt, dont, doesnt, isnt, arent, wasnt, werent, cant, cannot, couldnt, wouldnt, shouldnt, havent
    hasnt, wont, aint, hardly, nor, without, neither"""
)
QUESTIONS = {  # kind -> pattern; the first that is found
    "why": r"^(?:but )?why\b|^how come\b|\breason\b.*@",
    "director": r"\bwho(?:s| is| was)? (?:the )?(?:direct\w*|made|filmed)|\bdirector of @|^@ director\b",
    "cast": r"\bwho(?:s| is| was| are)? (?:in|else|starring|acting|play(?:s|ed)?|stars?)\b"
    r"|\b(?:cast|actors) (?:of|in)\b",
    "year": r"^when\b|\b(?:what|which) year\b|^how (?:old|new|recent)\b",
    "length": r"^how long\b|\b(?:running time|runtime)\b",
    "genre": r"\bwhat (?:genre|kind|type|sort)\b",
    "language": r"\b(?:what|which) language\b",
    "rating": r"\b(?:is|was|are) @ (?:any |really )?(?:good|worth|popular)\b"
    r"|\b(?:how (?:good |bad )?(?:is|was)|rating of) @",
    "about": r"^(?:what(?! (?:should|could|can))|who|where|how|tell|whats|describe|more (?:about|on))\b.*@"
    r"|^(?:is|does|do|was|are|has) @",
}
ASKED_LIKE = re.compile(
    r"(?:like|similar to|in the (?:style|vein|spirit) of|reminds me of|along the lines of|\bmore(?: of)?) @"
)
ASKS_WATCHLIST = re.compile(
    r"\bwatch ?list$|^(?:show |what is |whats )?(?:me |on )?my list$|^what (?:did|have) i (?:saved?|keep|kept|put)\b"
)
_SUBJECT = "i, we, kids, they, she, he, you, really, also, both, do, did, dont, didnt, always, never, people, not, and"
LIKES = re.compile(
    any_of(_SUBJECT + ", wife, husband, son, daughter, friends?, mom, dad")
    + r"(?: \w+)? like @|^(?:really )?like @ (?:a lot|lots|loads|very|so much|too)\b"
)
# A clause of nothing but these words is small talk, or asks for others than these, or for whatever there is.
OTHERS, ANYTHING, TALK = "others than these", "anything", "talk"
_SMALL = [
    (OTHERS, "no nope nah meh next more other others another else choose decide"),
    (TALK, "thank thanks thx bye goodbye"),  # for the suggestions
    (ANYTHING, """anything something watch see ideas suggestions recommend suggest surprise bored whatever dunno know
    goes"""),
    (TALK, """hi hello hey there good morning evening you so much very ok okay oh yes yeah yep please great nice cool
    perfect fine that thats this is was those they theyre all both are it enough help can could should does do did i im
    am we work how what whats who me us a an the some any of for your to have had got be list well ones one then just
    tonight again movies films havent hadnt didnt dont wont"""),
]  # fmt: skip
_KINDS = {"year": "years", "decade": "years", "era": "years", "actor": "person", "director": "person"}
_TAKEN_BACK = re.compile(
    rf"\b(?:any|whatever|all) ({'|'.join(_KINDS)}|genre|language)s?\b"
    r"|\b(?:forget|ignore|drop|never ?mind|remove|undo|lift|scrap)(?: about)? (?:the |my )?"
    r"([\w -]+?) (?:thing|filters?|part|rule|bit|limit|wish)\b"
    r"|\b(?:dont mind|wouldnt mind|do not mind|ok with|okay with|fine with) (?:a |some |any |the )?([\w -]+)"
    r"|^([\w -]+?) (?:is|are) (?:also |totally )?(?:fine|ok|okay|all right|no problem)(?: too| with me| by me)?$"
)
_ALL = re.compile(rf"{any_of('no, without, clear, reset, remove, drop, forget')}(?: all)?(?: the| my)? filters?"
                  r"|\bstart over\b|\banything goes\b")  # fmt: skip
_BAD = any_of(
    r"""hat(?:e|ed|es|ing), dislik\w+, despis\w+, loath\w+, awful, terribl[ey], bad, boring, bored?, dull, worst, stupid
    disappoint\w*, overrated, sucks?, sucked, horribl[ey], annoying, crap, trash, garbage, not for (?:me|us), waste
    weak, lame, meh, rubbish, dreadful, tedious, forgettable, mediocre, snooze\w*, cringe\w*, ridiculous
    so so, mess, worse, let ?down, pants, naff, dire, lousy, a drag, slog, drivel, dud, flop, underwhelm\w*, unwatchable
    nothing special, overlong, overhyped, pretentious, walked out, fell asleep, gave up on, ugh, nah, scares me
    never again
    (?:sick|tired|fed up|bored) (?:of|with), enough of, less(?: of)? @, (?:turned|switched|shut) (?:@|it|off)
    (?:cant|cannot|couldnt|could not) (?:stand|bear|finish|get into|get through|watch)
    (?:is|was|are|were|looks|sounds|seems)(?: \w+)? too, @ no(?= |$)"""
)
_GOOD = any_of(
    r"""lov(?:e|ed|es|ing|ely), like[ds]?, enjoy\w*, ador\w+, great, good, excellent, amazing, brilliant, fantastic
    wonderful, fine, favou?rites?, faves?, best, fans?, perfect, classic, masterpiece, beautiful, fun, funny, cool
    nice, ok, okay, incredible, superb, grew up with, obsessed, yes, gem, moved, moving, hilarious, awesome, a blast
    underrated, stunning, gorgeous, cute, fab(?:ulous)?, delightful, charming, riveting, gripping, touching, terrific
    marvel\w*, outstanding, decent, impress\w+, wow, over and over, blew (?:my mind|me away|us away), in a good way
    cried, laughed, hooked, glued, magnificent, phenomenal, thrilled, masterful, spot on, top notch, ace
    my cup of tea"""
)
_LATER = any_of(
    r"""watch ?list, my list, for later, later, keep, want to (?:see|watch), wanna, ill (?:take|watch|try), save
    id watch, ill go (?:with|for), lets go with, (?:looks?|sounds?) (?:good|great|interesting|nice|fun|cool)
    lets (?:watch|try)"""
)
_PRAISE = any_of("like[ds]?, love[ds]?, enjoy\\w*, good, great, fans?, into, favou?rites?, funny, care, impressed")
_DROPPED = any_of("skip, pass, remove, drop, replace, swap, instead of, none, except, apart from, besides")
_VERDICTS = [  # the first that is found
    (OFF, r"\b(?:off|(?:remove|delete|drop|take|cross|strike)\b.* (?:from|on)) (?:my|the) (?:watch ?)?list\b"),
    (UNKNOWN, rf"{NO}(?: \w+)? (?:seen|heard)\b"),
    (LIKE, rf"{NO}(?: \w+)? (?:bad|boring|awful|terrible|dull|stupid)\b|\b(?:didnt|dont) (?:hate|mind|dislike)\b"),
    (DISLIKE, rf"{NO}(?: \w+)? my (?:cup of tea|thing|kind|type|taste)\b"),
    (NOT_INTERESTED, r"\b(?:anything|everything|all) (?:but|except)\b"),
    (NOT_INTERESTED, rf"{NO} (?:so|too|very) (?:much|keen|sure)\b|\bnot really\b|{NO} interested\b"),
    (DISLIKE, rf"{_BAD}|{NO}(?: \w+){{0,3}} {_PRAISE}"),
    (LATER, _LATER),
    (LIKE, _GOOD),
    (SEEN, any_of("seen, saw, watched, already, know, rewatched")),
    (NOT_INTERESTED, rf"{NO}|{_DROPPED}|@ again$"),
    (SEEN, r"@ (?:was|were)\b"),  # and judged in words that are not known here
]


def verdict(words: str) -> Optional[str]:
    """Return the answer (session/state.py) that a clause gives, None for none.

    >>> verdict("@ was not great"), verdict("i have seen @"), verdict("something with @")
    ('dislike', 'seen', None)
    """
    return next((answer for answer, pattern in _VERDICTS if re.search(pattern, words)), None)


def question(words: str) -> str:
    """Return the kind of a question, "" for none."""
    return next((kind for kind, pattern in QUESTIONS.items() if re.search(pattern, words)), "")


def small_talk(words: str) -> str:
    """Return the kind of a clause that says no more than `OTHERS`, `ANYTHING` or `TALK`; "" for others.

    >>> small_talk("something else please"), small_talk("hi there"), small_talk("something slow")
    ('others than these', 'talk', '')
    """
    said = {*words.split()}
    if said - {word for _, those in _SMALL for word in those.split()}:
        return ""
    return next((kind for kind, those in _SMALL if said & {*those.split()}), "")


def taken_back(words: str) -> str:
    """Return what a clause takes back: "all", a kind of fact such as "years", or words such as "horror"; or ""."""
    if _ALL.search(words):
        return "all"
    found = _TAKEN_BACK.search(words)
    name = next(filter(None, found.groups())) if found else ""
    return _KINDS.get(name.rstrip("s"), name)
