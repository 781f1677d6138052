"""From raw ratings to `processed/`."""
