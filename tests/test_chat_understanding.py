"""What is understood of a chat message, on the shipped data."""

from __future__ import annotations

import re

import pytest

from recommender import Recommender
from recommender.chat.understanding import Understood, read
from recommender.chat.verdicts import HELLO, NO_ANSWER, WATCHLIST
from tests.benchmarks.chat_messages import PARTS, misses

SHOWN = ["The Fugitive (1993)", "Seven (1995)", "Die Hard (1988)", "Amelie (2001)", "Alien (1979)"]


@pytest.fixture(scope="module")
def shown(shipped: Recommender) -> list[int]:
    return [shipped.row_of(title) for title in SHOWN]


@pytest.mark.parametrize("part", PARTS)
def test_nine_of_ten_everyday_messages_are_wholly_understood(shipped: Recommender, part: str) -> None:
    n, missed = misses(part, shipped)
    assert n == 60
    assert len(missed) <= 6, missed


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ("I loved Heat. From 2000 on, no horror", "like Heat (1995); from 2000; not Horror"),
        ("I like Dune (1984), not Dune (2021)", "like Dune (1984); not like Dune (2021)"),
        ("less violent and newer", "not violent; from 1994; not gory"),
        ("I liked Spider-Man: Homecoming", ""),
        ("too violent", "not violent; not gory"),
        ("newer than Amelie", "from 2002"),
        ("What about something like 3?", "like Die Hard (1988)"),
        ("the first and third look good", "The Fugitive (1993): later; Die Hard (1988): later"),
        ("I watched the last one and it was awful", "Alien (1979): dislike"),
        ("never seen it", ""),
        ("more please", "others than these"),
        ("lift the comedy filter", "any genre"),
        ("never mind the horror thing", "any genre"),
        ("scrap the year limit", "any years"),
        ("1 was lousy, 2 was magnificent", "The Fugitive (1993): dislike; Seven (1995): like"),
        ("the help", "like The Help (2011)"),
        ("something else, more like 3", "others than these; like Die Hard (1988)"),
        ("I'm looking for a comedy I loved Big", "like Big (1988); Comedy"),
        ("movies like Heat, Fargo", "like Heat (1995); like Fargo (1996)"),
        ("I haven't seen Heat", ""),
        ("I love Hitchcock and Jack Nicholson", "Alfred Hitchcock; Jack Nicholson"),
        ("no horror, war or musicals. Like Speed", "like Speed (1994); not Horror; not War; not Musical"),
        # a dislike never counts as a like
        ("couldn't stand La La Land", "not like La La Land (2016)"),
        ("Titanic was rubbish", "not like Titanic (1997)"),
        ("I fell asleep during Titanic", "not like Titanic (1997)"),
        ("Titanic was gobbledygook", "Titanic (1997): seen"),
        ("4 wasn't bad", "Amelie (2001): like"),
        ("I'm sick of Adam Sandler", "not Adam Sandler"),
        ("more Amelie and less Alien", "Alien (1979): dislike; like Amelie (2001)"),
        ("all except 2", "Seven (1995): not interested"),
        ("anything but the last one", "Alien (1979): not interested"),
        ("I'm not big on Wes Anderson", "not Wes Anderson"),
        ("Hitchcock is not my cup of tea", "not Alfred Hitchcock"),
        ("4 again? no thanks", "Amelie (2001): not interested; others than these"),
        ("what should I see if I liked Get Out", "like Get Out (2017)"),
        ("these are too violent", "not violent; not gory"),
        ("forget the western, i want a romance", "not Western; Romance"),
        ("no more documentaries, a musical", "not Documentary; Musical"),
        # slips of the pen
        ("i loved teh matirx", "like The Matrix (1999)"),
        ("loved the godfahter", "like The Godfather (1972)"),
        # names that are words, and series
        ("Up was great", "like Up (2009)"),
        ("I walked out of Mother!", "not like Mother! (2017)"),
        ("Seven Samurai, Yojimbo, Ikiru", "like Seven Samurai (1954); like Yojimbo (1961); like Ikiru (1952)"),
        ("Lord of the Rings was fab", "like The Lord of the Rings: The Fellowship of the Ring (2001)"),
        # places in the list
        ("first two seen, third boring", "The Fugitive (1993): seen; Seven (1995): seen; Die Hard (1988): dislike"),
        ("the one with Bruce Willis was good", "Die Hard (1988): like"),
        ("the french one was lovely", "Amelie (2001): like"),
        ("watched the fourth yesterday, wasn't bad", "Amelie (2001): like"),
        ("1, 2 and 3 are good", "The Fugitive (1993): like; Seven (1995): like; Die Hard (1988): like"),
        ("1-3 are good", "The Fugitive (1993): like; Seven (1995): like; Die Hard (1988): like"),
        ("like 1 and 3 but not 2", "Seven (1995): not interested; like The Fugitive (1993); like Die Hard (1988)"),
        ("something like the third but older", "like Die Hard (1988); to 1987"),
        ("like it a lot", "Seven (1995): like"),
        ("is the first similar to Heat?", "about: The Fugitive (1993)"),
        ("don't mind subtitles", "any language"),
        ("the fifth scared the hell out of me, in a good way", "Alien (1979): like"),
        ("keep the first, replace the last", "The Fugitive (1993): later; Alien (1979): not interested"),
        ("when did the first come out?", "year: The Fugitive (1993)"),
        ("when was the second released", "year: Seven (1995)"),
        ("who directed the third?", "director: Die Hard (1988)"),
        ("where does the fourth take place", "about: Amelie (2001)"),
        ("cross 2 and Heat off my list", "Seven (1995): off the watchlist; Heat (1995): off the watchlist"),
        ("take it off my list", "Seven (1995): off the watchlist"),
        ("keep it for later", "Seven (1995): later"),
        ("keep it light", "gentle"),
        ("put the last one on my watchlist", "Alien (1979): later"),
        # no movie of the list, and no title
        ("a movie I saw as a child, about a boy and a dragon", ""),
        ("help", ""),
        ("make it funny", "funny"),
        ("for my 4 year old", "Children; for children"),
        ("no one dies", "not one dies"),
        ("7 and 0 were great", ""),
        ("top 5 horror movies", "Horror"),
        ("last night I was up late", ""),
    ],
)
def test_message_reads_as(shipped: Recommender, shown: list[int], message: str, said: str) -> None:
    assert read(message, shown, shipped, shown[1]).said == said


