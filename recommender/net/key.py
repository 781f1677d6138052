"""Keys and addresses of services: where a key comes from, and how it stays out of every text."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
from dataclasses import dataclass, field
from typing import NamedTuple, Optional
from urllib.parse import quote, urlsplit

from ..data.errors import SettingsError

OPENAI_HOST, OPENAI_VARIABLE = "api.openai.com", "OPENAI_API_KEY"


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
    if "@" in url.partition("//")[2].partition("/")[0]:
        raise SettingsError("an address may hold no name or password: put the key into an environment variable")
    scheme, host, ip = "", None, None
    with contextlib.suppress(ValueError):
        parts = urlsplit(url)
        scheme, host = parts.scheme, parts.hostname if parts.port != 0 else None  # raises for a port above 65535
    if scheme not in ("http", "https") or not host or re.search(r"\s", url):
        raise SettingsError(f"{url[:100]!r} is not an address to use: give one like https://api.openai.com/v1")
    with contextlib.suppress(ValueError):
        ip = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    return Address(scheme, host, bool(ip and ip.is_loopback), bool(ip and ip.is_private))


@dataclass(frozen=True)
class Key:
    """A key that does not show itself; `variable` is the environment variable that it was read from."""

    value: str = field(repr=False)
    variable: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[!-~]+", self.value):  # requests would refuse such a key too, and quote it
            name = self.variable or "the key"
            raise SettingsError(f"{name} holds characters that no key has: copy the key again, alone and in one line")


def key_for(url: str, variable: str = "") -> Optional[Key]:
    """Return the key in the environment variable for a service; "": OPENAI_API_KEY at OpenAI alone, elsewhere None.

    Raises `SettingsError` where the variable is not set.
    """
    host = parse_address(url).host
    variable = variable or (OPENAI_VARIABLE if host == OPENAI_HOST else "")
    value = os.environ.get(variable, "").strip()
    if variable and not value:
        raise SettingsError(f"{variable} is not set: put the key for {host} into it, or give a local --base-url")
    return Key(value, variable) if value else None


def hide(text: str, key: Optional[Key], n_shown: int = 200) -> str:
    """Return `text` in one printable line of about `n_shown` characters; *** for words with 8 characters of the key.

    >>> hide("Incorrect API key: sk-12345-abcdefgh, or 12345-abcde", Key("sk-12345-abcdefgh"))
    'Incorrect API key: *** or ***'
    """
    text = "".join(char if char.isprintable() else " " for char in text[: 20 * n_shown + 1000])
    # Keys of fewer than 4 characters are no secret, but names that people give to local servers.
    forms = {key.value, quote(key.value, safe="")} if key and len(key.value) >= 4 else set()
    parts = {form[i : i + 8] for form in forms for i in range(max(1, len(form) - 7))}
    text = " ".join("***" if any(part in word for part in parts) else word for word in text.split())
    return text if len(text) <= n_shown else text[:n_shown].rstrip() + "..."
