"""Vectors made elsewhere: the .zip of a folder that `python -m model.generate_embeddings` wrote, from a URL."""

from __future__ import annotations

import hashlib
import io
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Callable

from ..data.errors import ArtifactError, DataError
from ..net.web import Client
from .vectors import MOVIES, VectorTable

LARGEST = 2 << 30  # bytes, packed and unpacked


def fetch_vectors(url: str, sha256: str, folder: Path, say: Callable[[str], object] = str) -> VectorTable:
    """Put the .zip at `url` in place as `folder`, which must not exist, and return its movies; all of it or nothing.

    sha256: of the .zip, hexadecimal.  Raises `ServiceError` if the address does not answer, `DataError` for a file
    with another sha256 or which is not a .zip, `ArtifactError` if the vectors in it are not what its manifest says.
    """
    if folder.exists():
        raise ArtifactError(f"{folder} exists: give another --output, or delete it")
    content = Client(url, max_bytes=LARGEST, timeout=3600, say=say).get("")
    found = hashlib.sha256(content).hexdigest()
    if found != sha256.strip().lower():
        raise DataError(f"{url} has the sha256 {found}, not {sha256}: check both with whoever offers it")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetched-", dir=folder.parent) as stage:
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
                    raise DataError(f"{url} unpacks to more than {LARGEST >> 30} GB: these are not embeddings")
                archive.extractall(Path(stage, "all"))  # which keeps every name inside of the folder
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise DataError(f"{url} is not a .zip that can be read ({error}): check what is offered") from None
        inside = [path for path in Path(stage, "all").iterdir() if path.is_dir()]
        whole = Path(stage, "all") if Path(stage, "all", "manifest.json").exists() or not inside else inside[0]
        table = VectorTable.load(whole, MOVIES)
        whole.rename(folder)
    return table
