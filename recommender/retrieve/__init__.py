"""Nearest-neighbour indexes: build, search, add, save and load behind one interface."""
