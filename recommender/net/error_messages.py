"""What goes wrong with services, in one line: their refusals in the forms that are in use.

A refusal is told as {"error": {"message": ..., "code": ...}} by OpenAI, vLLM and llama.cpp, {"error": ...} by Ollama,
{"message": ...} or {"detail": [{"msg": ...}]} by servers made with FastAPI, {"status_message": ...} by TMDB, and as a
page for people by whatever stands in between.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import Any, Optional

from ..data.errors import ServiceError
from .key import Key, hide

QUOTA_CODES = {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "access_terminated"}
_PASSING = {408, 429}
_REMEDIES = {
    400: "change the request",
    401: "check the key",
    402: "see to the account's balance",
    403: "check the key and what it is allowed to do",
    404: "check the address, and the model's name where there is one",
    413: "send less at once",
    500: "send less at once",
}
N_SHOWN = 200  # characters of a server's message that are passed on
_MESSAGES = ("error", "message", "detail", "msg", "status_message")


class WebError(ServiceError):
    """A request that failed for good.

    status: of HTTP; 0 where no whole answer came.  detail: the server's own words, cut short, without the key.
    passing: a later attempt might have succeeded (all attempts are used up).
    """

    def __init__(self, message: str, status: int = 0, detail: str = "", passing: bool = False) -> None:
        super().__init__(message)
        self.status, self.detail, self.passing = status, detail, passing
        self.asked_pause: Optional[float] = None
        self.unreached = False


def refusal(
    host: str, status: int, headers: Mapping[str, str], body: bytes, key: Optional[Key], now: float
) -> WebError:
    """Return the error for an answer whose status is not success; `now` in seconds since 1970."""
    words, code = refusal_words(body)
    detail = hide(words, key, N_SHOWN)
    told = f"{host} refused with HTTP {status}" + (f" ({detail})" if detail else "")
    if status == 429 and code:
        return WebError(f"{told}: the quota is used up, add credit or use another key", status, detail)
    # llama.cpp says with a 500 that a text is "too large to process", which it will be next time as well.
    lasting = status == 500 and re.search(r"too (large|long)", words, re.IGNORECASE)
    if (status in _PASSING or status >= 500) and not lasting:
        error = WebError(f"{told}: try again later", status, detail, passing=True)
        error.asked_pause = asked_pause(headers, now)
        return error
    remedy = _REMEDIES.get(status, "change the request")
    if status in (401, 403) and key is None:
        remedy = "put the key into an environment variable and name it with --key-variable"
    elif status in (401, 403) and key is not None and key.variable:
        remedy = f"check the key in {key.variable}"
    return WebError(f"{told}: {remedy}", status, detail)


def asked_pause(headers: Mapping[str, str], now: float) -> Optional[float]:
    """Return the seconds that Retry-After asks to wait, given as a number or as a date; None where it does not."""
    asked = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", asked):
        return float(asked)
    try:
        when = parsedate_to_datetime(asked)
    except (TypeError, ValueError, IndexError):
        return None
    return max(0.0, (when if when.tzinfo else when.replace(tzinfo=timezone.utc)).timestamp() - now)


def refusal_words(body: bytes) -> tuple[str, str]:
    """Return what the server says about its refusal, and its code where that is one of `QUOTA_CODES`.

    >>> refusal_words(b'{"error": {"message": "You exceeded it.", "code": "insufficient_quota"}}')
    ('You exceeded it.', 'insufficient_quota')
    """
    text = body[:100_000].decode("utf-8", "replace")
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        return html_page(text) or text, ""
    code = ""
    for _ in range(4):
        if isinstance(content, list) and content:
            content = content[0]
        if not isinstance(content, dict):
            break
        code = next((str(content[name]) for name in ("code", "type") if str(content.get(name)) in QUOTA_CODES), code)
        content = next((content[name] for name in _MESSAGES if content.get(name)), "")
    return content if isinstance(content, str) else json.dumps(content), code


def html_page(text: str) -> str:
    """Return how to speak of an HTML page, with its title; nothing for any other text."""
    if not re.match(r"\s*(<!doctype html|<html|<head|<body)", text, re.IGNORECASE):
        return ""
    title = re.search(r"<title[^>]*>(.*?)</title>", text, re.IGNORECASE | re.DOTALL)
    return f"an HTML page, {' '.join(title.group(1).split())!r}" if title else "an HTML page"


def innermost(error: BaseException) -> str:
    """Return the words of what began it; requests and urllib3 wrap the cause several times."""
    while True:
        inner = [cause for cause in (getattr(error, "reason", None), *error.args) if isinstance(cause, BaseException)]
        if not inner:
            return (str(error) or type(error).__name__).split(": ", 1)[-1]
        error = inner[0]
