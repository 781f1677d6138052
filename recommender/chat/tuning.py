"""Tuning of a chat model at an OpenAI-style service: files go up, a job learns from them, a model comes out.

POST /files             purpose=fine-tune, file           <- {"id": "file-1"}
POST /fine_tuning/jobs  {"model": base, "training_file": "file-1", "validation_file": "file-2", "suffix": s, "seed": n,
                         "method": {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": "auto"}}}}
GET  /fine_tuning/jobs                                    <- {"data": [job, ...]}
GET  /fine_tuning/jobs/ID                                 <- {"id": ID, "status": s, "fine_tuned_model": m or null,
                                                              "error": {"code": c, "message": m}}
Nothing is paid for twice, wherever a process is killed: each step is stored, and before a job is made, repeated times
too, the service is asked for one of these files that did not fail. At worst a file goes up again.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable

from ..data.errors import ServiceError, one_line
from ..data.files import checksum, dump_json, load_json, replace_file
from ..net.key import hide
from ..net.web import Client, WebError

FAILED = ("failed", "cancelled")
SUCCEEDED = "succeeded"
_NOT_LISTED = (404, 405, 501)  # by services that list no jobs
Files = Mapping[str, Path]  # by their fields of the job: training_file, and with held-out people validation_file
_NOT_READY = ("not ready", "still being processed")


def settings(model: str, suffix: str, seed: int) -> dict[str, Any]:
    """Return what creates a job, but for its files."""
    method = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": "auto"}}}
    return {"model": model, "suffix": suffix, "seed": seed % 2**31, "method": method}


def name_of(path: Path) -> str:
    """Return the name of a file at the service."""
    return f"{path.stem}-{checksum(path)[:32]}.jsonl"


def run(
    client: Client, files: Files, job: Mapping[str, Any], state: Path, say: Callable[[str], object], pause: float
) -> str:
    """Upload, create the job, wait for its end, and return the name of the tuned model.

    job: its `settings`.  state: a JSON file, rewritten after each step, from which an earlier run of the same job goes
    on.  pause: seconds between two questions.  Raises `ServiceError` where the job fails, `WebError` where the service
    does.
    """
    names = {field: name_of(path) for field, path in files.items()}
    asked = {"base_url": client.base_url, **job, **names}
    known = load_json(state) if state.is_file() else {}
    known = known if isinstance(known, dict) and known.get("asked") == asked else {"asked": asked}
    if known.get("status") in FAILED:
        known.pop("job")
    for field, path in files.items():
        if field not in known:
            known[field] = _uploaded(client, path, names[field])
            store(known, state)
            say(f"{path.name}: uploaded as {known[field]}")
    if "job" not in known:
        try:
            made = _created(client, {**job, **{field: known[field] for field in names}})
        except WebError as error:
            if error.status in (400, 404):  # maybe the files are gone: the next run looks for them again
                store({"asked": asked}, state)
            raise
        _take(known, made, client)
        store(known, state)
        say(f"job {known['job']} of {known['asked']['model']}")
    while True:
        before = known.get("told")
        refresh(client, known)
        known["told"] = known["status"]
        store(known, state)
        if known["status"] in FAILED:
            raise ServiceError(f"{client.host}: {summary(known)}: correct what it says, then start again")
        if known["status"] == SUCCEEDED:
            return str(known["fine_tuned_model"])
        if known["status"] != before:
            say(f"job {known['job']}: {known['status']}")
        time.sleep(pause)


def refresh(client: Client, known: dict[str, Any]) -> None:
    """Bring `known`, what a state file holds of a job, to what the service says now."""
    _take(known, client.get_json(f"fine_tuning/jobs/{known['job']}"), client)


def job_of(known: Any) -> dict[str, Any]:
    """Return what a state file holds; raises `ValueError` without a job."""
    if not isinstance(known, dict) or not isinstance(known.get("job"), str):
        raise ValueError("it names no job")
    return known


def summary(known: Mapping[str, Any]) -> str:
    """Return one line about a job."""
    line = f"job {known['job']} {known['status']}"
    return line + "".join(f": {known[name]}" for name in ("fine_tuned_model", "error") if known.get(name))


def _uploaded(client: Client, path: Path, name: str) -> str:
    form = {"data": {"purpose": "fine-tune"}, "files": {"file": (name, path.read_bytes(), "application/jsonl")}}
    return _id(client.read_json(client.post("files", None, **form)), client)


def _created(client: Client, body: Mapping[str, Any]) -> Any:
    once = copy.copy(client)
    once.attempts = 1

    def attempt() -> Any:
        for job in _listed_jobs(once):
            same = all(job.get(name) == body.get(name) for name in ("training_file", "validation_file", "seed"))
            # A service may answer with the dated name of the model.
            if same and str(job.get("model")).startswith(body["model"]) and job.get("status") not in FAILED:
                return job
        try:
            return once.read_json(once.post("fine_tuning/jobs", body))
        except WebError as error:
            error.retryable |= error.status == 400 and any(words in error.detail for words in _NOT_READY)
            raise

    return client.retry(attempt)


def _listed_jobs(client: Client) -> list[dict[str, Any]]:
    try:
        answer = client.get_json("fine_tuning/jobs", {"limit": "100"})
    except WebError as error:
        if error.status not in _NOT_LISTED:
            raise
        return []
    jobs = answer.get("data") if isinstance(answer, dict) else None
    return [one for one in jobs if isinstance(one, dict)] if isinstance(jobs, list) else []


def _id(answer: Any, client: Client) -> str:
    if not isinstance(answer, dict) or not isinstance(answer.get("id"), str) or not answer["id"].strip():
        raise client.unexpected(answer, "no id")
    return str(answer["id"])


def _take(known: dict[str, Any], answer: Any, client: Client) -> None:
    """Take over what a service says of a job."""
    known["job"] = _id(answer, client)
    status, model, error = (answer.get(name) for name in ("status", "fine_tuned_model", "error"))
    if not isinstance(status, str) or (status == SUCCEEDED and not isinstance(model, str)):
        raise client.unexpected(answer, "no state of a job")
    known["status"], known["fine_tuned_model"], known["error"] = one_line(status), model, None
    if status in FAILED:
        fields = error if isinstance(error, dict) else {"message": error or "it does not say why"}
        said = [str(fields[name]) for name in ("code", "message") if fields.get(name)]
        known["error"] = hide(": ".join(said) or "it does not say why", client.key)


def store(known: Mapping[str, Any], state: Path) -> None:
    """Write a state file."""
    with replace_file(state) as temporary:
        dump_json(known, temporary)


def requests_of(base_url: str, files: Files, job: Mapping[str, Any]) -> list[str]:
    """Return lines that show all that `run` would send."""
    lines = []
    for path in files.values():
        with open(path, encoding="utf-8") as file:
            first = file.readline().strip()
        size = f"{path.stat().st_size:,} bytes"
        lines += [f"POST {base_url}/files  purpose=fine-tune, {path} as {name_of(path)}, {size}, begins", first]
    ids = {field: f"<id of {path.name}>" for field, path in files.items()}
    return [*lines, f"POST {base_url}/fine_tuning/jobs", json.dumps({**job, **ids}, indent=1)]
