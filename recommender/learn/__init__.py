"""Models that learn from ratings: each can fit, save, load and score."""
