"""Local-first inline completion with an entropy gate."""

__version__ = "0.1.0"
