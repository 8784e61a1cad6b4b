"""Measurements: they run the very code that serves."""
