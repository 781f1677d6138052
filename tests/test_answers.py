"""Answers of language models as descriptions: the text that is right, or the reason why there is none."""

import pytest

from preprocess.enrich_metadata import TASK, UNKNOWN, description_in

TEXT = "A quiet drama about a harbour town."
STOP_WORDS = r"""<think>\n\n</think>\n\n@ ~ <thinking>I know it. <think>Do I?</think></thinking>@
So I think it is sad.\n</think>\n@ ~ @ <think>Was that ~ [THINK]Well[/THINK]@ ~ ◁think▷x◁/think▷@
<seed:think>a</seed:think>@ ~ <|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>@<|END_RESPONSE|>
<reasoning>a</reasoning><answer>@</answer> ~ @<|im_end|>\n<|im_start|>user\nmore ~ <|im_start|>assistant\n@</s>
<|channel|>analysis<|message|>I know<|end|><|start|>assistant<|channel|>final<|message|>@<|return|>
analysisWe know the film.assistantfinal@ ~ Sure! Here is a description:\n\n@\n\nLet me know if you need more!
Here's a short plot of "Gamma" (1993):\n@ ~ Certainly. Here's the description:\n\n@ ~ **Overview:** @
**Description**\n\n@ ~ ## Gamma (1993)\n\n@ ~ **Gamma (1993)**\n@ ~ Gamma (1993): @ ~ gamma - @
Of course, here is a brief overview: @ ~ Hier ist, was Sie suchen:\n\n@ ~ Here is a description.\n\n@
I'd be happy to help! @ I hope this helps! ~ assistant: @ ~ > @ ~ - @ ~ *@* ~ __@__ ~ "@" ~ @ (7 words)
@\n\n---\n\nWould you like another? ~ @ 🎬 ~ <p>@</p> ~ <h2>Gamma</h2><div>@<br/></div> ~ &lt;p&gt;@&lt;/p&gt;
```\n@\n``` ~ ```json\n{"description": "@"}\n```
Here you go:\n```\n{"Overview": "@",\n"title": "Gamma"}\n```\nEnjoy! ~ [{"plot": "@"}]
{"movie": {"title": "Gamma", "movie_description": "@"}} ~ ``` @ ~ Thinking, then.</Thought>@
Title: Gamma\n**Year:** 1993\nDescription: @ ~ "description": "@" ~ @\n\n**Mood:** sad. ~ <style>p {}</style>@
Here's what I know:\n\n@ ~ Sure thing! @ ~ {"answer": {"plot": ["@"]}} ~ <description>@</description>"""


def read(text, end="stop"):
    return description_in(text, end, "Gamma", TASK, UNKNOWN)


@pytest.mark.parametrize("around", STOP_WORDS.replace("\n", " ~ ").split(" ~ "))
def test_what_stands_around_a_description_is_taken_off(around):
    assert read(around.replace(r"\n", "\n").replace("@", TEXT)) == (TEXT, "")


INSIDE = {
    "A thief\n and a policeman. ": "A thief and a policeman.",
    "<p>A quiet &amp; sad drama.</p>": "A quiet & sad drama.",
    "A town&#39;s&nbsp;quiet &amp;amp; sad drama.": "A town's quiet & sad drama.",
    "A [quiet](http://x.y) **drama** of\u200b _loss_\x1b.": "A quiet drama of loss .",
    "**A quiet** drama.\n\n- It is sad.\n- It is long.": "A quiet drama. It is sad. It is long.",
}
SOUND = """Unknown to all, a man leads two lives with his wife.
A boy says "I don't know who I am" and leaves the town. ~ After World War I, a soldier comes home.
A detective who cannot find the killer loses his mind. ~ M*A*S*H surgeons keep their humor in the war.
Gamma is a quiet drama. ~ Two women meet at sea. He says "Go."
Great Britain, 1940: a pilot and his crew return. ~ The film follows a boy who does not know his father.
A writer falls in love with an AI assistant.
A man without a name, with no information about his past, wakes up."""


@pytest.mark.parametrize(
    ("given", "kept"), [*INSIDE.items(), *((text, text) for text in SOUND.replace("\n", " ~ ").split(" ~ "))]
)
def test_markup_goes_and_words_stay(given, kept):
    assert read(given) == (kept, "")


REFUSED = """I'm sorry, but I don't have any information about this film. ~ As an AI, I cannot watch films.
I don't know. ~ I am not familiar with it. ~ Unfortunately, this is hard. ~ I can't do that, as it may hurt.
The movie is not known to me. ~ No information is available about this movie.
This film does not exist in my database. ~ Sorry, that film is unknown. ~ Sure! I have no data on it.
It seems I lack details. ~ The requested movie could not be identified. ~ We could not find it.
Could you give me more details about the film? ~ Not enough information to describe the movie.
A quiet drama. Note: the plot was guessed. ~ A drama. Please note that this may be wrong.
As a language model, describing it is impossible.
There is no widely known film by this name. ~ It is unclear which movie is meant.
Unable to describe it, with no data."""
NONE = {
    "not known": ["<think>\nI do not know it.\n</think>\nUNKNOWN", "Answer: UNKNOWN.", "**unknown**", "UNKNOWN movie"],
    "refused": REFUSED.replace("\n", " ~ ").split(" ~ "),
    "empty": ["", " \n", "<think>It never ends", "<think>a</think>", "<|channel|>analysis<|message|>We think"],
    "cut short": [
        "A quiet drama of a town whose",
        "A quiet drama of a town whose...",
        "A quiet drama. It is the",
        "```\nA quiet drama of the",
    ],
    "too short": ["Drama.", "N/A", "null", "No idea."],
    "too long": ["a " * 401 + "town.", "a" * 10**6],
    "the title alone": ["Gamma", "**Gamma (1993)**", "Gamma (1993)."],
    "in another form": ['{"plot": null}', '{"plot": "A quiet dra', '{"title": "Gamma", "year": 1}', "A | b."],
    "the question repeated": [TASK, "{}\n" + TASK[:120]],
    "not in English": [
        "Es tut mir leid, ich kenne diesen Film nicht.",
        "Lo siento, no tengo información.",
        "抱歉，我没有关于这部电影的任何信息，因此无法为您提供剧情描述，请提供更多详情。",
    ],
}


@pytest.mark.parametrize(("reason", "text"), [(reason, text) for reason, texts in NONE.items() for text in texts])
def test_what_is_no_description_is_counted_for_its_reason(reason, text):
    assert read(text) == ("", reason)


def test_how_an_answer_ended_counts():
    for end, reason in {"length": "cut short", "max_tokens": "cut short", "content_filter": "refused"}.items():
        assert read(TEXT, end) == ("", reason)
    for end in ("stop", "", "eos", "end_turn"):
        assert read(TEXT, end) == (TEXT, "")
