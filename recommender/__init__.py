"""tastevec: a movie recommender that you can read.

>>> from recommender import Recommender
>>> [str(movie) for movie in Recommender.load().search("matrix", n=1)]
['The Matrix (1999)']
"""

from .catalog import Movie
from .errors import TastevecError
from .facade import Recommender
from .policy import MovieFilter
from .session import Recommendation, Session

__all__ = ["Movie", "MovieFilter", "Recommendation", "Recommender", "Session", "TastevecError"]
