"""Serve recommendations over HTTP, and a page for the browser.

The first start makes a token and prints the page's address with it, once. Other tokens: --new-token NAME [--user ID].
"""

from __future__ import annotations

import argparse
import errno
import ipaddress
import logging
import os
import re
import shlex
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

if not __package__:  # run as a file: its folder gives way to the clone's
    sys.path[0] += "/.."
if __name__ == "__main__":  # numpy's own threads wait for each other: the SVD takes .2 s on one, 3 s on two busy cores
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from recommender import __version__, cli
from recommender.chat.client import ChatClient
from recommender.chat.rerank import LLMReranker
from recommender.data.errors import ChoiceError, SettingsError, shown
from recommender.facade import Recommender
from recommender.session.profiles import default_profiles_folder

if TYPE_CHECKING:
    from recommender.serve.tokens import Tokens

QUICK = ("popularity", "svd", "embedding")  # in memory within a second, without a stored model

STORE = default_profiles_folder().parent / "serve.sqlite"
LAST_SECONDS = 3  # for requests that are on their way at Ctrl-C


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Serve until Ctrl-C, or make a token; returns the exit code."""
    parser = cli.Parser("model.serve", __doc__.partition("\n\n")[0])
    add = parser.add_argument
    add("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1, this machine)")
    add("--port", type=int, default=8000, metavar="N", help="0: any that is free (default: 8000)")
    parser.add_common("processed", default=None, help="processed folder (default: the shipped data)")
    add("--store", type=Path, default=STORE, metavar="FILE", help=f"people and sessions (default: {STORE})")
    add("--token-file", type=Path, metavar="FILE", help="hashes of tokens (default: tokens.json beside --store)")
    add("--new-token", metavar="NAME", help="make a token, print it, and end")
    add("--user", metavar="ID", help="with --new-token: for this person alone")
    add("--days", type=float, default=0, metavar="N", help="with --new-token: until it ends (default: 0, never)")
    add(
        "--method",
        action="append",
        default=[],
        metavar="NAME",
        help="one more ranking model to have in memory; repeatable",
    )
    add("--cors", action="append", default=[], metavar="ORIGIN", help="pages of this origin may ask too; repeatable")
    parser.add_common("base-url", help="a chat model chooses and explains: address of its server, up to /v1")
    parser.add_common("model", help="name of the chat model there")
    add("--rate", type=float, default=50, metavar="N", help="requests a second of one token (default: 50)")
    add("--log", action="store_true", help="print a line for each request, without anything personal")
    given, began = parser.parse_args(argv), time.perf_counter()
    try:
        import uvicorn

        from recommender.serve.app import create_app
        from recommender.serve.tokens import Tokens
    except (ImportError, TypeError) as error:  # TypeError: of a Python that is too old for what is installed
        raise SettingsError(f"the server needs FastAPI and uvicorn ({error}): pip install 'tastevec[serve]'") from None
    tokens = Tokens(given.token_file or given.store.with_name("tokens.json"))
    if given.new_token is not None:
        print(new_token(given, tokens))
        return 0
    return serve(given, tokens, create_app, uvicorn, began)


def new_token(given: argparse.Namespace, tokens: Tokens) -> str:
    """Return a new token."""
    from recommender.serve.shapes import PERSON

    if not 0 < len(given.new_token) <= 100 or not given.new_token.isprintable():
        raise ChoiceError(f"--new-token {shown(given.new_token)}: give a name of 1 to 100 printable characters")
    if given.user is not None and not re.fullmatch(PERSON, given.user):
        raise ChoiceError(f"--user {shown(given.user)}: give up to 64 letters, digits, '_', '.' and '-'")
    if not 0 <= given.days < 1e5:
        raise ChoiceError(f"--days {given.days}: give days from now, 0 for no end")
    return tokens.make(given.new_token, given.user, given.days)


def serve(given: argparse.Namespace, tokens: Tokens, create_app: Any, uvicorn: Any, began: float) -> int:
    """Warm up, open the port, and answer until Ctrl-C."""
    from recommender.serve.database import Database
    from recommender.serve.gate import Limits, Prompt

    if not tokens.lines() and not is_loopback(given.host):
        raise ChoiceError(f"--host {given.host} can be reached by others: make a token first, with --new-token NAME")
    if not 0 < given.rate < 1e9:
        raise ChoiceError(f"--rate {given.rate}: give requests a second, above 0")
    reranker = LLMReranker(ChatClient.open(given.base_url, given.model or "")) if given.base_url else None
    door = listen(given.host, given.port)
    logging.basicConfig(format="tastevec: %(message)s")
    logging.getLogger("recommender.serve").setLevel(logging.INFO if given.log else logging.WARNING)
    logging.getLogger("uvicorn.error").disabled = True  # the gate tells what goes wrong
    database = Database(given.store)
    print("tastevec: warming up, some seconds ...", flush=True)
    recommender = Recommender.load(given.processed)
    for note in recommender.notes:
        logging.warning(note)
    names = [None, *QUICK, *given.method]
    warm = recommender.warm(names)
    methods = sorted({recommender.models.name_of(name) for name in names})
    app = create_app(recommender, methods, database, tokens, __version__, reranker, Limits(given.rate), given.cors)
    whole = time.perf_counter() - began
    steps = ", ".join(f"{name} {one:.2f}" for name, one in {**warm, "the rest": whole - sum(warm.values())}.items())
    print(f"tastevec: {len(recommender.catalog):,} movies, ready in {whole:.1f} s ({steps})")
    host = f"[{given.host}]" if ":" in given.host else given.host
    address = f"http://{host}:{door.getsockname()[1]}/"
    if tokens.lines():
        files = f" --token-file {shlex.quote(str(tokens.path))}" if given.token_file or given.store != STORE else ""
        print(f"tastevec: {address} (no token at hand? python -m model.serve --new-token NAME{files})", flush=True)
    else:
        print(f"tastevec: {address}#token={tokens.make('first')} (this once: it is stored as a hash)", flush=True)
    quiet = {"log_config": None, "access_log": False, "server_header": False, "date_header": False}
    config = uvicorn.Config(app, http=Prompt, timeout_graceful_shutdown=LAST_SECONDS, **quiet)
    uvicorn.Server(config).run(sockets=[door])
    return 0


def listen(host: str, port: int) -> socket.socket:
    """Return a socket at the address, now, or another start could take it; who asks early waits."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        door = socket.create_server((host, port), family=family, backlog=128)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # who reads nothing of an answer is cut off too
            door.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 20_000)
    except (OSError, OverflowError) as error:
        what = f"cannot listen at {host}, port {port} ({error})"
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            what = f"port {port} of {host} is taken, perhaps by a server that runs already"
        raise ChoiceError(f"{what}: give another --host or --port") from None
    return door


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address; a name that is not localhost counts as reachable."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    cli.run(main)
