"""The chat client: what a server refuses is left out, streams come to the terminal clean, tokens are counted."""

from dataclasses import replace

import pytest

from recommender.chat.client import ChatClient
from recommender.data.errors import SettingsError
from recommender.net.web import WebError
from tests.fake_server import Reply, Server, says

ASK = [{"role": "user", "content": "x" * 39}]
SCHEMA = {"type": "object"}


def opened(server, **more) -> ChatClient:
    return ChatClient.open(server.url, "m", **{"timeout": 5.0, "attempts": 2, **more})


REFUSALS = [
    ({"max_tokens": "Use 'max_completion_tokens' instead of 'max_tokens'."}, {"temperature", "max_completion_tokens"}),
    ({"max_tokens": "max_tokens?", "max_completion_tokens": "max_completion_tokens?"}, {"temperature"}),
    ({"temperature": "'temperature' does not support 0."}, {"max_tokens"}),
    ({"logprobs": "logprobs is unknown", "top_logprobs": "no top_logprobs"}, {"max_tokens", "temperature"}),
]


@pytest.mark.parametrize(("refuses", "kept"), REFUSALS)
def test_a_parameter_that_is_refused_is_left_out_from_then_on(server, refuses, kept):
    server.refuses = refuses
    some = opened(server)
    assert some.ask(ASK, n_first=5).text == "A thief and a policeman."
    n = len(server.requests)
    assert 2 <= n <= 3
    some.ask(ASK, n_first=5)
    assert len(server.requests) == n + 1
    sent = set(server.requests[-1].body) - {"model", "messages", "logprobs", "top_logprobs"}
    assert sent == kept
    assert {"logprobs", "top_logprobs"} & set(server.requests[-1].body) == (
        set() if "logprobs" in refuses else {"logprobs", "top_logprobs"}
    )


@pytest.mark.parametrize("word", ["messages", "model"])
def test_what_has_nothing_to_do_with_a_parameter_is_told(server, word):
    server.refuses = {word: "this model's maximum context length is 4,096"}
    some = opened(server)
    with pytest.raises(WebError, match="4,096"):
        some.ask(ASK, SCHEMA)
    assert not some.refused, "nothing is learned from it"
    assert len(server.requests) == 3


def test_a_schema_is_left_out_after_422_and_501_but_not_for_what_was_asked(server):
    for status in (422, 501):
        server.faults = [Reply(status, {"detail": "extra field"})] * (2 if status == 501 else 1)  # 501 is repeated
        assert opened(server).ask(ASK, SCHEMA).form == "json_object"
    server.requests.clear()
    server.faults = [Reply(400, {"error": {"code": "content_filter", "message": "flagged"}})]
    with pytest.raises(WebError):
        opened(server).ask(ASK, SCHEMA)
    assert len(server.requests) == 1


def test_tokens_are_those_of_the_server_or_a_fourth_of_the_characters(server):
    usages = [{"total_tokens": 7}, {"prompt_tokens": 4, "completion_tokens": 5}, None, {}, [], {"total_tokens": "?"}]
    for usage, n in zip(usages, (7, 9, 10, 10, 10, 10)):
        server.chat = lambda _, usage=usage: Reply(200, {**says("Y").body, "usage": usage})
        assert opened(server).ask(ASK).tokens == n


def test_log_probabilities_of_the_first_token(server):
    def reply(tokens):
        return Reply(200, {"choices": [{"message": {"content": "4"}, "logprobs": {"content": tokens}}]})

    top = [{"token": "4", "logprob": -0.1}, {"token": "5", "logprob": -2}, {"token": "3", "logprob": float("nan")}]
    for tokens, first in [([{"top_logprobs": top}], {"4": -0.1, "5": -2.0}), ([], {}), (None, {}), ([{}], {})]:
        server.chat = lambda _, tokens=tokens: reply(tokens)
        assert opened(server).ask(ASK, n_first=20).first == first
    assert server.requests[0].body["top_logprobs"] == 20


def test_the_key_goes_to_its_own_host_alone(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", "sk-1234567890abcdef")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-somebody-else")
    other = Server()
    server.faults = [Reply(307, b"", {"Location": f"{other.url}/chat/completions"})]
    with pytest.raises(WebError):
        opened(server, key_variable="MY_KEY").ask(ASK)
    assert server.requests[0].headers["Authorization"] == "Bearer sk-1234567890abcdef"
    assert other.requests == []
    other.close()
    opened(server).ask(ASK)
    assert "Authorization" not in server.requests[-1].headers, "OPENAI_API_KEY is for OpenAI alone"
    with pytest.raises(SettingsError):
        ChatClient.open("http://chat.example/v1", "m", "MY_KEY")


