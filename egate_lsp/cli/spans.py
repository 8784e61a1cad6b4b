"""Spans of time on the command line: "7d", "12h", a date, "all"."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Any

import click

_UNITS = {"m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 7 * 86_400.0}


class Moment(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions only
    """A moment in seconds since 1970, given as how long ago, or as a date of local time."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        text = str(value).strip().lower()
        if text == "all":
            return 0.0
        if match := re.fullmatch(r"(\d{1,6})([mhdw])", text):
            return time.time() - float(match[1]) * _UNITS[match[2]]
        try:
            return datetime.fromisoformat(text).astimezone().timestamp()
        except (ValueError, OverflowError, OSError):
            self.fail(f"{value!r} is no time: 30m, 12h, 7d, 4w, 2026-11-25, or all.", param, ctx)
