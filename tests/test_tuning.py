"""Tuning at a service: what is sent, in which order, and what an interrupted or failed run leaves behind."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from model import finetune_movie_pref
from recommender.data.errors import TastevecError
from recommender.data.files import exclusive
from tests.fake_server import Reply, Server
from tests.fake_tuning import TuningService
from tests.test_movie_pref import folder as processed  # noqa: F401 (a fixture)
from tests.test_movie_pref import run
from tests.tiny import in_child


@pytest.fixture
def service(server: Server) -> TuningService:
    server.service = made = TuningService()
    return made


@pytest.fixture
def folder(processed: Path) -> Path:  # noqa: F811
    run(processed, "collect", "--ratings", processed / "all.csv")
    run(processed, "prepare")
    return processed


def start(folder: Path, server: Server, *more: object) -> None:
    run(folder, "start", "--base-url", server.url, "--model", "tiny", "--pause", 0, *more)


def state(folder: Path) -> dict:
    return json.loads((folder / "out" / "job.json").read_text())


def posts(server: Server) -> list[str]:
    return [request.path.removeprefix("/v1/") for request in server.requests if request.method == "POST"]


def test_files_go_up_a_job_is_made_and_its_model_is_kept(folder, server, service, capsys):
    start(folder, server, "--suffix", "mine", "--seed", 2**31 + 5)
    assert posts(server) == ["files", "files", "fine_tuning/jobs"]
    (job,) = service.jobs.values()
    for field, part in (("training_file", "train"), ("validation_file", "test")):
        assert service.contents[job[field]] == (folder / "out" / f"{part}.jsonl").read_bytes()
    assert (job["suffix"], job["seed"], job["method"]["type"]) == ("mine", 5, "supervised")
    assert state(folder)["fine_tuned_model"] == "ft:tiny-2026-01-01:org:mine:ftjob-1"
    told = capsys.readouterr().out
    assert [told.count(word) for word in ("validating_files", "queued", "running")] == [1, 1, 1]
    assert "ft:tiny-2026-01-01:org:mine:ftjob-1" in told
    start(folder, server, "--suffix", "mine", "--seed", 2**31 + 5)
    assert len(posts(server)) == 3, "a finished plan sends nothing again"
    started = state(folder)
    (folder / "out" / "job.json").write_text(json.dumps({**started, "status": "running", "fine_tuned_model": None}))
    run(folder, "status")
    assert state(folder) == started
    assert "succeeded" in capsys.readouterr().out.splitlines()[-1]


def test_without_held_out_people_no_second_file_is_sent(folder, server, service):
    (folder / "out" / "test.jsonl").unlink()
    start(folder, server)
    assert service.jobs["ftjob-1"]["validation_file"] is None


def test_other_examples_are_another_job(folder, server, service):
    start(folder, server)
    run(folder, "prepare", "--most", 11)
    start(folder, server)
    assert len(service.files) == 4
    assert len(service.jobs) == 2


def test_a_failed_job_is_one_line_and_the_next_start_makes_another(folder, server, service):
    service.states = ("running", "failed")
    with pytest.raises(TastevecError) as caught:
        start(folder, server)
    assert re.search(r"ftjob-1 failed: invalid_training_file: line 3 is no example", str(caught.value))
    assert "\n" not in str(caught.value)
    assert state(folder)["fine_tuned_model"] is None
    service.states = ("succeeded",)
    start(folder, server)
    assert [len(service.files), len(service.jobs)] == [2, 2]
    assert "ftjob-2" in state(folder)["fine_tuned_model"]


def test_files_that_the_service_lost_go_up_again(folder, server, service):
    service.states = ("failed",)
    with pytest.raises(TastevecError, match="failed"):
        start(folder, server)
    service.files.clear()
    service.states = ("succeeded",)
    with pytest.raises(TastevecError, match="does not exist"):
        start(folder, server)
    start(folder, server)
    assert state(folder)["status"] == "succeeded"


@pytest.mark.parametrize("error", [None, "out of memory", {"message": "x" * 9999}, [1], {"code": 7}])
def test_any_form_of_an_error_is_told(folder, server, service, error):
    service.states, service.error = ("cancelled" if error is None else "failed",), error
    with pytest.raises(TastevecError, match=r"ftjob-1 (failed|cancelled)") as caught:
        start(folder, server)
    assert len(str(caught.value)) < 500


# what the requests meet in turn: upload, upload, list of jobs, creation, question ...
LOST = Reply(200, b"{}" * 500, cut=3)
FAULTS = {
    "busy": [Reply(503)] * 3,
    "list cut": [None, None, LOST],
    "upload refused for a while": [None, Reply(429, headers={"Retry-After": "0"})],
    "creation answered by 500": [None] * 3 + [Reply(500)],
    "question cut": [None] * 4 + [LOST, Reply(502)],
    "file not ready": [None] * 3 + [Reply(400, {"error": {"message": "file-1 is still being processed"}})],
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_service_in_trouble_gets_nothing_twice(folder, server, service, fault):
    server.faults += FAULTS[fault]
    start(folder, server)
    assert [len(service.files), len(service.jobs)] == [2, 1]
    assert not server.faults


def test_a_job_that_was_made_though_its_answer_was_lost_is_found(folder, server, service):
    done = []

    def lose(request):
        reply = TuningService.__call__(service, request)
        if (request.method, request.path) == ("POST", "/v1/fine_tuning/jobs") and not done:
            done.append(request.path)
            return Reply(200, b'{"id": "fi', cut=3)
        return reply

    server.service = lose
    start(folder, server)
    assert done
    assert [len(service.files), len(service.jobs)] == [2, 1]


def test_a_service_without_lists_will_do(folder, server, service):
    service.lists = False
    start(folder, server)
    assert [len(service.files), len(service.jobs)] == [2, 1]


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
@pytest.mark.parametrize("n_requests", [1, 2, 4, 5])  # uploads, creation, question
def test_killed_anywhere_it_goes_on(folder, server, service, n_requests):
    def killing(request):
        reply = service(request)
        if len(server.requests) == n_requests:
            os.kill(process, signal.SIGKILL)
            os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)
        return reply

    server.service = killing
    words = ["start", "--output", folder / "out", "--base-url", server.url, "--model", "tiny", "--pause", 0]
    process = in_child(finetune_movie_pref.main, [*map(str, words)])
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == -signal.SIGKILL
    server.service = service
    start(folder, server)
    assert len(service.files) <= 3, "the one on its way goes up again"
    assert len(service.jobs) == 1
    assert state(folder)["status"] == "succeeded"
    assert not list((folder / "out").glob("*.part"))


def test_a_dry_run_shows_what_would_be_sent_and_sends_nothing(folder, server, service, capsys):
    start(folder, server, "--dry-run", "--suffix", "mine")
    told = capsys.readouterr().out
    assert not server.requests
    assert not (folder / "out" / "job.json").exists()
    assert (folder / "out" / "train.jsonl").read_text().splitlines()[0] in told
    assert json.loads(told[told.index("/fine_tuning/jobs\n") + 18 : told.rindex("nothing was sent")]) == {
        "model": "tiny",
        "training_file": "<id of train.jsonl>",
        "validation_file": "<id of test.jsonl>",
        "suffix": "mine",
        "seed": 0,
        "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": "auto"}}},
    }


def test_the_key_goes_to_its_host_and_into_no_file(folder, server, service, monkeypatch, capsys):
    service.key = "sk-a-secret-key"
    monkeypatch.setenv("TUNING_KEY", service.key)
    start(folder, server, "--key-variable", "TUNING_KEY")
    written = b"".join(path.read_bytes() for path in (folder / "out").iterdir())
    assert service.key.encode() not in written
    assert service.key not in capsys.readouterr().out


def test_another_service_is_told_in_one_line(folder, server):
    for answer, said in (
        (Reply(404, {"error": {"message": "no fine-tuning here"}}), "no fine-tuning here"),
        (Reply(403, {"error": {"message": "fine-tuning has ended"}}), "fine-tuning has ended"),
        (Reply(200, []), "no id"), (Reply(200, {"id": 7}), "no id"), (Reply(200, "<html>"), "no JSON"),
    ):  # fmt: skip
        server.service = lambda request, answer=answer: answer
        with pytest.raises(TastevecError, match=said) as caught:
            start(folder, server)
        assert "\n" not in str(caught.value)


def test_bad_input(folder, server, service):
    for words, said in (
        (["status"], "start a job"),
        (["start", "--suffix", "x" * 65], "--suffix"),
        (["start", "--pause", "nan"], "--pause"),
        (["start", "--base-url", "ftp://x"], "not an address"),
    ):
        with pytest.raises(TastevecError, match=said):
            run(folder, *words)
    (folder / "out" / "job.json").write_text("{")
    for step in ("status", "start"):
        with pytest.raises(TastevecError, match=r"job\.json is damaged"):
            run(folder, step, "--base-url", server.url)
    (folder / "out" / "train.jsonl").write_text("{}\n")
    with pytest.raises(TastevecError, match="line 1"):
        start(folder, server)
    assert not server.requests


def test_two_at_once_are_refused(folder, server, service, capsys):
    with exclusive(folder / "out" / ".job.lock", "it"), pytest.raises(TastevecError, match="another process"):
        start(folder, server)
    assert not server.requests
    start(folder, server)
    with exclusive(folder / "out" / ".job.lock", "it"):
        run(folder, "status")
    assert "succeeded" in capsys.readouterr().out.splitlines()[-1]
