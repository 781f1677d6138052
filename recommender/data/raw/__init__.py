"""Readers of raw data: one reader of tables for everything that a person or a data set brings."""
