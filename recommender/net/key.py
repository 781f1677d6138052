"""A key of a service: where it comes from, where it may be sent, and how it stays out of every text.

`hide` takes out of a text every run of 8 or more characters that the key holds too, and the key itself as written
in an address, because servers like to quote what they were sent, whole or in part.
"""

from __future__ import annotations

import ipaddress
import os
from typing import NamedTuple, Optional
from urllib.parse import quote, quote_plus, urlsplit

from ..data.errors import SettingsError

OPENAI_HOST, OPENAI_VARIABLE = "api.openai.com", "OPENAI_API_KEY"
_SHORTEST_RUN = 8
_STARS = "***"


class Key:
    """A key that does not show itself; `variable` is the environment variable that it was read from."""

    __slots__ = ("value", "variable")

    def __init__(self, value: str, variable: str = "") -> None:
        self.value, self.variable = value.strip(), variable
        name = variable or "the key"
        if not self.value:
            raise SettingsError(f"{name} is empty: set it to the key of the service")
        # requests would refuse these as well, and quote the key in doing so.
        if not self.value.isascii() or not self.value.isprintable() or " " in self.value:
            raise SettingsError(f"{name} holds characters that no key has: copy the key again, alone and in one line")

    def __repr__(self) -> str:
        return f"Key({self.variable or _STARS})"

    def __reduce__(self) -> str:
        raise TypeError("a key is not to be stored")


def key_from_environment(variable: str) -> Optional[Key]:
    """Return the key that the environment variable holds; None where it is not set, or empty."""
    value = os.environ.get(variable, "")
    return Key(value, variable) if value.strip() else None


def key_for(host: str, variable: str = "") -> Optional[Key]:
    """Return the key for a service with OpenAI's interface: that of `variable`, "": OpenAI's at OpenAI, else none.

    Raises `SettingsError` where the variable is not set.
    """
    # A key for OpenAI is not for whoever else is asked.
    variable = variable or (OPENAI_VARIABLE if host == OPENAI_HOST else "")
    if not variable:
        return None
    key = key_from_environment(variable)
    if key is None:
        raise SettingsError(
            f"{variable} is not set: put the key for {host} into it, or give --base-url of a local server"
        )
    return key


def hide(text: str, key: Optional[Key], n_shown: Optional[int] = None) -> str:
    """Return `text` as one line without the key and parts of it, cut to `n_shown` characters.

    >>> hide("Incorrect API key: sk-12345-abcdefgh, or 12345-abcde", Key("sk-12345-abcdefgh"))
    'Incorrect API key: ***, or ***'
    """
    text = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    if n_shown is not None:
        text = text[: 10 * n_shown + 1000]
    if key is not None:
        for form in {key.value, quote(key.value, safe=""), quote_plus(key.value)}:
            if len(form) >= 4:  # shorter ones are no secret, but the names people give to local servers
                text = text.replace(form, _STARS)
        text = _without_runs(text, key.value)
    if n_shown is not None and len(text) > n_shown:
        text = text[:n_shown].rstrip() + "..."
    return text


def _without_runs(text: str, value: str) -> str:
    pieces, start = [], 0
    while start < len(text):
        end = start + _SHORTEST_RUN
        if end <= len(text) and text[start:end] in value:
            while end < len(text) and text[start : end + 1] in value:
                end += 1
            pieces.append(_STARS)
            start = end
        else:
            pieces.append(text[start])
            start += 1
    return "".join(pieces)


class Address(NamedTuple):
    """An http or https address, taken apart."""

    url: str
    scheme: str
    host: str
    port: int

    @property
    def origin(self) -> tuple[str, str, int]:
        """Return what must be equal for a key to be sent."""
        return self.scheme, self.host, self.port

    @property
    def near(self) -> bool:
        """Tell whether the host is this machine or has an address of a private network."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_private
        except ValueError:
            return False

    @property
    def loopback(self) -> bool:
        """Tell whether the host is this machine."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def refuse_clear_key(self, key: Optional[Key]) -> None:
        """Raise `SettingsError` where `key` would travel unencrypted over a network that anyone may share."""
        if key is not None and self.scheme != "https" and not self.near:
            raise SettingsError(f"a key would go to {self.host} unencrypted: give an https address")


def parse_address(url: str) -> Address:
    """Take an address apart; raises `SettingsError` for one that is not http(s), or holds a name and password.

    >>> parse_address("http://localhost:11434/v1").origin
    ('http', 'localhost', 11434)
    """
    problem = ""
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme.lower(), (parts.hostname or "").lower(), parts.port
        if parts.username is not None or parts.password is not None:
            problem = "a name or password does not belong in an address: put the key in an environment variable"
            url = ""
        elif scheme not in ("http", "https") or not host or any(sign.isspace() for sign in url):
            problem = "give one like https://api.openai.com/v1"
    except ValueError:
        problem = "give one like https://api.openai.com/v1"
    if problem:
        raise SettingsError(f"{url[:100]!r} is not an address to use: {problem}")
    return Address(url, scheme, host, port or (443 if scheme == "https" else 80))
