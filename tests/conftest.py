"""The server on loopback that stands for every service, clients without pauses, and the shipped data opened once."""

from __future__ import annotations

import gc
import inspect
import os
from dataclasses import replace
from typing import Any

import pytest

from recommender import Recommender
from recommender.data.settings import default_folder, read_settings
from recommender.net import web
from recommender.session.policy import PolicySettings
from tests.fake_server import Server

gc.set_threshold(50_000)  # the shipped data are half a million objects: to walk over them often costs seconds


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


@pytest.fixture(scope="session", autouse=True)
def no_pauses():
    """Clients repeat at once; and nothing cuts the power: what a killed process wrote is there without `fsync`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(web, "LONGEST_PAUSE", 0.0)
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def shipped_once():
    """All who open the shipped data by its own policy share what is fitted on it; `replace(..., notes=[])` does not."""
    load, opened = Recommender.load, {}
    policy = read_settings(PolicySettings, default_folder("config") / "recommender_policy.yaml")
    usual = [repr(value) for value in (None, default_folder("processed"), policy, "svd", {})]

    def shared(*given: Any, **named: Any) -> Recommender:
        arguments = inspect.signature(load).bind(*given, **named).arguments
        other = {name: repr(value) for name, value in arguments.items() if repr(value) not in usual}
        backend = other.pop("backend", "'minilm'")
        if other:
            return load(*given, **named)
        if backend not in opened:
            opened[backend] = load(*given, **named)
        again = replace(opened[backend], notes=[])
        again.models = opened[backend].models
        return again

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recommender, "load", staticmethod(shared))
        yield


@pytest.fixture(scope="session")
def shipped(shipped_once):
    """The recommender of the shipped data."""
    return Recommender.load()


@pytest.fixture(scope="module")
def served(shipped, tmp_path_factory):
    """A server of the API: a client with a token for all, its tokens, and the lines of its log."""
    from tests.serving import application, unhurried

    with application(shipped, tmp_path_factory.mktemp("served"), limits=unhurried()) as found:
        yield found


@pytest.fixture
def client(served):
    return served[0]
