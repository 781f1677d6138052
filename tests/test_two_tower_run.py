"""A two-tower training that is killed, stopped, damaged, started twice, or given other threads."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model import train_twotower
from model.two_tower_run import Checkpoint, Progress
from recommender.data.errors import ArtifactError, SettingsError

from .test_train_twotower import ROOT, SMALL, command, contents, environment, make_processed, run


@pytest.fixture(scope="module")
def processed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_processed(tmp_path_factory.mktemp("data") / "processed")


@pytest.mark.parametrize(("stop_at", "how"), [("epoch 3/6", signal.SIGKILL), ("epoch 2/", signal.SIGKILL)])
def test_a_killed_training_goes_on_to_the_same_bytes(
    processed: Path, tmp_path: Path, stop_at: str, how: signal.Signals
) -> None:
    """Killed while it searches (3 of 6), and in the final fit (the second "epoch 2/" that is printed)."""
    flags = ["--processed", processed, *SMALL, "--epochs", 6, "--final"]
    times = 1 if "/6" in stop_at else 2
    whole = run(*flags, "--output", tmp_path / "whole")
    assert whole.returncode == 0, whole.stderr
    output = tmp_path / "killed"
    with subprocess.Popen(
        command(*flags, "--output", output), cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        seen = 0
        for line in program.stdout:
            seen += stop_at in line
            if seen == times:
                program.send_signal(how)
                break
    assert program.returncode == -how
    assert not output.exists() or not list(output.iterdir())
    assert output.with_name("killed.checkpoint").is_dir()
    again = run(*flags, "--output", output)
    assert (again.returncode, again.stderr) == (0, "")
    assert "going on after epoch" in again.stdout
    assert again.stdout.count("loss") < whole.stdout.count("loss")
    assert contents(output) == contents(tmp_path / "whole")
    assert not output.with_name("killed.checkpoint").exists()


def test_ctrl_c_says_how_to_go_on_and_another_setting_is_refused(processed: Path, tmp_path: Path) -> None:
    flags = ["--processed", processed, "--output", tmp_path / "model", *SMALL, "--epochs"]
    with subprocess.Popen(
        command(*flags, 400), cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        for line in program.stdout:
            if "epoch 2/" in line:
                program.send_signal(signal.SIGINT)
                break
        _, errors = program.communicate()
    assert program.returncode == 130
    assert "the same command goes on after epoch" in errors
    assert "Traceback" not in errors
    other = run(*flags, 5)
    assert other.returncode == 2
    assert "unfinished training with epochs 400, now 5: give the same to go on, or --restart" in other.stderr
    anew = run(*flags, 3, "--restart")
    assert (anew.returncode, anew.stderr) == (0, "")
    assert "going on" not in anew.stdout


def test_a_damaged_checkpoint_is_refused(processed: Path, tmp_path: Path) -> None:
    waiting = tmp_path / "model.checkpoint"
    waiting.mkdir()
    (waiting / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"is damaged .*: run again with --restart"):
        train_twotower.main(["--processed", str(processed), "--output", str(tmp_path / "model"), *SMALL])


@pytest.mark.parametrize(
    "damage",
    [
        {"identity": 5},
        {"progress": 5},
        {"progress": {}},
        {"progress": {"losses": [1.0], "quality": [0.1], "best": 2}},
        {"progress": {"losses": [1.0], "quality": [0.1], "best": 0}},
        {"progress": {"losses": [1.0], "quality": [0.1, 0.2], "best": 1}},
        {"progress": {"losses": [None], "quality": [0.1], "best": 1}},
        {"progress": {"losses": "x", "quality": "x", "best": 1}},
        {"progress": {"losses": [1.0], "quality": [0.1], "best": 1, "phase": "rest"}},
        {"progress": {"losses": [1.0], "quality": [0.1], "best": 1, "final_losses": [1.0, 1.0]}},
    ],
)
def test_a_checkpoint_with_a_strange_progress_is_refused(tmp_path: Path, damage: dict[str, object]) -> None:
    kept = Checkpoint(tmp_path / "kept", {"seed": 1})
    kept.write(Progress([1.0], [0.1], 1), {}, {})
    assert kept.read() == (Progress([1.0], [0.1], 1), {}, {})
    manifest = json.loads((tmp_path / "kept" / "manifest.json").read_text(encoding="utf-8"))
    manifest["settings"]["run"].update(damage)
    (tmp_path / "kept" / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"kept is damaged \(no progress\): run again with --restart"):
        kept.read()


def test_a_second_training_of_the_same_output_is_refused(processed: Path, tmp_path: Path) -> None:
    flags = ["--processed", processed, "--output", tmp_path / "model", *SMALL, "--epochs", 400]
    with subprocess.Popen(command(*flags), cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        program.stdout.readline()
        second = run(*flags)
        program.kill()
    assert (second.returncode, second.stdout) == (2, "")
    assert "another process is using the training of" in second.stderr


def test_threads_reach_the_library_although_numpy_is_loaded(processed: Path, tmp_path: Path) -> None:
    """The restarted program has the variables from its first moment: seen in /proc where there is one."""
    probe = (
        "import os, sys, model.train_twotower as t\n"
        "sys.argv[1:] = ['--threads', '3', '--help']\n"
        "seen = []\n"
        "os.execve = lambda path, command, env: seen.append((command, env))\n"
        "t.use_threads(3, None)\n"
        "command, env = seen[0]\n"
        "print(command[1:], {env[name] for name in t.VARIABLES})\n"
        "os.environ.update(env)\n"
        "t.use_threads(3, None)\n"
        "print(len(seen))"
    ).replace("t.VARIABLES", "__import__('model.threads').threads.VARIABLES")
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, env=environment(), capture_output=True, text=True)
    assert done.stdout == "['-m', 'model.train_twotower', '--threads', '3', '--help'] {'3'}\n1\n", done.stderr
    flags = ["--processed", processed, "--output", tmp_path / "model", *SMALL, "--epochs", 2, "--threads", 2]
    assert run(*flags).returncode == 0
    with pytest.raises(SettingsError, match="--threads 2 acts only on the program"):
        train_twotower.main(["--processed", str(processed), "--threads", "2"])


OPENBLAS = "openblas" in str(np.show_config(mode="dicts"))


@pytest.mark.skipif(not Path("/proc/self/status").exists() or not OPENBLAS, reason="counts OpenBLAS's threads in /proc")
@pytest.mark.parametrize("n", [1, 2])
def test_the_running_program_has_as_many_threads(processed: Path, tmp_path: Path, n: int) -> None:
    flags = ["--processed", processed, "--output", tmp_path / "model", *SMALL, "--epochs", 400, "--threads", n]
    with subprocess.Popen(command(*flags), cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        program.stdout.readline()
        status = Path(f"/proc/{program.pid}/status").read_text(encoding="ascii")
        program.kill()
    assert int(status.split("Threads:")[1].split()[0]) == min(n, os.cpu_count() or 1)
