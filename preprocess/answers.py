r"""The description in a language model's answer: cleaned where that is certain, else the reason why there is none.

Sure! Here is a description:\n\n**A quiet drama** about a town.\n\nI hope it helps!    A quiet drama about a town.
I'm sorry, but I don't have information about this film.                               refused
"""

from __future__ import annotations

import html
import json
import re

from recommender.net.openai import without_thoughts

LONGEST = 800  # characters; a longer answer is not a description
_ENDS = {"cut short": r"length|max_.*tokens", "refused": r"refusal|.*(?:filter|safety|recitation|prohibit|sensitive).*"}
_FENCE = re.compile(r"(?s)(?:```|~~~)(?:\w+\n)?(.*?)(?:```|~~~|\Z)")
_KEYS = re.compile(r"(?i)\w*(?:description|overview|plot|summary|synopsis|text|answer|response|content)")
_MARKUP = [
    (r"(?i)</?(?:br|p|div|li|ul|ol|h\d|tr)\b[^<>]*>|(?m:^[ \t]*(?:[-*_=][ \t]*){3,}$)", "\n"),  # blocks and rules
    (r"(?is)<(script|style)\b.*?</\1>|</?[a-z][^<>]*>", ""),
    ("[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f\u200b-\u200d\ufeff]", ""),  # little pictures
    (r"!?\[([^\]]*)\]\([^)]*\)", r"\1"),
]
_EMPHASIS = re.compile(r"(?s)(?<!\w)(\*{1,3}|_{1,3}|~~|`+)(?=\S)(.+?)(?<=\S)\1(?!\w)")
_BULLET = re.compile(r"(?m)^[ \t]*(?:>[ \t]*)*(?:[-*+•][ \t]+|\d{1,2}[.)][ \t]+)")
_PREAMBLE = r"""(?ix)[^\w\n]*(?:
      (?:sure(?:\ thing)?|certainly|of\ course|absolutely|okay|ok|alright|yes)(?:[!.:]+|[\s,–—-]+(?=here|i\b))
    | i(?:['’]d|\ would|\ can|['’]ll|\ will)\b[^.!:\n]*\b(?:help|describe|provide|write)\b[^.!:\n]*[.!:]
    | (?:[\w'’ ]{0,60}\b)?(?:description|overview|plot|summary|synopsis|answer|response|assistant)\b[^.!?:\n]{0,100}:
    | here\b[^\n]{0,200}[.!][ ]*\n | [^\n]{1,200}:[*_"]*[ ]*\n
    | (?:title|movie|film|year|genres?|director|cast)\b[*_]*:[^\n]*\n | \#[^\n]*\n
    | \*\*[^\n]*[^\s.!?…]\*\*[ ]*\n | [^\n]{1,100}[^\s.!?…"”»)*_][ ]*\n\s*\n
    | TITLE\W{0,2}(?:\d{4}\W{0,2})?(?:[*_"”]*\s*[:\n]|\s+[–—-]\s|\W*\Z))[*_]*"""
_CLOSING = re.compile(
    r"(?is)(?:(?<=[.!?…\"”)*_])\s+|\n)[^\w\n]*(?:let me know|i (?:hope|can)|hope (?:this|that)|would you like|do you"
    r"|is there anything|feel free|if you(?:['’]d| would)? (?:like|want|need)|word count|\d+ words"
    r"|(?:user|human|genres?|mood|tone|themes?|keywords|tags|rating)\W{0,2}:).*"
)
# A model speaks of itself, of what it lacks, or of the film as unknown; what people say in quotes is taken out before.
_REFUSED = re.compile(
    r"""(?ix)(?:^|[.!?:;,(–—-]\s*|\b(?:but|that|and|so|as|if|seems|one|movie)\s)(?:I\b(?!\.)|we\ (?:can|could|do)\b)
    | ^\W*(?:sorry|apologies|unfortunately|unable|insufficient|there(?:['’]s|\ is|\ are)\ no)\b
    | \b(?:notes?:|please\ note\b)
    | \bwhich\ (?:movie|film)\b | \b(?:can|could|please)\ (?:you|provide|share|clarify)\b
    | \b(?:language\ model|as\ an\ ai,|knowledge\ cut-?off|training\ data|my\ (?:apologies|knowledge|database))
    | \b(?:no|not|insufficient|limited|lack\ of|unable|impossible|cannot|can['’]t)\b[^.]{0,40}\b(?:information|details
        |data|description|record|provide|describe|write|identify)\b[^.]{0,60}\b(?:available|found|provided|given|exists?
        |description|summary|request|movie|film|title)\b
    | \b(?:movie|film|title)\b[^.]{0,30}\b(?:(?:not|n['’]t)\b[^.]{0,30}\b(?:known|exist|found|famil|recogn|avail|ident)
        |un(?:known|familiar|available|clear)\b)"""
)
_ENGLISH = re.compile(
    r"(?i)^an?\s|\b(?:the|of|and|with|who|his|her|their|its|about|from|when|after|into|by|at|he|she|(?:is|in) an?)\b"
)
_ENDED = re.compile(r"(?<![.…])[.!?][\"'”’»)\]]*\s*\Z")


