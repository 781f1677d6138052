"""The step of a chat on the shipped movies: what was said is kept to, remembered, and named as the reason."""

import json
import re

import numpy as np
import pytest

from recommender import models
from recommender.chat import explain
from recommender.chat.chat import TASTE_WEIGHT, Chat, ChatState
from recommender.chat.likes import Likes
from recommender.chat.rerank import MMRReranker, ScoreReranker
from recommender.chat.turns import N_KEPT, TurnLog
from recommender.data.catalog import Movie
from recommender.data.errors import ArtifactError, ChoiceError
from recommender.data.splits import load_all
from recommender.facade import Recommender
from recommender.people.filters import filters_after
from recommender.session.texts import standardised
from recommender.text.request_facts import Fact
from recommender.text.requests import Request
from tests.tiny import with_own_models


@pytest.fixture(scope="module")
def chat():
    return Chat(Recommender.load(), MMRReranker())


def talk(chat, *messages, state=ChatState()):  # noqa: B008
    turn = None
    for message in messages:
        state, turn = chat.step(state, message)
    return state, turn


def test_every_turn_has_five_movies_with_a_reason_of_the_persons_own(chat):
    state, turn = talk(chat, "I loved Heat (1995), something like that but funnier")
    heat = chat.recommender.row_of("Heat (1995)")
    assert state.session.favorites == (heat,)
    assert len({one.movie.movie_id for one in turn.suggestions}) == 5
    assert [chat.catalog.row_of(one.movie.movie_id) for one in turn.suggestions] == list(state.shown)
    assert heat not in state.shown
    assert all("Heat (1995)" in one.because or "funnier" in one.because for one in turn.suggestions)
    assert any("Heat (1995)" in one.because for one in turn.suggestions)
    assert all(one.about.startswith(one.movie.genres[0]) for one in turn.suggestions)
    assert len(turn.candidates) == 20
    assert [score for _, score in turn.candidates] == sorted((score for _, score in turn.candidates), reverse=True)
    assert {one.movie.movie_id for one in turn.suggestions} <= {movie_id for movie_id, _ in turn.candidates}


def test_the_newest_films_lead_and_reasons_still_add_up_to_the_score(chat):
    state, _ = talk(chat, "I loved Spirited Away, Princess Mononoke, My Neighbor Totoro and Howl's Moving Castle")
    for message in ("I loved Heat and Fargo, something like that but funnier", "the last was great, not 1"):
        state, turn = chat.step(state, message)
        if turn.understood.endswith("funny"):
            assert turn.suggestions[0].movie.title == "The Big Lebowski"
            assert all("Heat" in one.because or "Fargo" in one.because for one in turn.suggestions)
        rows, taste = [*state.shown], standardised(chat.recommender.free_text.vectors @ state.memory.vector)
        terms = [sum(one.value for one in reasons) for reasons in chat._reasons(state, rows)]
        scores = (chat.scores(state) - TASTE_WEIGHT * taste)[rows]
        np.testing.assert_allclose(np.diff(terms), np.diff(scores), atol=1e-3)
    state, _ = talk(chat, *["a bit slower"] * 8, state=state)
    assert len(chat._of_movies(state)) == 1, "in the end they are as old as the others"


def test_filters_hold_in_later_turns_until_they_are_taken_back(chat):
    state, turn = talk(chat, "no horror, from 2000 on", "a haunted house", "scary ghosts please")
    assert all("Horror" not in one.movie.genres and one.movie.year >= 2000 for one in turn.suggestions)
    state, turn = talk(chat, "only from the 80s", state=state)
    assert all(1980 <= one.movie.year <= 1989 for one in turn.suggestions)
    _, turn = talk(chat, "no filters", "a haunted house", state=state)
    assert any("Horror" in one.movie.genres for one in turn.suggestions)


def test_predicted_ratings_choose_among_the_candidates(chat, monkeypatch):
    by_score = Chat(chat.recommender, ScoreReranker(lambda about, movie: 5.0 if movie.year < 1990 else 1.0, a=0.0))
    _, turn = talk(by_score, "I loved Heat (1995)", "crime")
    years = [chat.catalog.movie(chat.catalog.row_of(movie_id)).year for movie_id, _ in turn.candidates]
    old = sum(year < 1990 for year in years)
    assert [one.movie.year < 1990 for one in turn.suggestions] == [place < old for place in range(5)]
    given = []
    by_score.reranker.like = lambda about, movie: given.append(about) or 3.0
    talk(by_score, "I loved Heat (1995), and hated Titanic (1997)")
    row = chat.recommender.row_of
    ids = [int(chat.catalog.movie_ids[row(title)]) for title in ("Heat (1995)", "Titanic (1997)")]
    assert given[0] == {"favorites": ids[:1], "answers": [(ids[1], "dislike")]}
    everybody = load_all(chat.recommender.folder)
    monkeypatch.setattr(models, "load_all", lambda folder: everybody.select(np.arange(50)))  # a fit takes seconds
    assert 1 <= Likes.open(with_own_models(chat.recommender)).predict_like_score(given[0], ids[1]) <= 5


