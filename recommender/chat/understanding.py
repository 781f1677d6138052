"""What a message of a chat says.

    not 2, seen 3. Something like Ratatouille, no animation
    -> 2 not interesting, 3 seen; like Ratatouille (2007); not Animation

The movies mentioned (mentions.py) become @, and the message is cut into clauses. A clause with an @ is a question, a
verdict ("@ was great"), or asks for others like it; a verdict without a movie is about the one before (verdicts.py).
What is left is read by `RequestReader`, as any request is: filters, "like TITLE", and words for the encoder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Optional, Union

import numpy as np

from ..session.state import DISLIKE, LATER, LIKE, NOT_INTERESTED, SEEN, SKIP
from ..text.request_facts import Fact
from ..text.requests import Request
from .mentions import Finder, Mention, Message
from .verdicts import (
    ANYTHING,
    ASKED_LIKE,
    ASKS_WATCHLIST,
    HELLO,
    LIKES,
    NO,
    NO_ANSWER,
    OFF,
    OTHERS,
    TALK,
    UNKNOWN,
    WATCHLIST,
    any_of,
    question,
    small_talk,
    taken_back,
    verdict,
)

if TYPE_CHECKING:
    from ..facade import Recommender

ASKED = "asked for"  # beside the answers: others like a movie
MOST_LETTERS = 1000
OLDER, NEWER = 1990, 2010  # what older and newer mean where no list is on the screen
_OPENS = set(re.findall(r"\w+", """
loved love liked like hated hate saw seen watched not didnt dont never i it we skip newer older
"""))  # fmt: skip
_APART = {"not", "less", "without", "except"}
_TELLS = {"love", "loved", "like", "liked", "enjoyed", "enjoy", "adore", "hate", "hated", "saw"}
_ABOUT_IT = re.compile(r"\b(?:worse|it|them|both|that one|this one|those|which)\b")
_WISHES = re.compile(r"\b(?:something|anything|more|show|give|want|find|looking|recommend|suggest|now|please)\b")
_LIKE_THAT = re.compile(r"\b(?:like|similar to) (?:that|those|these|them|this|it)\b")
_RELATIVE = re.compile(
    r"\b(newer|older|more (?:recent|modern))(?! than \d)(?: than (?:these|those|that|them|@))?(?!\w)"
)
_FRONT = re.compile(
    rf"^(?:{any_of('hey, hi, so, please, today, tonight, give, show, find, get, got, me, us, (?:is|are) there')} ?)+"
)
_REFUSED = re.compile(
    r"(?:^| )(?:(?:sick|tired|fed up|bored) (?:of|with)|enough of|forget(?: about)?(?: the| that)?|no more)\b"
    rf"|{NO}(?: \w+){{0,3}} (?:fans?|lover|keen|big|into|interested|cup of tea|thing|taste|kind|type)(?: of| on| in)?\b"
)
# Statements and questions are not wishes: that one was funny, is it a comedy
_STATEMENT = re.compile(
    r"\b(?:was|were|it is|its|thats|that is|he|she|they|them|how|liked|loved|enjoyed|remember|remind\w*|heard|seen)\b"
    r"|^(?:is|are|was|do|does|did|who|have|has|what|which)\b"
)
_COMPARATIVE = re.compile(r"^(\w{3,}?)(i?)er$")


class Understood(NamedTuple):
    """likes, dislikes: rows of movies that are not on the list.  more_like: others like these are asked for.

    feedback: row -> an answer of session/state.py, for movies on the list, and others seen or kept for later.
    question: a kind of `QUESTIONS` and a row.
    cleared: kinds of facts taken back, or "all".
    request: what is asked for, for `Recommender.encode`; "" for nothing.  reading: its filters.
    said: what was understood, for people; "" for nothing.  reply: to small talk.  filters: the facts that are wishes.
    """

    likes: tuple[int, ...]
    dislikes: tuple[int, ...]
    feedback: dict[int, str]
    question: Optional[tuple[str, int]]
    more_like: tuple[int, ...]
    cleared: tuple[str, ...]
    request: str
    reading: Request
    said: str
    reply: str = ""
    filters: tuple[Fact, ...] = ()


def read(message: str, shown: Sequence[int], recommender: Recommender, last: Optional[int] = None) -> Understood:
    """Return what `message` says.  shown: rows of the list on the screen.  last: the row talked about, else the first.

    Cost: some look-ups of titles for each word, and two or three times what `RequestReader.read` takes.
    """
    return _Reading(message, shown, recommender, shown[0] if last is None and len(shown) else last).understood()


class _Reading:
    """One message while it is read."""

    def __init__(self, text: str, shown: Sequence[int], recommender: Recommender, last: Optional[int]) -> None:
        self.shown, self.catalog, self.reader = list(shown), recommender.catalog, recommender.free_text.reader
        self.is_word = recommender.free_text.is_word
        self.message = Message(" ".join(text.split())[:MOST_LETTERS], self.is_word)
        finder = Finder(self.message, self.shown, last, recommender.titles, recommender.free_text)
        self.mentions = {mention.start: mention for mention in finder.mentions()}
        self.answers: dict[int, str] = {}
        self.question: Optional[tuple[str, int]] = None
        self.asked: list[int] = []  # the movies that others are to be like
        self.anything, self.reply = False, ""
        self.cleared: list[str] = []
        self.left: list[str] = []  # clauses of the request
        self.wishes: list[int] = []  # those that express a wish

    def understood(self) -> Understood:
        before: Sequence[Mention] = ()  # of the clauses before
        said: Optional[str] = None  # the verdict of the clause before
        for clause in self._clauses():
            mentions = [one for one in clause if isinstance(one, Mention)]
            words = " ".join("@" if isinstance(one, Mention) else one for one in clause)
            words = re.sub(r"@(?: (?:and|or|&|both)? ?@)+", "@", words)
            opinion, kind = verdict(words), question(words)
            likened = not LIKES.search(words) and (_RELATIVE.search(words) or ASKED_LIKE.search(words))
            if mentions and likened and not re.match(r"(?:is|was) @", words):
                self._ask(words, mentions)
                said = ASKED
            elif mentions and kind:
                self.question = kind, mentions[0].rows[0]
            elif mentions:
                bare = words in ("@", "and @", "or @", "but @") and opinion is None
                said = said if bare and before else opinion
                if said == ASKED:
                    self._ask("like @", mentions)
                else:
                    self._answer(mentions, said, words)
            elif (talk := small_talk(words)) and not self._is_title(words):
                self.reply = self.reply or HELLO * (talk == TALK)
                self.anything |= talk != TALK
                self._skip(talk == OTHERS)
            elif ASKS_WATCHLIST.search(words):
                self.reply = WATCHLIST
            elif back := taken_back(words):
                self.cleared += [fact.kind for fact in self.reader.read(back).facts] or [back]
            elif before and self._is_about(words, opinion):
                said = opinion
                self._answer(before, said, words)
            elif opinion == UNKNOWN and not self.reader.read(words).facts:
                self.reply = HELLO
            elif kind not in ("", "about") or re.match(r"(?:which|how many|what are my)\b", words):
                self.reply = NO_ANSWER
            else:
                self._ask(words)
            before = mentions or before
        return self._result()

    def _clauses(self) -> list[list[Union[str, Mention]]]:
        """Return the words of each clause, with mentions for those that are one."""
        found: list[list[Union[str, Mention]]] = [[]]
        folded, i = self.message.folded, 0
        while i < len(folded):
            word, clause = folded[i], found[-1]
            if mention := self.mentions.get(i):
                clause.append(mention)
            elif word == "," and self._goes_on(clause, i + 1):
                pass  # 1, 2 and 3 are good
            elif word in _APART and clause and i + 1 in self.mentions:
                found.append([word])  # like 1, not 2
            elif word == "but" and clause and clause[-1] in ("anything", "everything", "all"):
                clause.append(word)
            elif word in (*",;.!?", "but") or (word in ("and", "so") and _OPENS.intersection(folded[i + 1 : i + 2])):
                found.append(["but"] if word == "but" else [])
            elif word in ("i", "we") and _TELLS.intersection(folded[i + 1 : i + 2]) and _is_wish(clause):
                found.append([word])  # looking for a comedy i loved Big
            elif word[0].isalnum() or word == "&":
                clause.append(word)
            i = mention.end if mention else i + 1
        return [clause for clause in found if clause not in ([], ["but"])]

    def _goes_on(self, clause: Sequence[Union[str, Mention]], i: int) -> bool:
        """Return whether a list of mentions and nothing else goes on at i, and the last is not judged alone."""
        mention, alone = self.mentions.get(i), bool(clause) and all(isinstance(one, Mention) for one in clause)
        return (
            alone
            and mention is not None
            and self.message.folded[mention.end : mention.end + 1] not in (["was"], ["is"])
        )

    def _is_title(self, words: str) -> bool:
        """Return whether small talk is a title with its article: The Help, The One."""
        return words.startswith("the ") and bool(self.reader.read(words).likes)

    def _skip(self, all_others: bool) -> None:
        self.answers.update((row, SKIP) for row in self.shown if all_others and row not in self.answers)

    def _is_about(self, words: str, opinion: Optional[str]) -> bool:
        """Return whether a clause without a movie judges the one before: "loved it", "what a bore"."""
        short = opinion in (LIKE, DISLIKE) and len(words.split()) < 5 and not _is_wish([words])
        about = (short or _ABOUT_IT.search(words)) and "you" not in words.split()
        return bool(opinion and about and not self.reader.read(words).facts)

    def _answer(self, mentions: Sequence[Mention], answer: Optional[str], words: str) -> None:
        for mention in mentions:
            if answer == UNKNOWN:
                self.reply = HELLO
            elif (
                answer is not None or not mention.listed or len(words.split()) < 3
            ):  # else the number is not a place in the list
                self.answers.update((row, answer or (LATER if mention.listed else LIKE)) for row in mention.rows)

    def _ask(self, words: str, mentions: Sequence[Mention] = ()) -> None:
        """Keep a clause for the request, with titles for @, years for newer, and scary for scarier."""
        rows = [row for mention in mentions for row in mention.rows]
        others = [row for mention in self.mentions.values() if not mention.listed for row in mention.rows]
        self.asked = rows or self.asked
        years = self.catalog.years[self.asked or others or self.shown]
        middle = int(np.median(years[years > 0])) if (years > 0).any() else 0
        older, newer = f"until {middle - 1 if middle else OLDER}", f"since {middle + 1 if middle else NEWER}"
        words = _FRONT.sub("", _LIKE_THAT.sub("", words))
        if refused := _REFUSED.search(words):  # sick of horror; Hitchcock is not my taste
            said, rest = words[: refused.start()], words[refused.end() :]
            words = f"{said} , no {rest}" if rest else f"no {said}"
        words = re.sub(r"\bclassics\b", "classic movies", re.sub(r"\bmore(?: of)? @", "like @", words))
        words = _RELATIVE.sub(lambda match: older if match[1] == "older" else newer, words)
        if words:
            titles = " or ".join(str(self.catalog.movie(row)) for row in rows)
            self.wishes += [] if _STATEMENT.search(words) else [len(self.left)]
            self.left.append(" ".join(map(self._plain, words.split())).replace("@", titles) + (" ;" if rows else " ,"))

    def _plain(self, word: str) -> str:
        """Return scary for scarier where that names a filter."""
        if (match := _COMPARATIVE.match(word)) is None:
            return word
        bases = [match[1] + "y"] if match[2] else [match[1], match[1] + "e", match[1][:-1]]
        return next((base for base in bases if self.is_word(base) and self.reader.is_filter(base)), word)

    def _request(self, clauses: Sequence[str]) -> str:
        return re.sub(r" [,;] but ", " but ", " ".join(clauses)).strip(" ,;")

    def _result(self) -> Understood:
        self._skip(self.anything and not (self.answers or self.left or self.question or self.cleared))
        request, wishes = self._request(self.left), self._request([self.left[place] for place in self.wishes])
        reading, new = self.reader.read(request), [row for row in self.answers if row not in self.shown]
        likes = [row for row in new if self.answers[row] == LIKE]
        dislikes = [row for row in new if self.answers[row] in (DISLIKE, NOT_INTERESTED)]
        feedback = {row: said for row, said in self.answers.items() if row in self.shown or said in (SEEN, LATER, OFF)}
        said = [f"like {self.catalog.movie(row)}" for row in likes]
        said += [f"not like {self.catalog.movie(row)}" for row in dislikes]
        said += [f"{self.catalog.movie(row)}: {answer}" for row, answer in feedback.items() if answer != SKIP]
        said += [OTHERS] if SKIP in feedback.values() else []
        said += [f"{self.question[0]}: {self.catalog.movie(self.question[1])}"] if self.question else []
        said += ["no filters" if kind == "all" else f"any {kind}" for kind in self.cleared]
        said += [*filter(None, [reading.read_as()]), *reading.unknown]
        more, unlike = ([like.row for like in reading.likes if like.wanted == wanted] for wanted in (True, False))
        said = said or [ANYTHING] * self.anything
        rows, asked = (tuple(likes), tuple(dict.fromkeys([*dislikes, *unlike]))), tuple(more)
        cleared, filters = tuple(self.cleared), self.reader.read(wishes).facts
        text = "; ".join(said)
        return Understood(*rows, feedback, self.question, asked, cleared, request, reading, text, self.reply, filters)


def _is_wish(clause: Sequence[object]) -> bool:
    return bool(_WISHES.search(" ".join(map(str, clause))))
