"""What /openapi.json promises, put to the test by schemathesis, with a token and without."""

import subprocess
import sys
from pathlib import Path

import pytest

from .serving import program

pytest.importorskip("fastapi")
pytest.importorskip("schemathesis")
pytestmark = pytest.mark.dev


@pytest.mark.parametrize("with_token", [True, False])
def test_the_server_does_what_its_description_says(tmp_path, with_token):
    with program(tmp_path / "s.sqlite", "--rate", "1e6") as (_, url, token):
        command = [Path(sys.executable).with_name("schemathesis"), "run", f"{url}openapi.json", "--checks", "all"]
        command += ["--max-examples", "5", "--seed", "1", "--continue-on-failure", "--suppress-health-check", "all"]
        command += ["-H", f"Authorization: Bearer {token}"] if with_token else []
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=600)
    assert done.returncode == 0, done.stdout[-6000:]