def test_without_a_list_nothing_on_it_is_meant(shipped: Recommender) -> None:
    for message in ("the second one was great", "seen it", "not 3", "none of these"):
        found = read(message, [], shipped)
        assert (found.feedback, found.likes, found.dislikes, found.question) == ({}, (), (), None), message
    assert read("newer", [], shipped).said == "from 2010"
    for message in ("who directed the second?", "when was number 3 made", "why the first?"):
        assert (read(message, [], shipped).reply, read(message, [], shipped).request) == (NO_ANSWER, "")


@pytest.mark.parametrize(("messages", "reply"), [
    ("which of these is french? any of them french?", ""),
    ("which is the newest? who directed stalker? how many films do you know? what are my favorites?", NO_ANSWER),
    ("what is on my list? show my list. my list. what do I have on my watchlist? what did I save?", WATCHLIST),
    ("thanks, that is enough. Thanks for the suggestions. help! what can you do?", HELLO),
])  # fmt: skip
def test_talk_about_the_list_changes_nothing(shipped, shown, messages: str, reply: str) -> None:
    for message in re.findall(r"[^?!.]+[?!.]", messages):
        found = read(message, shown, shipped)
        assert (found.reply, found.said, found.request) == (reply, "", ""), message


def test_whatever_else_there_is_may_be_asked_for(shipped: Recommender, shown: list[int]) -> None:
    for message in ("something else", "surprise me", "no thanks", "I'm bored", "anything", "any ideas?", "more"):
        assert read(message, shown, shipped).said == "others than these"
    for message, said in (("something funny", "funny"), ("loved Up, what should we watch?", "like Up (2009)")):
        assert read(message, shown, shipped).said == said


def test_it_is_the_movie_talked_about(shipped: Recommender, shown: list[int]) -> None:
    assert read("who directed it?", shown, shipped).question == ("director", shown[0])
    assert read("who directed it?", shown, shipped, shown[3]).question == ("director", shown[3])
    heat = shipped.row_of("Heat (1995)")
    assert read("I saw Heat. It was great", shown, shipped, shown[3]).likes == (heat,)


def test_request_goes_to_the_encoder_as_it_was_read(shipped: Recommender, shown: list[int]) -> None:
    found = read("loved Up; something like 2, but scarier", shown, shipped)
    assert found.more_like == (shown[1],)
    signal = shipped.encode(found.request)
    assert signal.read_as == found.reading.read_as() == "like Seven (1995); scary"


@pytest.mark.parametrize("message", [
    "", " ", ",;.!?", "@ @", "#", "'", "’’", "0", "²", "٣", "9" * 5000, "🙂", "ﷺ was great", "a\x00b\x1b[2J", "not",
    "no @ 1", "the " * 400, "(", "1 2 3 4 5 6", "like", "than 2", "newer than", "too", "more like", "\ud800",
    "that is one",
])  # fmt: skip
def test_nothing_that_is_typed_breaks_it(shipped: Recommender, shown: list[int], message: str) -> None:
    for on_screen in (shown, shown[:1], []):
        found = read(message, on_screen, shipped)
        assert isinstance(found, Understood)
        assert set(found.feedback) <= set(on_screen)
