"""Sessions: learn from answers and choose the next movie. Read engine.py first."""
