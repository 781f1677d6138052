"""The old name of tests/fake_server.py, until all tests use the new one."""

from tests.fake_server import Reply, Server, in_base64, unit, vector  # noqa: F401
