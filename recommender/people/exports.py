"""Read what people export from Letterboxd, IMDb, Trakt, TMDB, MovieLens and Netflix: one entry for each line.

The kind of file is recognized by its columns. Only in tables of nothing but names does the file name say whether the
movies were watched, liked or are still to be watched. Archives are read as they come and never unpacked; what they hold
beside ratings, views, likes and the watchlist is ignored. Ratings from 1 to 10 are halved.
"""

from __future__ import annotations

import contextlib
import csv
import datetime
import io
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple, Optional

from ..data.catalog import parse_title
from ..data.errors import DataError, shown
from ..data.files import parse_json
from ..data.raw.cells import link_id, whole_number, year_of
from ..data.raw.csv_table import SEPARATORS

SEEN, LIKED, WATCHLIST = "seen", "liked", "watchlist"
MAX_BYTES = 64 << 20  # of a file, and of all in an archive
_SERVICES = "Letterboxd, IMDb, Trakt, TMDB, MovieLens or Netflix"
_IGNORED = {"deleted", "orphaned", "__MACOSX"}  # folders that hold no movies of the person
# field -> its columns in lower case without signs; the first that a table has
_FIELDS = {
    "name": ("name", "title"), "original": ("originaltitle",), "year": ("year", "releasedate"),
    "rating": ("yourrating", "rating10", "rating"), "date": ("watcheddate", "daterated", "starttime", "date"),
    "imdb": ("imdbid", "const"), "tmdb": ("tmdbid",), "movie": ("movieid",), "type": ("titletype", "type"),
    "extra": ("supplementalvideotype",), "person": ("profilename",),
}  # fmt: skip
# service, the columns that mark its table, the highest rating, what its movies without a rating are ("": see the name)
_FORMS = (
    ("Letterboxd", {"name", "year", "letterboxduri"}, 5, ""),
    ("IMDb", {"const", "title", "titletype"}, 10, WATCHLIST),
    ("TMDB", {"tmdbid", "type", "name", "yourrating"}, 10, WATCHLIST),
    ("MovieLens", {"movieid", "imdbid", "title"}, 5, WATCHLIST),
    ("Letterboxd", {"title", "year", "imdbid", "tmdbid", "rating10"}, 10, SEEN),  # what it imports
    ("Letterboxd", {"title", "year", "imdbid", "tmdbid"}, 5, ""),
    ("Netflix", {"title", "starttime", "supplementalvideotype"}, 5, SEEN),
    ("Netflix", {"title", "date"}, 5, SEEN),
)
_NAMED = {"watchlist": WATCHLIST, "watched": SEEN, "diary": SEEN, "likes": LIKED, "films": LIKED}  # tables of names
_TV = re.compile("tv.?(mini.?)?series|tv.?episode|podcast|game|^tv$", re.IGNORECASE)  # not TV movies and specials
_SEASON = (
    "season|series|staffel|saison|temporada|stagione|seizoen|säsong|sæson|sesong|kausi|sezon|part|parte|partie|teil|"
    "volume|book|chapter|collection|limited series|miniserie?s?"
)
_EPISODE = re.compile(
    rf":\s*(?:{_SEASON})\b[^:]*:|(?:^|:)\s*(?:[eé]pisode|epis[oó]dio|folge|aflevering) \d+\s*$", re.IGNORECASE
)
_DATE = re.compile(r"\d{1,2}[./-]\d{1,2}[./-](?:20)?(\d\d)$")  # of any country, so only its year is certain


class Entry(NamedTuple):
    """One line of an export; 0 or "" means unknown.

    names: title and original title.  kind: "seen", "liked" (by a heart) or "watchlist"; the first two are seen.
    rating: 0.5 to 5.  date: of rating or view, ISO, or only its year, to 2105.  imdb, tmdb: digits as in a catalogue.
    tv: no movie; without names where the service says so, with them where a name only looks so.
    """

    names: tuple[str, ...]
    year: int = 0
    kind: str = SEEN
    rating: Optional[float] = None
    date: str = ""
    imdb: str = ""
    tmdb: str = ""
    movie_id: Optional[int] = None
    tv: bool = False

    def __str__(self) -> str:
        year = f" ({self.year})" if self.year else ""
        return "".join(self.names[:1]).removesuffix(year) + year  # MovieLens has it in the name