def event(text: str) -> str:
    return f'data: {{"choices": [{{"delta": {{"content": "{text}"}}}}]}}\n\n'


STREAMS = [
    (says("A thief, and so on.", stream=True), "A thief, and so on.", "stop"),
    (says("A thief.", "length", stream=True), "A thief.", "length"),
    (says("A thief.", stream=True, more=""), "A thief.", "stop"),  # no [DONE]
    (says("A thief.", "", stream=True), "A thief.", "cut"),  # no reason for the end
    (says("A thief.", "", stream=True, more=""), "A thief.", "cut"),
    (says("<think>Heat is [old] </think> A thief.", stream=True), "A thief.", "stop"),
    (Reply(200, event("<thi") + event("nk>x</think>A thief."), wait_in_body=1e-4), "A thief.", "cut"),
    (says("A \x1b[31mthief\x07.", stream=True), "A [31mthief.", "stop"),
    (says("A thief."), "A thief.", "stop"),  # can't stream
    (Reply(200, ": ping\r\n\r\n" + event("A thief.").replace("\n", "\r\n") + "data: {broken\n\n"), "A thief.", "cut"),
    (
        Reply(200, event("A thief.") + 'data: {"choices": []}\n\ndata: {"choices": [{"delta": null}]}\n\n'),
        "A thief.",
        "cut",
    ),
    (Reply(200, event("A thief.") + event(" More"), {"Content-Length": "900"}, cut=70), "A thief.", "cut"),
    (
        Reply(200, event("A thief.") + 'data: {"error": {"message": "out of memory"}}\n\n', wait_in_body=1e-4),
        "A thief.",
        "cut",
    ),
    (Reply(200, event("A thief.") + event("x" * 60_000)), "A thief." + "x" * 19_992, "length"),
]


@pytest.mark.parametrize(("reply", "text", "end"), STREAMS)
def test_a_stream_is_shown_as_it_comes(server, reply, text, end):
    server.chat = lambda messages: reply
    pieces: list[str] = []
    answer = opened(server).ask(ASK, show=pieces.append)
    assert (pieces[-1][: len(text)], answer.end) == (text, end)
    assert all(longer.startswith(shorter) for shorter, longer in zip(pieces, pieces[1:]))
    assert answer.text.replace("\x1b", "").replace("\x07", "") == text
    assert server.requests[0].body["stream"] is True
    assert all(piece.replace("\n", "").isprintable() for piece in pieces)


def test_a_stream_that_failed_before_its_first_word_is_repeated(server):
    server.faults = [Reply(200, event("A thief."), {"Content-Length": "900"}, cut=9)]
    server.chat = lambda messages: says("A thief.", stream=True)
    pieces: list[str] = []
    assert opened(server).ask(ASK, show=pieces.append).end == "stop"
    assert (pieces[-1], len(server.requests)) == ("A thief.", 2)


def test_a_stream_may_be_an_error_or_a_refusal(server):
    server.faults = [Reply(200, 'data: {"error": {"message": "out of memory"}}\n\n')]
    with pytest.raises(WebError, match="out of memory"):
        opened(server).ask(ASK, show=str)
    refusal = 'data: {"choices": [{"delta": {"refusal": "No."}}]}\n\n'
    server.faults = [Reply(200, refusal + says("", stream=True).body)]
    assert opened(server).ask(ASK, show=str).refused


@pytest.mark.parametrize(
    ("end", "refused"), [("content_filter", True), ("SAFETY", True), ("stop", False), ("length", False)]
)
def test_an_end_may_be_a_refusal(server, end, refused):
    server.chat = lambda messages: says("A thief.", end)
    assert opened(server).ask(ASK).refused == refused


def test_a_slow_stream_ends_with_the_time_limit_and_what_came(server):
    server.faults = [
        Reply(200, event("A thief.") + ": waiting\n" * 90 + says("", stream=True).body, wait_in_body=0.001)
    ]
    answer = opened(server, timeout=0.4).ask(ASK, show=lambda piece: None)
    assert (answer.text, answer.end) == ("A thief.", "cut")


def test_a_thought_without_its_first_mark_is_followed_by_the_answer(server):
    reply = says("Heat is old </think> A thief.", stream=True)
    server.chat = lambda messages: replace(reply, wait_in_body=1e-4)
    pieces: list[str] = []
    assert opened(server).ask(ASK, show=pieces.append).text == "A thief."
    assert "Heat is old" in pieces
    assert pieces[-1] == "A thief."
