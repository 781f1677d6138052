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
NO = any_of(
    """not, no, never, didnt, dont, doesnt, isnt, arent, wasnt, werent, cant, cannot, couldnt, wouldnt, shouldnt, havent
    hasnt, wont, aint, hardly, nor, without, neither"""
)
QUESTIONS = {  # kind -> pattern; the first that is found
    "similar": r"^(?:is|are|was|how|does) @ .*\b(?:similar to|like|alike|close to|related to) ?@",
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
    "where": r"\b(?:on (?:netflix|hulu|disney|prime)|stream\w*|where can (?:i|we) (?:watch|see|find))\b",
    "about": r"^(?:what|who|where|how|tell|whats|describe|more (?:about|on))\b.*@|^(?:is|does|do|was|are|has) @",
}
ASKED_LIKE = re.compile(
    r"(?:like|similar to|in the (?:style|vein|spirit) of|reminds me of|along the lines of|\bmore(?: of)?) @"
)
_SUBJECT = "i, we, kids, they, she, he, you, really, also, both, do, did, dont, didnt, always, never, people, not, and"
LIKES = re.compile(
    any_of(_SUBJECT + ", wife, husband, son, daughter, friends?, mom, dad")
    + r"(?: \w+)? like @|^(?:really )?like @ (?:a lot|lots|loads|very|so much|too)\b"
)
_KINDS = {"year": "years", "decade": "years", "era": "years", "actor": "person", "director": "person"}
_ANY_OF = re.compile(rf"\b(?:any|whatever|all) ({'|'.join(_KINDS)}|genre|language)s?\b")
_TAKEN_BACK = re.compile(
    any_of("forget, ignore, drop, never ?mind, remove, undo, lift, scrap")
    + r"(?: about)? (?:the |my )?([\w -]+?) (?:thing|filters?|part|rule|bit|limit|wish)\b"
)
_FINE = re.compile(
    any_of("dont mind, wouldnt mind, do not mind, ok with, okay with, fine with") + r" (?:a |some |any |the )?([\w -]+)"
    r"|^([\w -]+?) (?:is|are) (?:also |totally )?(?:fine|ok|okay|all right|no problem)(?: too| with me| by me)?$"
)
_ALL = re.compile(rf"{any_of('no, without, clear, reset, remove, drop, forget')}(?: all)?(?: the| my)? filters?"
                  r"|\bstart over\b|\banything goes\b")  # fmt: skip