class _OtherFile(DataError):
    """None of those that are read; ignored in an archive."""

    def __init__(self, label: object, problem: str) -> None:
        super().__init__(f"{label} {problem}: give the .zip, .csv or .json that you exported from {_SERVICES}")


def read_export(path: Path) -> list[Entry]:
    """Return the entries of an export: a .zip as it comes, or one of its files.

    Raises `DataError` for anything else, and for the first line that cannot be right.
    """
    if not path.is_file():
        raise _OtherFile(path, "is no file" if path.exists() else "does not exist")
    if path.stat().st_size > MAX_BYTES:
        raise _OtherFile(path, f"has more than {MAX_BYTES >> 20} MB")
    return entries_of(path.read_bytes(), path)


def entries_of(data: bytes, path: Path) -> list[Entry]:
    """Return the entries of the content of an export; path: its name, for messages, and where tables say no more."""
    if not data.startswith(b"PK"):
        return _read(data, path.name, str(path))
    entries, n_known = list[Entry](), 0
    for name, content in _members(data, path):
        with contextlib.suppress(_OtherFile):
            entries += _read(content, name.name, f"{path}/{name}")
            n_known += 1
    if not n_known:
        raise _OtherFile(path, "holds no export")
    return entries


def _members(data: bytes, path: Path) -> Iterator[tuple[PurePosixPath, bytes]]:
    """Yield name and content of the tables in an archive, at most `MAX_BYTES`, whatever its directory promises."""
    left = MAX_BYTES
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for member in archive.infolist():
                name = PurePosixPath(member.filename.replace("\\", "/"))
                wanted = name.suffix.lower() in (".csv", ".json") and not name.name.startswith("._")
                other_list = "lists" in name.parts and "watchlist" not in name.name
                if wanted and not other_list and _IGNORED.isdisjoint(name.parts):
                    with archive.open(member) as file:
                        content = file.read(left + 1)
                    if (left := left - len(content)) < 0:
                        raise _OtherFile(path, f"unpacks to more than {MAX_BYTES >> 20} MB")
                    if content.strip():
                        yield name, content
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
        raise DataError(f"{path} is damaged ({error}): export it again") from None
    except RuntimeError:
        raise DataError(f"{path} has a password: unpack it and give its files") from None


def _read(data: bytes, name: str, label: str) -> list[Entry]:
    text = decoded(data, label)
    return _read_trakt(text, label) if text.lstrip()[:1] in ("[", "{") else _read_table(text, name, label)


def decoded(data: bytes, label: str) -> str:
    """Return the text of a file: UTF-8, UTF-16 with its mark, or as spreadsheets and older exports write it."""
    text = "\0"
    for encoding in ["utf-16"] if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ["latin-1", "cp1252", "utf-8-sig"]:
        with contextlib.suppress(UnicodeDecodeError):
            text = data.decode(encoding)  # the last that can
    if "\0" in text or not text.strip():
        raise _OtherFile(label, "is no text" if text.strip() else "is empty")
    return text


def table(text: str, label: str) -> tuple[list[str], Iterator[tuple[str, dict[str, str]]]]:
    """Return the header, in lower case without signs, and for each row where it is and its cells by column."""
    lines = io.StringIO(text, newline="")
    first, top = lines.readline(), 1
    if first.lower().lstrip('"').startswith("sep="):  # spreadsheets write it
        first, top = lines.readline(), 2
    separator = max(SEPARATORS, key=first.count)
    try:
        cells = next(csv.reader([first], delimiter=separator), [])
    except csv.Error as error:
        raise DataError(f"{label} line {top}: {error}: give a table with a header") from None
    header = [re.sub(r"[\W_]", "", cell.lower()) for cell in cells]

    def rows() -> Iterator[tuple[str, dict[str, str]]]:
        reader = csv.reader(lines, delimiter=separator, strict=True)
        try:
            for row in reader:
                if any(cell.strip() for cell in row[len(header) :]):
                    raise csv.Error(f"{len(row)} columns, expected {len(header)}")
                yield f"{label} line {top + reader.line_num}", dict(zip(header, map(str.strip, row)))
        except csv.Error as error:
            raise DataError(f"{label} line {top + reader.line_num}: {error}: correct the line or its quotes") from None

    return header, rows()


