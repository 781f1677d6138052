"""Keys and addresses of services: where a key comes from, and how it stays out of every text."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
from typing import NamedTuple, Optional
from urllib.parse import quote, quote_plus, urlsplit

from ..data.errors import SettingsError

OPENAI_HOST, OPENAI_VARIABLE = "api.openai.com", "OPENAI_API_KEY"


class Key:
    """A key that does not show itself; `variable` is the environment variable that it was read from."""

    def __init__(self, value: str, variable: str = "") -> None:
        self.value, self.variable = value.strip(), variable
        # requests would refuse such a key too, and quote it.
        if not re.fullmatch(r"[!-~]+", self.value):
            name = variable or "the key"
            raise SettingsError(f"{name} holds characters that no key has: copy the key again, alone and in one line")

    def __repr__(self) -> str:
        return f"Key({self.variable or '***'})"


def key_for(host: str, variable: str = "") -> Optional[Key]:
    """Return the key in the environment variable for a service; "": OPENAI_API_KEY at OpenAI alone, elsewhere None.

    Raises `SettingsError` where the variable is not set.
    """
    variable = variable or (OPENAI_VARIABLE if host == OPENAI_HOST else "")
    value = os.environ.get(variable, "").strip()
    if variable and not value:
        raise SettingsError(
            f"{variable} is not set: put the key for {host} into it, or give --base-url of a local server"
        )
    return Key(value, variable) if value else None


def hide(text: str, key: Optional[Key], n_shown: int = 200) -> str:
    """Return `text` in one printable line of about `n_shown` characters, without 8 characters in a row of the key.

    >>> hide("Incorrect API key: sk-12345-abcdefgh, or 12345-abcde", Key("sk-12345-abcdefgh"))
    'Incorrect API key: ***, or ***'
    """
    text = "".join(char if char.isprintable() else " " for char in text[: 20 * n_shown + 1000])
    text = " ".join(text.split())
    hidden: set[int] = set()
    for form in {key.value, quote(key.value, safe=""), quote_plus(key.value)} if key else ():
        width = min(8, len(form))
        # Keys of fewer than 4 characters are no secret, but names that people give to local servers.
        for part in {form[i : i + width] for i in range(len(form) - width + 1)} if width >= 4 else ():
            for match in re.finditer(f"(?={re.escape(part)})", text):
                hidden.update(range(match.start(), match.start() + width))
    text = "".join(char if i not in hidden else "***" * (i - 1 not in hidden) for i, char in enumerate(text))
    return text if len(text) <= n_shown else text[:n_shown].rstrip() + "..."


class Address(NamedTuple):
    """An http or https address, taken apart; loopback: of this machine; private: of it or of a private network."""

    scheme: str
    host: str
    loopback: bool
    private: bool


def parse_address(url: str) -> Address:
    """Take an address apart; raises `SettingsError` for one that is not http(s), or holds a name and password.

    >>> parse_address("http://localhost:11434/v1")
    Address(scheme='http', host='localhost', loopback=True, private=True)
    """
    parts = ip = None
    with contextlib.suppress(ValueError):
        split = urlsplit(url)
        parts = split if split.port != 0 else None  # raises for a port above 65535
    if parts and "@" in parts.netloc:
        raise SettingsError("an address may hold no name or password: put the key into an environment variable")
    if not parts or parts.scheme not in ("http", "https") or not parts.hostname or re.search(r"\s", url):
        raise SettingsError(f"{url[:100]!r} is not an address to use: give one like https://api.openai.com/v1")
    with contextlib.suppress(ValueError):
        ip = ipaddress.ip_address("127.0.0.1" if parts.hostname == "localhost" else parts.hostname)
    return Address(parts.scheme, parts.hostname, bool(ip and ip.is_loopback), bool(ip and ip.is_private))