OTHERS = re.compile(
    r"^(?:(?:no|nope|nah|meh|next|again|go on)(?: thanks?| please)?"
    r"|(?:(?:just )?surprise me|(?:recommend|suggest|show) me something"
    r"|(?:whats|something|anything) good|dunno|whatever|anything)"
    r"(?: you like| goes)?|(?:i )?dont know(?: what to watch)?|(?:you|your) (?:choose|pick|decide|choice|call)"
    r"|(?:im|i am|were|we are) (?:so )?bored"
    r"|(?:show me |give me |some |any |what |got |have you |do you have )*"
    r"(?:more|others?|another one|something else|else|other (?:ones|ideas|suggestions|movies|films))(?: please)?)$"
)
TALK = {  # small talk -> the answer to it
    r"(?:please |so |can you )*(?:(?:whats|what (?:is|are|do i have|have i got)|show|list|see|read|give|tell)"
    r"(?: me)?(?: the (?:movies|films))?(?: (?:whats|is|are))?(?: on| in| of)? )?(?:my |the )?watch ?list(?: please)?"
    r"|(?:(?:whats|what is) on|show(?: me)?) my list|my list"
    r"|what (?:did|have) i (?:save|keep|put|saved|kept)(?: (?:on my watch ?list|for later|aside))?": WATCHLIST,
    r"hi|hello+|hey(?: there)?|good (?:morning|evening)": "Hello. Say what you feel like: like Heat, but funnier",
    r"(?:thanks?|thx|ta|thank you|cheers)\b.*|(?:good)?bye|(?:oh )?ok(?:ay)?(?: thanks?| thank you)?"
    r"|(?:thats|that is) enough|(?:great|nice|cool)(?: list)?|perfect"
    r"|(?:(?:thats|that was|theyre)|(?:those|they|both|these|all) are) (?:perfect|great|fine|good|ok)(?: thanks)?":
    "You're welcome. Say more whenever you like",
    r"(?:are |is )?(?:any|which)(?: one)? of (?:these|those|them|@).*|which (?:one )?is the \w+est":
    "That I cannot tell of a whole list: ask about one, such as: what language is the third in?",
    r"(?:who directed(?! the )|who is in(?! the )|what year is"
    r"|how many (?:films|movies) do you|what are my favou?rites)[^@]*":
    "That question I do not understand; write titles as they are, such as: who directed Heat?",
    r"help(?: me)?|what can you do|how does this work|(?:who|what) are you|are you (?:a |an )?\w+":
    "I suggest movies: name some that you love or hate, and say what you feel like; /help lists the commands",
    r"please|you too|yes|yeah|yep|(?:(?:oh|no|yes|well) )*(?:i|we) (?:have|had|did|do)(?:nt| not)?"
    r"|(?:any|other) (?:ideas|suggestions)|(?:so )?what (?:could|should|can|shall|do) (?:we|i|you)"
    r" (?:watch|see|recommend|suggest)(?: (?:next|tonight))?": "",
}  # fmt: skip
_BAD = any_of(
    r"""hat(?:e|ed|es|ing), dislik\w+, despis\w+, loath\w+, awful, terribl[ey], bad, boring, bored?, dull, worst, stupid
    disappoint\w*, overrated, sucks?, sucked, horribl[ey], annoying, crap, trash, garbage, not for (?:me|us), waste
    weak, lame, meh, rubbish, pants, naff, dire, dreadful, tedious, forgettable, mediocre, lousy, cringe\w*
    ridiculous, mess, a drag, slog, drivel, snooze\w*, worse, dud, flop, let ?down, underwhelm\w*, unwatchable
    nothing special, so so, overlong, overhyped
    pretentious, walked out, fell asleep, (?:turned|switched|shut) (?:@|it|off), gave up on
    ugh, nah, (?:sick|tired|fed up|bored) (?:of|with), enough of, less(?: of)? @, scares me, never again
    (?:cant|cannot|couldnt|could not) (?:stand|bear|finish|get into|get through|watch)
    (?:is|was|are|were|looks|sounds|seems)(?: \w+)? too, @ no(?= |$)"""
)
_GOOD = any_of(
    r"""lov(?:e|ed|es|ing|ely), like[ds]?, enjoy\w*, ador\w+, great, good, excellent, amazing, brilliant, fantastic
    wonderful, fine, favou?rites?, faves?, best, fans?, perfect, classic, masterpiece, beautiful, fun, funny, cool
    nice, blew my mind, ok, okay, incredible, superb, grew up with, obsessed, yes, gem, moved, moving, hilarious
    awesome, a blast, gorgeous, stunning, fab, fabulous, brill, delightful, charming, hooked, glued, riveting
    gripping, touching, terrific, marvel\w*, outstanding, decent, impress\w+, magnificent, phenomenal, wow
    over and over, blew (?:me|us) away, in a good way, cried, laughed, thrilled, masterful, spot on, top notch
    underrated, ace, cute, class, 10 10, my cup of tea"""
)
_LATER = any_of(
    r"""watch ?list, my list, for later, later, keep, want to (?:see|watch), wanna, ill (?:take|watch|try), save
    id watch, ill go (?:with|for), lets go with, (?:looks?|sounds?) (?:good|great|interesting|nice|fun|cool)
    lets (?:watch|try)"""
)
_REFUSED_PRAISE = any_of(
    "like[ds]?, love[ds]?, enjoy\\w*, good, great, fans?, into, favou?rites?, funny, care, impressed"
)
_DROPPED = any_of("skip, pass, remove, drop, replace, swap, instead of, none, except, apart from, besides")
_VERDICTS = [  # the first that is found
    (OFF, r"\b(?:off|(?:remove|delete|drop|take|cross|strike)\b.* (?:from|on)) (?:my|the) (?:watch ?)?list\b"),
    (UNKNOWN, rf"{NO}(?: \w+)? (?:seen|heard)\b"),
    (LIKE, rf"{NO}(?: \w+)? (?:bad|boring|awful|terrible|dull|stupid)\b|\b(?:didnt|dont) (?:hate|mind|dislike)\b"),
    (DISLIKE, rf"{NO}(?: \w+)? my (?:cup of tea|thing|kind|type|taste)\b"),
    (NOT_INTERESTED, rf"{NO} (?:so|too|very) (?:much|keen|sure)\b|\bnot really\b|{NO} interested\b"),
    (DISLIKE, rf"{_BAD}|{NO}(?: \w+){{0,3}} {_REFUSED_PRAISE}"),
    (LATER, _LATER),
    (LIKE, _GOOD),
    (SEEN, any_of("seen, saw, watched, already, know, rewatched")),
    (NOT_INTERESTED, rf"{NO}|{_DROPPED}|@ again$"),
]


SAME = re.compile(r"\b(?:the )?same (director|cast|actors?|actress|genre|language) (?:as|of|like|in) (?:in )?@")


def answer_to(words: str) -> Optional[str]:
    """Return the answer to small talk, "" where it needs none, None for what is more than that."""
    return next((answer for pattern, answer in TALK.items() if re.fullmatch(pattern, words)), None)


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
    found = _ANY_OF.search(words) or _TAKEN_BACK.search(words) or _FINE.search(words)
    name = next(filter(None, found.groups())) if found else ""
    return _KINDS.get(name.rstrip("s"), name)
