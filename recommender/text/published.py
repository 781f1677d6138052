"""Download published vectors: the .zip of a folder written by `python -m model.generate_embeddings`."""

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
    """Download and unpack the .zip at `url` to `folder`, which must not exist; return its movies.

    sha256: of the .zip, hexadecimal.  Raises `ServiceError` if the download fails, `DataError` for a wrong
    sha256 or a file that is not a .zip, `ArtifactError` if the vectors do not match the manifest.
    """
    if folder.exists():
        raise ArtifactError(f"{folder} exists: give another --output, or delete it")
    content = Client(url, max_bytes=LARGEST, timeout=3600, say=say).get("")
    found = hashlib.sha256(content).hexdigest()
    if found != sha256.strip().lower():
        raise DataError(f"{url} has sha256 {found}, expected {sha256}: check both with the publisher")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetched-", dir=folder.parent) as stage:
        try:
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > LARGEST:
                    raise DataError(f"{url} unpacks to more than {LARGEST >> 30} GB: these are not embeddings")
                archive.extractall(Path(stage, "all"))  # keeps every name inside the folder
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise DataError(f"{url} is not a valid .zip ({error}): check the address") from None
        inside = [path for path in Path(stage, "all").iterdir() if path.is_dir()]
        whole = Path(stage, "all") if Path(stage, "all", "manifest.json").exists() or not inside else inside[0]
        table = VectorTable.load(whole, MOVIES)
        whole.rename(folder)
    return table
