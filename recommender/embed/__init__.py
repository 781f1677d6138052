"""Taste embeddings: any words, any film, any person as a vector."""
