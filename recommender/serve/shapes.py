"""The values of the API: what requests may hold, and what answers look like."""

# ruff: noqa: UP013 (a small shape is one line)
from __future__ import annotations

from typing import Annotated, Any, Literal, Optional, Union

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from typing_extensions import NotRequired, TypedDict  # of typing in Python 3.12, for pydantic

from ..data.errors import one_line
from ..session.state import DISLIKE, LATER, LIKE, NOT_INTERESTED, SEEN, SKIP

MOST_LETTERS = 1000
PERSON = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$"


def _flag(value: object) -> object:
    if not isinstance(value, bool) and value not in ("true", "false"):
        raise ValueError("give true or false")
    return value


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value  # 3.0 is whole in JSON


Whole = BeforeValidator(_whole)
Text = Annotated[str, Field(max_length=MOST_LETTERS), AfterValidator(one_line)]
Person = Annotated[str, Field(pattern=PERSON, description="a user of the data, by number, or one of POST /users")]
Flag = Annotated[bool, BeforeValidator(_flag, json_schema_input_type=bool)]
Limit = Annotated[int, Field(ge=1, le=100)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Year = Annotated[int, Field(ge=1000, le=9999), Whole]
MovieId = Annotated[int, Field(ge=0, lt=2**53), Whole]
Seconds = Annotated[int, Field(ge=0, lt=2**32, description="since 1970"), Whole]
Genres = Annotated[list[Annotated[str, Field(json_schema_extra={"format": "genre"})]], Field(max_length=50)]
Method = Annotated[str, Field(json_schema_extra={"format": "method"})]
Answer = Literal["like", "dislike", "skip", "not interested", "later", "seen"]
assert {LIKE, DISLIKE, SKIP, NOT_INTERESTED, LATER, SEEN} == set(Answer.__args__)  # type: ignore[attr-defined]


class Given(BaseModel):
    """A body; what is not listed is refused."""

    model_config = ConfigDict(strict=True, extra="forbid")


class Filter(Given):
    genres: Genres = []
    exclude_genres: Genres = []
    year_from: Optional[Year] = None
    year_to: Optional[Year] = None


class NewSession(Given):
    favorites: Annotated[list[Union[MovieId, Text]], Field(max_length=100, description="ids or titles")] = []
    words: Annotated[list[Text], Field(max_length=20)] = []
    user_id: Optional[Person] = None
    familiarity: Optional[Share] = None
    filter: Optional[Filter] = None


class Change(Given):
    familiarity: Optional[Share] = None
    filter: Optional[Filter] = None
    add_favorite: Optional[Union[MovieId, Text]] = None
    drop_favorite: Optional[MovieId] = None


class Answered(Given):
    movie_id: MovieId
    answer: Answer


class Told(Given):
    text: Text


class Message(Given):
    message: Text


class NewUser(Given):
    user_id: Person


class Rating(Given):
    movie_id: MovieId
    rating: Annotated[float, Field(ge=0.5, le=5, allow_inf_nan=False)]
    timestamp: Optional[Seconds] = None


class ShortMovie(TypedDict):
    movie_id: int
    title: str
    year: Optional[int]
    genres: list[str]
    tmdb_id: Optional[str]
    imdb_id: Optional[str]


class Movie(ShortMovie):
    """fit: to a description.  similarity, by: to another movie, and by what.  score: of a recommendation."""

    overview: str
    director: str
    cast: list[str]
    language: str
    n_ratings: int
    fit: NotRequired[float]
    similarity: NotRequired[float]
    by: NotRequired[str]
    score: NotRequired[float]


class Film(TypedDict):
    """movie: which it is here, or may be.  answer: what it means in a session, of those that are certain."""

    title: str
    year: Optional[int]
    movie: Optional[ShortMovie]
    answer: NotRequired[str]


Movies = TypedDict("Movies", {"movies": list[Movie], "read_as": NotRequired[str]})
Recommendations = TypedDict("Recommendations", {"user_id": str, "method": str, "recommendations": list[Movie]})
AnsweredMovie = TypedDict("AnsweredMovie", {"movie": ShortMovie, "answer": str})
OwnSession = TypedDict("OwnSession", {"session_id": str, "user_id": Optional[str]})
Sessions = TypedDict("Sessions", {"sessions": list[OwnSession]})
Me = TypedDict("Me", {"user_id": Optional[str]})
Made = TypedDict("Made", {"user_id": str, "token": Annotated[str, Field(description="shown this once")]})
Kept = TypedDict("Kept", {"user_id": str, "n_ratings": int})
Status = TypedDict("Status", {"status": str, "n_movies": int})


class Because(TypedDict):
    kind: str
    text: str
    movie_id: Optional[int]
    title: Optional[str]
    value: float


class Session(TypedDict):
    """movie: on the table, null when none is left.  score: the sum of `because`, both only with why=true."""

    session_id: str
    user_id: Optional[str]
    movie: Optional[Movie]
    score: Optional[float]
    because: list[Because]
    favorites: list[ShortMovie]
    answers: list[AnsweredMovie]
    words: list[str]
    watchlist: list[ShortMovie]
    familiarity: Optional[float]
    filter: dict[str, Any]
    point: Optional[list[float]]


class Explanation(TypedDict):
    movie: Movie
    recommendation_score: float
    explanation: str
    similar_to_your_favorites: list[Movie]
    because: list[Because]


class Import(TypedDict):
    """matched: certain, and stored with apply=true.  guessed: perhaps `movie`, not stored.  applied: how many."""

    matched: list[Film]
    guessed: list[Film]
    missed: list[Film]
    applied: int


class Export(TypedDict):
    user_id: str
    profile: Optional[dict[str, Any]]
    sessions: list[dict[str, Any]]
    chat: Optional[dict[str, Any]]


class Suggestion(TypedDict):
    movie_id: int
    title: str
    year: int
    score: float
    because: str
    about: str


class Turn(TypedDict):
    understood: str
    answer: str
    suggestions: list[Suggestion]
    candidates: list[tuple[int, float]]
    reranker: str
    status: str
    tokens: int
    seconds: float
    note: str
