"""Embed free text, movies and users as vectors."""