def test_what_was_seen_or_refused_does_not_come_back(chat):
    state, _ = talk(chat, "a heist in a casino")
    first, second = state.shown[:2]
    state, _ = talk(chat, "seen 1, not 2", "the first one was great", state=state)
    assert {first, second} & set(state.shown) == set()
    answers = {event.row: event.answer for event in state.session.answers}
    assert (answers[first], answers[second], list(answers.values())[-1]) == ("seen", "not interested", "like")
    # the last word about a movie counts
    movie = chat.catalog.movie(first)
    state, _ = talk(chat, f"I loved {movie}", state=state)
    assert first in state.session.favorites
    assert all(event.row != first for event in state.session.answers)


def test_the_taste_is_the_moving_average_and_moves_the_list(chat):
    state, _ = talk(chat, "a heist in a casino")
    first = state.memory.vector
    e = chat.engine.signal("a heist in a casino").vector
    np.testing.assert_allclose(first, e / np.linalg.norm(e), atol=1e-6)
    state, _ = talk(chat, "dinosaurs", state=state)
    mixed = 0.8 * first + 0.2 * chat.engine.signal("dinosaurs").vector
    np.testing.assert_allclose(state.memory.vector, mixed / np.linalg.norm(mixed), atol=1e-6)
    # all else equal, a taste alone changes what is retrieved
    other = talk(chat, "submarines")[0].memory
    _, near = chat.step(chat.resume(other), "something good")
    under_water = {one.movie.movie_id for one in talk(chat, "submarines")[1].suggestions}
    assert under_water & {movie_id for movie_id, _ in near.candidates}
    assert under_water.isdisjoint(movie_id for movie_id, _ in chat.step(ChatState(), "something good")[1].candidates)


def test_a_step_changes_no_state_and_repeats_itself(chat):
    before, _ = talk(chat, "I loved Fargo (1996)")
    copy = before.memory.vector.copy()
    one, two = chat.step(before, "but newer"), chat.step(before, "but newer")
    assert one[1]._replace(seconds=0) == two[1]._replace(seconds=0)
    assert (before.memory.vector == copy).all()
    assert before.session.utterances == ()


def test_questions_are_answered_from_the_data_and_change_nothing(chat):
    before, _ = talk(chat, "movies by Hitchcock")
    after, turn = chat.step(before, "who directed the second one?")
    assert "Alfred Hitchcock" in turn.answer
    assert turn.suggestions == ()
    assert after._replace(last=None) == before._replace(last=None)
    assert "Hitchcock" in chat.step(before, "why the first?")[1].answer
    assert re.search(": running times .*not in the data", chat.step(before, "how long is number 1?")[1].answer)


def test_small_talk_is_answered_and_nonsense_refused(chat):
    state, _ = talk(chat, "a heist")
    for message in ("hi", "thanks", "thank you so much", "both are fine"):
        after, turn = chat.step(state, message)
        assert (after, turn.suggestions, bool(turn.answer)) == (state, (), True)
    with pytest.raises(ChoiceError):
        chat.step(state, "?!")


def test_who_has_said_nothing_yet_can_be_surprised(chat):
    for message in ("surprise me", "I'm bored", "more"):
        _, turn = talk(chat, message)
        assert all(re.fullmatch("4.[0-9] of 5 stars from [0-9,]+ people", one.because) for one in turn.suggestions)


def test_where_nothing_speaks_for_a_film_its_reason_tells_what_it_keeps_to(chat):
    turn = talk(chat, "I hated Titanic, nothing from the 50s")[1]
    for one in turn.suggestions:
        assert one.because.startswith("unlike Titanic (1997): no")
        assert ("no Romance" in one.because) == ("Romance" not in one.movie.genres)
        assert "as you asked: not 1950-1959; 4." in one.because
    assert len({one.because for one in turn.suggestions}) == 5
    seen = chat.catalog.movie(talk(chat, "more")[0].shown[0])
    assert all(str(seen) in one.because for one in talk(chat, "more", "seen 1")[1].suggestions)


def test_what_is_no_taste_leaves_the_taste_alone(chat):
    for message in ("newer", "from the 80s", "french", "I hated Pulp Fiction (1994)"):
        state, turn = talk(chat, message)
        assert state.memory.vector is None
        assert not any(re.search("fits.*(since|80|newer)", one.because) for one in turn.suggestions)
    before, _ = talk(chat, "a heist in a casino")
    after, _ = chat.step(before, "newer")
    assert (after.memory.vector == before.memory.vector).all()


