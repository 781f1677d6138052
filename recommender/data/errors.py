"""Errors that a person can act on.

Every message has three parts in one line: what was wrong, the value that was received, and what to do next.
The programs print it and leave with exit code 2; library callers catch `TastevecError`.
"""

from __future__ import annotations


class TastevecError(Exception):
    """Base of all errors that tastevec raises on purpose."""


class DataError(TastevecError):
    """Raw or processed data cannot be used as it is: a file, a column or a value."""


class SettingsError(TastevecError):
    """A configuration file or a flag holds an unknown key or a value out of range."""


class ArtifactError(TastevecError):
    """A stored artifact is missing, damaged, or belongs to other data."""


class ServiceError(TastevecError):
    """A service on the network can't be reached, refused, or answered something else than was asked."""


class ChoiceError(TastevecError, ValueError):
    """A caller named a movie, an answer or an option that does not exist."""
