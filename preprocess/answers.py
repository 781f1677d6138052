r"""The description in a language model's answer: cleaned where that is certain, else the reason why there is none.

Sure! Here is a description:\n\n**A quiet drama** about a town.\n\nI hope it helps!    A quiet drama about a town.
<think>...</think>```json\n{"description": "A quiet drama."}\n```                      A quiet drama.
I'm sorry, but I don't have information about this film.                               refused
A quiet drama about a harbour town whose                                               cut short
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
    (r"(?i)<h\d\b[^<>]*>", "\n# "),
    (r"(?i)</?(?:br|p|div|li|ul|ol|h\d|tr)\b[^<>]*>", "\n"),
    (r"</?[a-zA-Z][^<>]*>", ""),
    (r"!?\[([^\]]*)\]\([^)]*\)", r"\1"),
    (r"\\([*_`#\[\]()~>-])", r"\1"),
    ("[\U0001f000-\U0001faff\u2600-\u27bf\ufe0f\u200b-\u200d\ufeff]", ""),
    (r"(?m)^[ \t]*(?:[-*_=][ \t]*){3,}$", ""),
]
_EMPHASIS = re.compile(r"(?<!\w)(\*{1,3}|_{1,3}|~~|`+)(?=\S)(.+?)(?<=\S)\1(?!\w)", re.S)
_BULLET = re.compile(r"(?m)^[ \t]*(?:>[ \t]*)*(?:[-*+•][ \t]+|\d{1,2}[.)][ \t]+)")
_PREAMBLE = re.compile(
    r"""(?ix)[^\w\n]*(?:
      (?:sure(?:\ thing)?|certainly|of\ course|absolutely|okay|ok|alright|no\ problem|yes|got\ it|gladly)
        (?:[!.:]+|[\s,–—-]+(?=here|i\b|below))
    | i(?:['’]d|\ would|\ can|['’]ll|\ will)\b[^.!:\n]*\b(?:help|describe|provide|write|happy|glad)\b[^.!:\n]*[.!:]
    | (?:[\w'’ ]{0,60}\b)?(?:description|overview|plot|summary|synopsis|premise|logline|answer|response|assistant)\b
        [^.!?:\n]{0,100}:
    | here\b[^\n]{0,200}[.!][ ]*\n | [^\n]{1,200}:[*_"]*[ ]*\n
    | \#[^\n]*\n | \*\*[^\n]*[^\s.!?…]\*\*[ ]*\n | [^\n]{1,100}[^\s.!?…"”»)*_][ ]*\n\s*\n  # headings
    )[*_]*"""
)
_CLOSING = re.compile(
    r"(?i)(?:(?<=[.!?…\"”)*_])\s+|\n)[^\w\n]*(?:let me know|i hope|hope (?:this|that)|would you like|do you want"
    r"|shall i|is there anything|feel free|if you(?:['’]d| would)? (?:like|want|need|have)|please (?:let me|feel)"
    r"|word count|\d+ words|user:|human:|i can also|i['’]m happy|happy to)(?s:.*)"
)
# A model speaks of itself, of what it lacks, or of the film as unknown; what people say in quotes is taken out before.
_REFUSED = re.compile(
    r"""(?ix)
      (?:^|[.!?:;,(–—-]\s*|\b(?:but|that|and|which|so|as|if|seems|one|movie|film)\s)(?:I\b(?!\.)|we\ (?:can|could|do)\b)
    | ^\W*(?:sorry|apologies|unfortunately|regrettably)\b | \bnotes?:
    | \b(?:language\ model|as\ an\ ai,|knowledge\ cut-?off|training\ data|my\ (?:apologies|knowledge|database))
    | \b(?:no|not\ enough|insufficient|limited|lack\ of)\b[^.]{0,40}\b(?:information|details|data|description|record)\b
        [^.]{0,60}\b(?:available|found|provided|given|exists?|to\ (?:describe|provide|write)|movie|film|title)\b
    | \b(?:un(?:able|known)|impossible|can(?:no|['’])t|not|n['’]t)\b[^.]{0,40}\b(?:provide|describe|write|identify)
        \b[^.]{0,40}\b(?:description|summary|synopsis|request|movie|film|title)\b
    | \b(?:movie|film|title)\b[^.]{0,30}\b(?:(?:not|n['’]t)\b[^.]{0,30}\b(?:known|exist|found|famil|recogn|avail|ident)
        |un(?:known|familiar|available)\b) | \b(?:can|could|please)\ (?:you|provide|share|clarify)\b"""
)
_ENGLISH = re.compile(
    r"(?i)^an?\s|\b(?:the|of|and|with|who|whose|his|her|their|its|about|from|when|after|into|by|at|he|she|they|this|that)\b"
    r"|\b(?:is|are|in|on|to|as|for) an?\b"
)
_ENDED = re.compile(r"[.!?…][\"'”’»)\]]*\s*\Z")


def description_in(answer: str, end: str, title: str, task: str, unknown: str) -> tuple[str, str]:
    """Return (description, "") or ("", why there is none), for the answer to `task` about the movie called `title`.

    end: why it ended, as `chat` says.  unknown: the word that says that the model does not know the movie.

    >>> description_in("**Plot:** A thief\\n &amp; a <b>policeman</b>. ", "stop", "Heat", "Describe.", "UNKNOWN")
    ('A thief & a policeman.', '')
    """
    text = without_thoughts(answer)
    ended = [reason for reason, ends in _ENDS.items() if re.fullmatch(ends, end.lower())]
    if ended or not 0 < len(text) <= 20 * LONGEST:
        return "", ended[0] if ended else "too long" if text else "empty"
    fenced = _FENCE.search(text)
    try:
        text = html.unescape(_in_json(fenced[1] if fenced else text)).replace("\r", "")
    except (ValueError, RecursionError):
        return "", "in another form"
    if any(part in text for part in re.split(r"[.:;,] ", task) if len(part) > 10):
        return "", "the question repeated"
    if re.search(rf"\b{unknown}\b", text) or re.fullmatch(rf"\W*{unknown}\W*", text, re.IGNORECASE):
        return "", "not known"
    for pattern, kept in _MARKUP:
        text = re.sub(pattern, kept, text)
    heading = re.compile(
        rf"(?i)[^\w\n]*{re.escape(title)}\W{{0,2}}(?:\d{{4}}\W{{0,2}})?(?:[*_\"”]*\s*[:\n]|\s+[–—-]\s|\W*\Z)"
    )
    text = text.strip()
    while text and (start := _PREAMBLE.match(text) or (title and heading.match(text))):
        text = text[start.end() :].strip()
    text = _EMPHASIS.sub(r"\2", _EMPHASIS.sub(r"\2", _CLOSING.sub("", text)))
    items = _BULLET.sub("\0", re.sub(r"^[*_#>\s]+", "", text)).split("\0")
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
    return ("", reason) if reason else (text, "")


def _in_json(text: str) -> str:
    """Return the text in an answer of JSON, or `text` where it is none; raises `ValueError` for JSON without one."""
    start = re.search(r'[{\[]\s*["{\[]', text)
    if not start:
        return text
    values = [json.JSONDecoder(strict=False).raw_decode(text, start.start())[0]]
    for value in values:  # grows
        if isinstance(value, str):
            return value
        if isinstance(value, dict):
            value = [part for name, part in value.items() if not isinstance(part, str) or _KEYS.fullmatch(name)]
        values += value if isinstance(value, list) else []
    raise ValueError(text)