def test_refusals_are_kept_by_name(chat):
    state, _ = talk(chat, "no anime, no horror, nothing by Coppola, nothing before 2000, not sad, a comedy")
    back = chat.resume(state.memory)
    assert not any(fact.wanted or fact.kind in ("years", "tone") for fact in back.filters)
    refused = Request("", "", back.filters, (), (), ())
    catalog = chat.catalog
    against = refused.contradictions(len(catalog))
    horror = np.array(["Horror" in catalog.movie(row).genres for row in range(len(catalog))])
    assert (against[horror] > 0).all()
    row = chat.recommender.row_of
    assert against[row("The Godfather (1972)")] > 0
    assert against[row("Spirited Away (2001)")] > 0
    assert against[row("Toy Story (1995)")] == 0  # animated, not Japanese
    assert against[row("Ran (1985)")] == 0  # Japanese, not animated


def test_who_comes_back_is_known_and_movies_unknown_here_are_left_alone(chat):
    state, _ = talk(chat, "I loved Heat (1995)", "not 1")
    memory = state.memory._replace(answers={**state.memory.answers, 999_999_999: "like"})
    back = chat.resume(memory)
    assert (back.session.favorites, back.session.answers) == (state.session.favorites, state.session.answers)
    with pytest.raises(ArtifactError, match="backend"):
        chat.resume(memory._replace(identity=memory.identity._replace(backend="http"), texts=()))


def test_newer_filters_take_the_place_of_older_ones_of_their_kind():
    def fact(kind, label, wanted=True):
        return Fact(kind, label, np.ones(5), wanted)

    def labels(facts):
        return [("" if one.wanted else "not ") + one.label for one in facts]

    old = [fact("years", "1990-1999"), fact("genre", "Horror", False), fact("language", "French")]
    assert labels(filters_after(old, [fact("years", "from 2000")], (), 1)) == ["not Horror", "French", "from 2000"]
    assert labels(filters_after(old, [fact("genre", "Western")], (), 1)) == ["1990-1999", "not Horror", "Western"]
    assert labels(filters_after(old, [fact("genre", "Horror")], (), 1)) == ["1990-1999", "Horror"]
    assert labels(filters_after(old, [], ("years",), 1)) == ["not Horror", "French"]
    assert labels(filters_after(old, [], ("all",), 1)) == []


def test_a_wish_that_older_ones_leave_no_movie_for_takes_their_place(chat):
    state, _ = talk(chat, "something with Bill Murray", "from Japan")
    assert [fact.label for fact in state.filters] == ["Japanese"]
    _, turn = talk(chat, "a bit sadder", state=state)
    assert turn.understood == "sad"
    assert all(one.movie.original_language == "ja" for one in turn.suggestions)


def test_what_is_told_of_a_movie_is_no_filter(chat):
    state, _ = talk(chat, "a heist", "that was so funny", "is it a comedy or a drama")
    assert state.filters == ()
    state, _ = talk(chat, "I'm not a big fan of musicals", state=state)
    assert [(fact.label, fact.wanted) for fact in state.filters] == [("Musical", False)]


def test_a_sentence_of_a_model_may_name_only_the_movie_and_the_history():
    heat, fargo = Movie(1, "Heat", 1995, ()), Movie(2, "Fargo", 1996, ())
    titles = {"the dark knight", "alien", "heat", "fargo", "kill bill", "memento"}

    def checked(text):
        return explain.checked(text, [heat, fargo], lambda name: name.casefold() in titles)

    fine = ["Like Fargo, this is a tense crime story.", "“Heat” by Michael Mann: a duel.", "You liked Fargo (1996)."]
    fine += ["A tense film about thieves in Los Angeles."]
    for text in fine:
        assert checked(text) == text
    for text in [
        "It goes beyond The Dark Knight in scale.",
        "You will love it as you love Alien.",
        'As good as "Nothing Known" by far.',
        "As in Madeup (2011), thieves.",
        "Better than *Memento*, and Fargo.",
    ]:
        assert checked(text) == ""
    assert "\x1b" not in checked("Fargo\x1b[31m and\nmore")


def test_the_log_has_a_line_for_each_turn_and_rotates(chat, tmp_path):
    path, state = tmp_path / "logs" / "turns.jsonl", ChatState()
    log = TurnLog(path, most_bytes=9000)
    for message in ("a secret wish", "dinosaurs", "submarines", "a heist", "robots", "pirates", "elves", "war"):
        state, turn = chat.step(state, message)
        log.write("ann", state, turn)
    files = sorted(tmp_path.rglob("*"))
    assert len([file for file in files if file.is_file()]) == N_KEPT + 1
    assert path.stat().st_mode & 0o077 == 0
    entry = json.loads(path.read_text().splitlines()[-1])
    assert (entry["msg_index"], entry["reranker"], entry["status"]) == (8, "mmr", "ok")
    assert entry["final"] == [one.movie.movie_id for one in turn.suggestions]
    assert len(entry["candidates"]) == 20
    assert np.linalg.norm(entry["taste"]) == pytest.approx(1, abs=1e-4)
    assert all(word not in file.read_text() for file in files if file.is_file() for word in ("ann", "secret"))
    (tmp_path / "mine.txt").write_text("my own notes")
    with pytest.raises(ArtifactError, match="--log"):
        TurnLog(tmp_path / "mine.txt")