def description_in(answer: str, end: str, title: str, task: str, unknown: str) -> tuple[str, str]:
    """Return (description, "") or ("", why there is none), for the answer to `task` about the movie called `title`.

    end: why it ended, as `chat` says.  unknown: the word that says that the model does not know the movie.

    >>> description_in("**Plot:** A thief\\n &amp; a <b>policeman</b>. ", "stop", "Heat", "Describe.", "UNKNOWN")
    ('A thief & a policeman.', '')
    """
    text = without_thoughts(answer)
    ended = [reason for reason, ends in _ENDS.items() if re.fullmatch(ends, end.lower())]
    if ended or not 0 < len(text) <= 10 * LONGEST:
        return "", ended[0] if ended else "too long" if text else "empty"
    try:
        text = _in_json(fence[1] if (fence := _FENCE.search(text)) else text)
    except (ValueError, RecursionError):
        return "", "in another form"
    repeated = any(part in text for part in re.split(r"[.:;,] ", task) if len(part) > 10)
    if repeated or re.search(rf"\b{unknown}\b|(?i:\A\W*{unknown}\W*\Z)", text):
        return "", "the question repeated" if repeated else "not known"
    text = html.unescape(html.unescape(text)).replace("\r", "")  # twice, by mistake
    for pattern, kept in _MARKUP:
        text = re.sub(pattern, kept, text)
    preamble, text = re.compile(_PREAMBLE.replace("TITLE", re.escape(title) or r"\Z.")), text.strip()
    while text and (start := preamble.match(text)):
        text = text[start.end() :].strip()
    text = _EMPHASIS.sub(r"\2", _EMPHASIS.sub(r"\2", _CLOSING.sub("", text)))
    items = _BULLET.split(re.sub(r"^[*_#>\s]+", "", text))
    text = " ".join("".join(sign if sign.isprintable() else " " for sign in " ".join(items)).split())
    text = re.sub(r"""^["“'`]([^"“”]*)["”'`]$""", r"\1", text).strip()
    faults = {
        "the title alone": not text,
        "refused": _REFUSED.search(re.sub(r'"[^"]*"|“[^”]*”', "", text)),
        "too short": len(text.split()) < 3 and len(text) < 30,
        "not in English": not _ENGLISH.search(text),
        "too long": len(text) > LONGEST,
        "cut short": not _ENDED.search(text),
        "in another form": re.search(r"[|{}<>]", text) or not all(map(_ENDED.search, filter(str.strip, items))),
    }
    reason = next((reason for reason, found in faults.items() if found), "")
    return "" if reason else text, reason


def _in_json(text: str) -> str:
    """Return the text in an answer of JSON, or `text` where it is none; raises `ValueError` for JSON without one."""
    start = re.search(r'[{\[]\s*["{\[]', text)
    values = [json.JSONDecoder(strict=False).raw_decode(text, start.start())[0] if start else text]
    for value in values:  # grows
        if isinstance(value, str):
            return value
        if isinstance(value, dict):
            value = [part for name, part in value.items() if not isinstance(part, str) or _KEYS.fullmatch(name)]
        values += value if isinstance(value, list) else []
    raise ValueError(text)
