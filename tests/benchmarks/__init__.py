"""Measurements: never run by the tests, each prints its figures."""
