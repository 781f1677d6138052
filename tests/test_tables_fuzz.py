"""Whatever stands in a list of movies: one line of refusal, or cells that the file holds."""

import pytest

from recommender.data.errors import DataError
from recommender.data.raw.csv_table import file_rows
from recommender.data.raw.ratings_table import read_table
from recommender.data.raw.sources import open_source

from .raw_sets import write_csv

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies
pytestmark = pytest.mark.dev

LONGER = r" (1995)~Matrix, The~10~007~3.0~-1~nan~\N~Action|Sci-Fi~War~[~1995-11-22~['War', 'Drama']"
PIECES = [*',;|" \t\n\r\0\x85\u2028é', '""', "9" * 30, "1,Heat,War\n", *LONGER.split("~")]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=3).map("".join)
PLAIN = st.sampled_from(["Heat (1995)", "War", "", "Drama, War", "1995", " a "]) | TEXTS
CELLS = PLAIN | PLAIN.map(lambda text: '"' + text.replace('"', '""') + '"')
ROWS = st.tuples(st.integers(0, 9).map(str), st.lists(CELLS, min_size=2, max_size=3)).map(lambda row: [row[0], *row[1]])
HEADERS = ["movieId title genres", "Movie_ID title genre year", " item title genres", "film title genres "]
FILES = {"header": st.sampled_from(HEADERS), "rows": st.lists(ROWS, max_size=3), "separator": st.sampled_from(",;\t")}
FIXTURE = hypothesis.HealthCheck.function_scoped_fixture


@hypothesis.settings(max_examples=200, deadline=None, suppress_health_check=[FIXTURE])
@hypothesis.given(**FILES, end=st.sampled_from(["\n", "\r\n"]))
def test_every_cell_that_is_read_is_in_the_file(tmp_path, header, rows, separator, end):
    content = end.join(map(separator.join, [header.split(" "), *rows]))
    folder, refusal = write_csv(tmp_path, movies=content), ""
    content = content.replace("\r\n", "\n").replace("\r", " ")
    content += content.replace('""', '"')  # a quote in quotes is written twice
    try:
        for _, cells in file_rows(folder / "movies.csv", ("movieId", "title", "genres"), [], ("year",)):
            assert all(cell in content for cell in cells), cells
        for movie_id, (title, genres) in open_source(folder).movies.items():
            name = title.rsplit(" (", 1)[0] if "year" in header else title
            assert name == f"Movie {movie_id}" or name in content
            assert genres == "(no genres listed)" or all(genre in content for genre in genres.split("|"))
    except DataError as error:
        refusal = str(error)
    assert "\n" not in refusal


IDS = ["1", "2", "10", "1.0", "007", "1e5", "1.2E+15", "1,234", "1.000", "ann", "bob", "", "-1", "1.5", "9" * 30]
STARS = ["4", "3.5", "5.0", "4,5", "", "nan", "4-May", "6", "1e0", "4.000"]
DAY = ["2015-03-09", "2015-03-09T00:00:00Z", "1425859200000"]  # one day in three forms
TIMES = ["1400000001", "1400000002", "1400000003", "1400000001.5", *DAY, "20150309", "2015", "", "soon", "1.4E+09"]
WEIRD = st.sampled_from(['"', "\r", "\0", "é", "\x85", "1" * 200_000]) | st.text(max_size=3)
GOOD = st.tuples(*(st.sampled_from(cells[:3]) for cells in (IDS, IDS, STARS, TIMES))).map(list)
ANY = st.tuples(*(st.sampled_from(cells) | WEIRD for cells in (IDS, IDS, STARS, TIMES))).map(list)
SHAPED = (GOOD | ANY).flatmap(lambda row: st.sampled_from([row] * 9 + [[*row, ""], [*row, "4"], row[:-1]]))


def number(text):
    try:
        return float(text.replace(",", "."))
    except ValueError:
        return None


def is_read_from(row, user, movie, rating, time):
    """Whether the cells mean this rating, in the plainest way to read them."""
    *ids, stars, seconds = [cell.strip() for cell in [*row, ""][:4]]
    right_ids = all(found in (cell, number(cell)) for cell, found in zip(ids, (user, movie)))
    right_time = time < 0 or int(number(seconds) or 0) == time or (seconds in DAY and time == 1_425_859_200)
    return right_ids and number(stars) == rating and right_time


@hypothesis.settings(max_examples=200, deadline=None, suppress_health_check=[FIXTURE])
@hypothesis.given(
    rows=st.lists(SHAPED, max_size=5),
    header=st.sampled_from(["userId,movieId,rating,timestamp", "userId,movieId,rating"]),
    separator=st.sampled_from(",;\t"),
    quoted=st.booleans(),
)
def test_every_rating_that_is_read_is_in_the_file(tmp_path, rows, header, separator, quoted):
    columns = header.split(",")
    rows = [row[: len(columns) + (len(row) > 4)] for row in rows]
    lines = [
        columns,
        *([f'"{cell}"' if (quoted and cell != '"') or separator in cell else cell for cell in row] for row in rows),
    ]
    (tmp_path / "r.csv").write_bytes("\n".join(map(separator.join, lines)).encode())
    table, refusal = None, ""
    try:
        table = read_table(tmp_path / "r.csv")
    except DataError as error:
        refusal = str(error)
    assert "\n" not in refusal
    if refusal or '"' in str(rows):  # a quote may well put several cells into one
        return
    data = table.ratings
    users, movies = (table.named(*ids) for ids in (("user", data.user_ids), ("movie", data.movie_ids)))
    fitting = [row for row in rows if not "".join(row[len(columns) :]).strip()]
    for user, movie, rating, time in zip(data.user_rows(), data.movie_rows, data.ratings, data.times):
        found = (users[user], movies[movie], rating, time)
        assert any(is_read_from(row, *found) for row in fitting), found
