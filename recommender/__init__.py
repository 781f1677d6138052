"""tastevec: a movie recommender that you can read.

>>> from recommender import Recommender
>>> [str(movie) for movie in Recommender.load().search("matrix", n=1)]
['The Matrix (1999)']
"""

from typing import TYPE_CHECKING, Any

from .data.catalog import Movie
from .data.errors import ArtifactError, ChoiceError, DataError, ServiceError, SettingsError, TastevecError
from .facade import Recommender
from .ranking import Explanation, Fit, Ranked, Similar
from .session.policy import MovieFilter
from .session.session import Recommendation, Session
from .session.state import Reason

if TYPE_CHECKING:
    from .text.generator import TasteEmbeddingConfig as TasteEmbeddingConfig
    from .text.generator import TasteEmbeddingGenerator as TasteEmbeddingGenerator

__version__ = "0.1.0"
__all__ = [
    "ArtifactError", "ChoiceError", "DataError", "Explanation", "Fit", "Movie", "MovieFilter", "Ranked", "Reason",
    "Recommendation", "Recommender", "ServiceError", "Session", "SettingsError", "Similar", "TastevecError",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    """Import what embeds movies and users when it is asked for: most programs need none of it."""
    if name in ("TasteEmbeddingConfig", "TasteEmbeddingGenerator"):
        from .text import generator

        return getattr(generator, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
