"""Measure how good rankings are: metrics, protocols, intervals, reports."""
