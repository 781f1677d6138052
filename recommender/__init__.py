"""tastevec: a movie recommender that you can read.

>>> from recommender import Recommender
>>> [str(movie) for movie in Recommender.load().search("matrix", n=1)]
['The Matrix (1999)']
"""

from .data.catalog import Movie
from .data.errors import TastevecError
from .facade import Recommender
from .session.engine import Recommendation, Session
from .session.policy import MovieFilter

__all__ = ["Movie", "MovieFilter", "Recommendation", "Recommender", "Session", "TastevecError"]
