"""The server on loopback that stands for every service, and clients that make no pauses."""

import pytest

from recommender.net import web
from tests.fake_server import Server


@pytest.fixture
def server():
    made = Server()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr(web, "LONGEST_PAUSE", 0.0)
