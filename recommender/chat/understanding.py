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

from ..data.catalog import SPOKEN
from ..session.state import DISLIKE, LATER, LIKE, NOT_INTERESTED, SEEN, SKIP
from ..text.request_facts import Fact
from ..text.requests import Request
from .mentions import A_PLACE, Finder, Mention, Message
from .verdicts import ASKED_LIKE, LIKES, OFF, OTHERS, QUESTIONS, SAME, UNKNOWN, answer_to, taken_back, verdict

if TYPE_CHECKING:
    from ..facade import Recommender

ASKED = "asked for"  # beside the answers: others like a movie
MOST_LETTERS = 1000
OLDER, NEWER = 1990, 2010  # what older and newer mean where no list is on the screen
_STARTS = set(
    re.findall(
        r"\w+", "loved love liked like hated hate saw seen watched not didnt dont never i it we skip newer older"
    )
)
_VERBS = {"love", "loved", "like", "liked", "enjoyed", "enjoy", "adore", "hate", "hated", "saw"}
_ABOUT_IT = re.compile(r"\b(?:worse|it|them|both|that one|this one|those|which)\b")
_ASKS = re.compile(r"\b(?:something|anything|more|show|give|want|find|looking|recommend|suggest|now|please)\b")
_LIKE_THAT = re.compile(r"\b(?:like|similar to) (?:that|those|these|them|this|it)\b")
_RELATIVE = re.compile(
    r"\b(newer|older|more (?:recent|modern))(?! than \d)(?: than (?:these|those|that|them|@))?(?!\w)"
)
_TOO = re.compile(r"(?:\b(?:is|are|its|thats|a bit|a little|way) )*\btoo (?:many |much )?(\w+)(?: ones)?")
EXCEPT = "except"
_APART = {"not": False, "less": False, "without": False, "except": True, "besides": True}  # True: of all
_ASKING = {"show", "give", "find"}
_ALONE = (["was"], ["is"])
_CARRIER = re.compile(
    r"^(?:(?:hey|hi|so|well|please|today|tonight|this evening|last weekend"
    r"|my (?:wife|husband|girlfriend|boyfriend|partner|friends?)(?: and i)?|(?:wed|we would) like"
    r"|(?:have you |do you have |you )?got|is there|isnt there|are there|(?:give|show|find|get) (?:me|us)"
    r"|(?:a|some|any) (?:more )?(?:films?|movies?) (?:that|which)(?: \w+s)?)\b ?)+"
    r"|\b(?:that |which )?(?:i|we) (?:might|may|probably|havent|dont)(?: not)? (?:know|seen|heard of)(?: yet)?\b"
    r"|^any(?:thing|one)? (?:thats|that is)\b|\bthats$|^(?:im|i am|i feel) (?:so |feeling )?(?:sad|down)$"
)
_ADULT = re.compile(r"\bfor (?:grown ?ups?|adults)\b")
_REFUSED = re.compile(
    r"(?:(?:im|i am|were|we are) )?(?:(?:so|really|a bit) )?"
    r"(?:(?:sick|tired|fed up|bored) (?:of|with)|(?:had )?enough(?: of)?"
    r"|forget(?: about)?(?: the| that)?|no more(?! than)(?: of)?"
    r"|not (?:really |exactly |particularly |so |too |that |much )?"
    r"(?:(?:an? )?(?:big |huge |great |real )?(?:fan|lover) of|(?:keen|big) on|(?:crazy|mad|wild) about|into"
    r"|interested in)) "
)
_NOT_MINE = re.compile(
    r"^([\w ]+?) (?:is not|are not|isnt|arent)(?: really)? my (?:cup of tea|thing|taste|kind|type)\b.*"
    r"|\b(?:where|in which) ([\w ]+?) (?:isnt|is not|doesnt (?:play|appear))(?: in)?(?: it)?\b"
)
_ADVICE = re.compile(r"\b(?:should|could) (?:i|we) (?:see|watch)\b|\bif (?:i|we|you) (?:like|love)d?\b")
# What is told, or asked back, is no wish: that one was funny, is it a comedy
_TOLD = re.compile(
    r"\b(?:was|were|it is|its|thats|that is|he|she|they|them|how|liked|loved|enjoyed|remember|remind\w*|heard|seen)\b"
    r"|^(?:is|are|was|do|does|did|who|have|has|what|which)\b"
)
_COMPARATIVE = re.compile(r"^(\w{3,}?)(i?)er$")


