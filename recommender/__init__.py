"""tastevec: a movie recommender that you can read."""
