"""Data: ratings, movies, settings and stored artifacts. Read interactions.py first."""