class Understood(NamedTuple):
    """likes, dislikes: rows of favorites, and of movies that are none.  more_like: others like these are asked for.

    feedback: row -> an answer of session/state.py, for movies on the list, and others seen or kept for later.
    question: a kind of `QUESTIONS` and a row; more_like is what it is compared with.
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
        self.compared: Sequence[int] = ()
        self.anything, self.reply = False, ""
        self.cleared: list[str] = []
        self.left: list[str] = []  # clauses of the request
        self.wishes: list[int] = []  # those that are not only told

    def understood(self) -> Understood:
        before: Sequence[Mention] = ()  # of the clauses before
        said: Optional[str] = None  # the verdict of the clause before
        for clause in self._clauses():
            mentions = [one for one in clause if isinstance(one, Mention)]
            words = " ".join("@" if isinstance(one, Mention) else one for one in clause)
            words = re.sub(r"@(?: (?:and|or|&|both)? ?@)+", "@", words)
            opinion = verdict(words)
            if OTHERS.match(words):
                self.answers.update((row, SKIP) for row in self.shown if row not in self.answers)
                self.anything = True
                continue
            if (reply := answer_to(words)) is not None:
                self.reply = self.reply or reply
                continue
            if self._takes_back(words):
                continue
            kind = next((kind for kind, pattern in QUESTIONS.items() if re.search(pattern, words)), "")
            kind = "" if _ADVICE.search(words) else kind
            if len(mentions) > 1 and kind == "similar":
                self.question, self.compared = (kind, mentions[0].rows[0]), mentions[-1].rows[:1]
            elif mentions and SAME.search(words):
                self._ask(SAME.sub(self._fact(SAME.findall(words)[0], mentions[0].rows[0]), words))
            elif mentions and words.startswith(EXCEPT):
                self._except(mentions)
            elif mentions and (_RELATIVE.search(words) or ASKED_LIKE.search(words)) and not LIKES.search(words):
                self._ask(words, mentions)
                said = ASKED
            elif mentions and kind:
                self.question = kind, mentions[-1].rows[0]
            elif mentions:
                bare = words.split()[-1] == "@" and len(words.split()) < 3 and opinion is None
                said = said if bare and before else opinion
                if said == ASKED:
                    self._ask("like @", mentions)
                else:
                    self._answer(mentions, said, words)
            elif kind and A_PLACE.search(words):
                self.reply = "There is no such movie on the list"
            elif before and self._is_about(words, opinion):
                said = opinion
                self._answer(before, said, words)
            else:
                self._ask(words)
            before = mentions or before
        return self._result()

    def _clauses(self) -> list[list[Union[str, Mention]]]:
        """Return the words of each clause, with mentions for those that are one."""
        found: list[list[Union[str, Mention]]] = [[]]
        folded, i = self.message.folded, 0
        while i < len(folded):
            word, after, clause = folded[i], folded[i + 1 : i + 2], found[-1]
            if mention := self.mentions.get(i):
                clause.append(mention)
            elif word == "," and self._goes_on(clause, i + 1):
                pass  # 1, 2 and 3 are good
            elif word == "but" and clause and folded[i - 1] in ("anything", "everything", "all"):
                found.append([EXCEPT])
            elif word in (*",;.!?", "but") or (word in ("and", "so") and _STARTS.intersection(after)):
                found.append(["but"] if word == "but" else [])
            elif word in ("i", "we") and _VERBS.intersection(after) and _ASKS.search(" ".join(map(str, clause))):
                found.append([word])  # looking for a comedy i loved Big
            elif word in _ASKING and clause and isinstance(clause[-1], Mention):
                found.append([word])  # instead of 3 show me something French
            elif word in _APART and clause and self._names_next(i + 1):
                found.append([EXCEPT if _APART[word] else word])  # 1 and 3 but not 2
            elif word[0].isalnum() or word == "&":
                clause.append(word)
            i = mention.end if mention else i + 1
        return [clause for clause in found if clause not in ([], ["but"])]

    def _goes_on(self, clause: Sequence[Union[str, Mention]], i: int) -> bool:
        """Return whether a list of mentions and nothing else goes on at i, and the last is not judged alone."""
        mention, alone = self.mentions.get(i), bool(clause) and all(isinstance(one, Mention) for one in clause)
        return alone and mention is not None and self.message.folded[mention.end : mention.end + 1] not in _ALONE

    def _names_next(self, i: int) -> bool:
        folded = self.message.folded
        i += folded[i : i + 1] in (["of"], ["for"])
        return i in self.mentions

    def _fact(self, kind: str, row: int) -> str:
        """Return what a movie has of this kind, as it would be asked for."""
        movie = self.catalog.movie(row)
        director, first = movie.director.split(";")[0], next(iter(movie.cast), "")
        named = {"director": director and f"by {director}", "genre": " ".join(movie.genres[:1])}
        spoken = SPOKEN.get(movie.original_language, "English").split(",")[0]
        return named.get(kind) or (spoken if kind == "language" else first and f"with {first}")

    def _except(self, mentions: Sequence[Mention]) -> None:
        """Take back what was said of these among all, or refuse them where nothing was said."""
        for row in (row for mention in mentions for row in mention.rows):
            if self.answers.pop(row, SKIP) == SKIP:
                self.answers[row] = NOT_INTERESTED

    def _takes_back(self, words: str) -> bool:
        back = taken_back(words)
        self.cleared += [fact.kind for fact in self.reader.read(back).facts] or [back] if back else []
        return bool(back)

    def _is_about(self, words: str, opinion: Optional[str]) -> bool:
        """Return whether a clause without a movie judges the one before: "loved it", "what a bore"."""
        short = opinion in (LIKE, DISLIKE) and len(words.split()) < 5 and not _ASKS.search(words)
        about = (short or _ABOUT_IT.search(words)) and "you" not in words.split()
        return bool(opinion and about and not self.reader.read(words).facts)

    def _answer(self, mentions: Sequence[Mention], answer: Optional[str], words: str) -> None:
        for mention in mentions:
            if answer is None and re.search(r"@ (?:was|were)\b", words):
                answer = SEEN  # and judged in words that are not known here
            if answer == UNKNOWN:
                self.reply = "Then that is still to come. Say what else you feel like"
                continue
            if answer is None and mention.listed and len(words.split()) > 2:
                continue  # a number that is no place in the list
            self.answers.update((row, answer or (LATER if mention.listed else LIKE)) for row in mention.rows)

    def _ask(self, words: str, mentions: Sequence[Mention] = ()) -> None:
        """Keep a clause for the request, with titles for @, years for newer, and scary for scarier."""
        rows = [row for mention in mentions for row in mention.rows]
        others = [row for mention in self.mentions.values() if not mention.listed for row in mention.rows]
        self.asked = rows or self.asked
        years = self.catalog.years[self.asked or others or self.shown]
        middle = int(np.median(years[years > 0])) if (years > 0).any() else 0
        older, newer = f"until {middle - 1 if middle else OLDER}", f"since {middle + 1 if middle else NEWER}"
        words = _TOO.sub(self._less, _LIKE_THAT.sub("", words))
        words = _NOT_MINE.sub(lambda found: f"no {found[1] or found[2]}", words)
        words = _ADULT.sub("not for children", _REFUSED.sub("no ", _CARRIER.sub("", words)))
        words = re.sub(r"\bclassics\b", "classic movies", re.sub(r"\bmore(?: of)? @", "like @", words))
        if not words:
            return
        words = _RELATIVE.sub(lambda match: older if match[1] == "older" else newer, words)
        titles = " or ".join(str(self.catalog.movie(row)) for row in rows)
        if not _TOLD.search(words):
            self.wishes.append(len(self.left))
        self.left.append(" ".join(map(self._plain, words.split())).replace("@", titles) + (" ;" if rows else " ,"))

    def _less(self, match: re.Match[str]) -> str:
        """Return "not violent" for "too violent", newer for "too old"."""
        opposite = {"old": "newer", "new": "older", "recent": "older"}.get(match[1], "")
        return opposite or (f"not {match[1]}" if self.reader.is_filter(match[1]) else match.group())

    def _plain(self, word: str) -> str:
        """Return scary for scarier where that names a filter."""
        if (match := _COMPARATIVE.match(word)) is None:
            return word
        bases = [match[1] + "y"] if match[2] else [match[1], match[1] + "e", match[1][:-1]]
        return next((base for base in bases if self.is_word(base) and self.reader.is_filter(base)), word)

    def _request(self, clauses: Sequence[str]) -> str:
        return re.sub(r" [,;] but ", " but ", " ".join(clauses)).strip(" ,;")

    def _result(self) -> Understood:
        request, wishes = self._request(self.left), self._request([self.left[place] for place in self.wishes])
        reading, new = self.reader.read(request), [row for row in self.answers if row not in self.shown]
        likes = [row for row in new if self.answers[row] == LIKE]
        dislikes = [row for row in new if self.answers[row] in (DISLIKE, NOT_INTERESTED)]
        feedback = {row: said for row, said in self.answers.items() if row in self.shown or said in (SEEN, LATER, OFF)}
        said = [f"like {self.catalog.movie(row)}" for row in likes]
        said += [f"not like {self.catalog.movie(row)}" for row in dislikes]
        said += [f"{self.catalog.movie(row)}: {answer}" for row, answer in feedback.items() if answer != SKIP]
        said += ["others than these"] if SKIP in feedback.values() else []
        said += [f"{self.question[0]}: {self.catalog.movie(self.question[1])}"] if self.question else []
        said += ["no filters" if kind == "all" else f"any {kind}" for kind in self.cleared]
        said += [*filter(None, [reading.read_as()]), *reading.unknown]
        more, unlike = ([like.row for like in reading.likes if like.wanted == wanted] for wanted in (True, False))
        said += [f"like {self.catalog.movie(row)}" for row in self.compared]
        said = said or ["anything"] * self.anything
        rows, asked = (tuple(likes), tuple(dict.fromkeys([*dislikes, *unlike]))), (*more, *self.compared)
        cleared, filters = tuple(self.cleared), self.reader.read(wishes).facts
        text = "; ".join(said)
        return Understood(*rows, feedback, self.question, asked, cleared, request, reading, text, self.reply, filters)