def _read_table(text: str, name: str, label: str) -> list[Entry]:
    header, rows = table(text, label)
    columns = {*header}
    # of two columns the table must have no others
    form = next((form for form in _FORMS if form[1] <= columns and (len(form[1]) > 2 or form[1] == columns)), None)
    if form is None:
        raise _OtherFile(label, f"begins with {shown(text.strip().splitlines()[0])}")
    service, _, scale, kind = form
    named = (kind for word, kind in _NAMED.items() if word in name.lower())
    kind = kind or next(named, SEEN if "rating" in columns else "")
    if not kind:
        raise DataError(f"{label} could be movies watched or still to watch: name it watched.csv or watchlist.csv")
    places = {field: next((c for c in of_field if c in columns), "") for field, of_field in _FIELDS.items()}
    entries, people = [], set()
    for where, row in rows:
        cells = {field: row.get(column, "") for field, column in places.items()}
        if cells["name"] and not cells["extra"]:  # trailers and the like
            people.add(cells["person"])
            entries.append(_entry(service, cells, scale, kind, where))
    if len(people) > 1:
        raise DataError(f"{label} holds {len(people)} people ({', '.join(sorted(people))}): keep the lines of one")
    return entries


def _entry(service: str, cells: Mapping[str, str], scale: int, kind: str, where: str) -> Entry:
    title = cells["name"]
    is_tv = bool(_TV.search(cells["type"])) or title.startswith(":")  # as Netflix writes episodes without a series
    return Entry(
        () if is_tv else tuple(dict.fromkeys(filter(None, (title, cells["original"])))),
        year_of(cells["year"]) or (parse_title(title).year if service == "MovieLens" else 0),
        SEEN if cells["rating"] else kind,
        _rating(cells["rating"], scale, where) if cells["rating"] else None,
        _date(cells["date"]),
        link_id("imdbId", cells["imdb"]) or "",
        "" if is_tv else link_id("tmdbId", cells["tmdb"]) or "",  # TMDB numbers series apart
        whole_number(cells["movie"]) if service == "MovieLens" else None,
        is_tv or (service == "Netflix" and bool(_EPISODE.search(title))),
    )


def _rating(given: str, scale: int, where: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (value := float(given.replace(",", "."))) <= scale:
            return max(value * 5 / scale, 0.5)  # TMDB has half of ten
    raise DataError(f"{where}: rating {shown(given)}: give a number above 0, up to {scale}")


def _date(text: str) -> str:
    with contextlib.suppress(ValueError):
        day = datetime.date.fromisoformat(text[:10])
        return day.isoformat() if 1970 < day.year < 2106 else ""  # 1970: Trakt's for unknown; 2106: no time stamp
    match = _DATE.match(text)
    return f"20{match[1]}" if match else ""


def _read_trakt(text: str, label: str) -> list[Entry]:
    try:
        items = parse_json(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{label} is damaged ({error}): export it again") from None
    entries = []
    for item in items if isinstance(items, list) else [items]:
        if not isinstance(item, dict) or not {"movie", "show", "episode", "season"} & item.keys():
            raise _OtherFile(label, f"holds {shown(item)}")
        movie: Any = item.get("movie")
        date = next((item[key] for key in ("rated_at", "watched_at", "last_watched_at") if item.get(key)), "")
        rating = item.get("rating")
        if not isinstance(movie, dict):
            entries.append(Entry((), tv=True))
        elif date or rating is not None or "listed_at" in item:  # not what is only owned
            ids: Any = movie["ids"] if isinstance(movie.get("ids"), dict) else {}
            given = {"name": movie.get("title"), "year": movie.get("year"), "date": date}
            given |= {"imdb": ids.get("imdb"), "tmdb": ids.get("tmdb")}
            cells = {field: str(given.get(field) or "") for field in _FIELDS}
            cells["rating"] = "" if rating is None else str(rating)
            entries.append(_entry("Trakt", cells, 10, SEEN if date else WATCHLIST, f"{label}, {cells['name']}"))
    return entries
