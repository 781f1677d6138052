"""Fetch ready-made embeddings, in one piece or not at all, and check them before they are put in place.

    python -m preprocess.download_embeddings my-movies             of config/embedding_downloads.yaml
    python -m preprocess.download_embeddings my-movies --url https://... --sha256 ...      of anywhere

The .zip holds a folder that `python -m model.generate_embeddings` wrote. Its sha256 must be the one given, it may hold
plain files alone, and the vectors must be what their manifest says.
"""

from __future__ import annotations

import difflib
import lzma
import os
import re
import shutil
import stat
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Optional

if not __package__:
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from preprocess import program as common
from preprocess.fetching import Say, fetch
from recommender import cli as command
from recommender.data import artifacts
from recommender.data.errors import ArtifactError, ChoiceError, DataError, SettingsError
from recommender.data.settings import default_folder
from recommender.text.movie_embeddings import MovieEmbeddings

LARGEST = 4 << 30  # bytes, unpacked


class Offer(NamedTuple):
    """Where a file lies, and its sha256 in hexadecimal."""

    urls: tuple[str, ...]
    sha256: str


def read_offers(path: Path) -> dict[str, Offer]:
    """Return what a file like config/embedding_downloads.yaml offers, by name; raises `SettingsError`."""
    import yaml

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except FileNotFoundError:
        raise SettingsError(f"no list of downloads at {path}: give --url and --sha256") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not YAML ({str(error).splitlines()[0]}): repair it") from None
    if not isinstance(content, dict):
        raise SettingsError(f"{path} is not a list of names with sha256 and urls: see the example in the shipped one")
    return {str(name): _offer(entry, f"{path}: {name}") for name, entry in content.items()}


def _offer(entry: object, where: str) -> Offer:
    if not isinstance(entry, dict) or set(entry) != {"sha256", "urls"}:
        raise SettingsError(f"{where}: give sha256 and urls, nothing else")
    urls, sha256 = entry["urls"], entry["sha256"]
    if not isinstance(urls, list) or not urls or not all(isinstance(url, str) for url in urls):
        raise SettingsError(f"{where}: urls {urls!r} is no list of addresses: write one or more below it, each after -")
    return Offer(tuple(urls), _checked_sha256(sha256, where))


def _checked_sha256(value: object, where: str) -> str:
    if not isinstance(value, str) or not re.fullmatch("[0-9a-fA-F]{64}", value.strip()):
        raise SettingsError(f"{where}: sha256 {value!r} is not 64 hexadecimal digits: copy it from who offers the file")
    return value.strip().lower()


def download(offer: Offer, target: Path, pause: float = 1.0, say: Say = print) -> MovieEmbeddings:
    """Fetch, check and unpack to the folder `target`, which must not exist yet; return the vectors.

    Raises `DataError` where no address gives the right file, `ArtifactError` where the file holds something else.
    """
    if os.path.lexists(target):
        raise ArtifactError(f"{target} exists: give another place with --to, or delete it")
    archive = target.with_name(f".{target.name}.zip")  # not the name that a file of the user's may have
    fetch(offer.urls, archive, "sha256", offer.sha256, pause, say)
    stage = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        _unpack(archive, stage)
        found = MovieEmbeddings.load(stage)
        stage.chmod(0o755)  # mkdtemp keeps it to ourselves
        stage.rename(target)
    except BaseException:
        shutil.rmtree(stage, ignore_errors=True)
        raise
    finally:
        archive.unlink()
    return found


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack a .zip of plain files; a single folder around them all is left out."""
    try:
        with zipfile.ZipFile(archive) as file:
            entries = [entry for entry in file.infolist() if not entry.is_dir()]
            if sum(entry.file_size for entry in entries) > LARGEST:
                raise DataError(f"{archive} unpacks to more than {LARGEST >> 30} GB: that is no set of embeddings")
            paths = [PurePosixPath(entry.filename.replace("\\", "/")) for entry in entries]
            around = paths[0].parts[0] if paths and len(paths[0].parts) > 1 else ""
            inside = around and all(path.parts[0] == around for path in paths)
            for entry, path in zip(entries, paths):
                parts = path.parts[1:] if inside else path.parts
                if path.is_absolute() or ".." in parts or ":" in str(path) or stat.S_ISLNK(entry.external_attr >> 16):
                    raise DataError(f"{archive} holds {entry.filename!r}, which is no plain file in it: do not use it")
                place = folder.joinpath(*parts)
                place.parent.mkdir(parents=True, exist_ok=True)
                with file.open(entry) as source, open(place, "wb") as copy:
                    shutil.copyfileobj(source, copy)
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError) as error:
        raise DataError(f"{archive} is no .zip that can be read ({error}): check what is offered") from None


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Fetch one set of embeddings."""
    parser = common.Parser("preprocess.download_embeddings", "Fetch ready-made embeddings and check them.")
    parser.add_argument("name", metavar="NAME", help="of --config, or any with --url")
    parser.add_argument("--url", action="append", default=[], help="an https address of the .zip; may be repeated")
    parser.add_argument("--sha256", metavar="HEX", help="what the file must have; needed with --url")
    parser.add_argument(
        "--config",
        type=Path,
        default=default_folder("config") / "embedding_downloads.yaml",
        metavar="FILE",
        help="default: %(default)s",
    )
    parser.add_argument("--to", type=Path, metavar="DIR", help="default: processed/artifacts/NAME of the shipped data")
    arguments = parser.parse_args(argv)
    if bool(arguments.url) != bool(arguments.sha256):
        raise SettingsError("--url and --sha256 go together: give both, or neither to take NAME from --config")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", arguments.name):
        raise ChoiceError(f"{arguments.name!r} is no name: use letters, digits, '-', '_' and '.'")
    if arguments.url:
        offer = Offer(tuple(arguments.url), _checked_sha256(arguments.sha256, "--sha256"))
    else:
        offers = read_offers(arguments.config)
        if arguments.name not in offers:
            near = difflib.get_close_matches(arguments.name, offers, n=1)
            known = f"did you mean {near[0]}?" if near else f"it lists {', '.join(offers) or 'nothing yet'}"
            raise ChoiceError(f"no {arguments.name!r} in {arguments.config} ({known}): give --url and --sha256")
        offer = offers[arguments.name]
    target = arguments.to or default_folder("processed") / "artifacts" / arguments.name
    artifacts.need_folder(target.parent, "--to")
    found = download(offer, target)
    backend, model, dimension = found.identity
    print(f"{target}: {len(found):,} movies, vectors of {dimension} by {backend} {model}")


def program() -> None:
    """Run `main` as a whole program."""
    command.run(main)


if __name__ == "__main__":
    program()
