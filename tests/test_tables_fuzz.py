"""Whatever stands in a list of movies: one line of refusal, or cells that the file holds."""

import pytest

from recommender.data.errors import DataError
from recommender.data.raw.csv_table import file_rows
from recommender.data.raw.sources import open_source

from .raw_sets import write_csv

hypothesis = pytest.importorskip("hypothesis")
st = hypothesis.strategies
pytestmark = pytest.mark.dev

PIECES = [
    *(
        ",",
        ";",
        "\t",
        "|",
        '"',
        '""',
        "\n",
        "\r",
        " ",
        "\0",
        "\x85",
        "\u2028",
        "é",
        " (1995)",
        "Matrix, The",
        "10",
        "007",
    ),
    *(
        "3.0",
        "9" * 30,
        "-1",
        "nan",
        "\\N",
        "Action|Sci-Fi",
        "['War', 'Drama']",
        "War",
        "[",
        "1,Heat,War\n",
        "1995-11-22",
    ),
]
TEXTS = st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=3).map("".join)
PLAIN = st.sampled_from(["Heat (1995)", "War", "", "Drama, War", "1995", " a "]) | TEXTS
CELLS = PLAIN | PLAIN.map(lambda text: '"' + text.replace('"', '""') + '"')
ROWS = st.tuples(st.integers(0, 9).map(str), st.lists(CELLS, min_size=2, max_size=3)).map(lambda row: [row[0], *row[1]])
HEADERS = st.sampled_from(
    ["movieId title genres", "Movie_ID title genre year", " item title genres", "film title genres "]
)
FILES = {"header": HEADERS, "rows": st.lists(ROWS, max_size=3), "separator": st.sampled_from(",;\t")}
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
