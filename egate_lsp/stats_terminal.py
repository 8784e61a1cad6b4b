"""The statistics and the ledger drawn for a terminal."""

from __future__ import annotations

import os
import re
from datetime import datetime
from typing import TYPE_CHECKING

from rich import box
from rich.columns import Columns
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from egate_lsp.figures import SHARES
from egate_lsp.records import OPEN, other_files
from egate_lsp.stats_words import UNKNOWN, bytes_, count, milliseconds, money, percent, seconds

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import RenderableType

    from egate_lsp.figures import Asked, Figures, Shown, Step
    from egate_lsp.records import RequestRecord

_BARS = " ▁▂▃▄▅▆▇█"
MOST_STEPS = 60
# The ledger's columns that are not cut, and their widths.
_FIXED = {"when": 8, ">sent": 8, ">got": 8, ">tokens": 9, ">USD": 9, ">time": 6, "outcome": 12}
NARROW = 100
_CAMEL = re.compile(r"(?=[A-Z])")
_STEPS = re.compile(r"(\D+) (?:[\d.]+(?: [a-z ]+)?, )*([\d.]+)(?: [a-z ]+)? >= ([\d.]+|inf).*")
_OUTCOMES = {"answered": "green", "late": "yellow", "failed": "red", "cancelled": "dim", "open": "cyan"}


def statistics(figures: Figures) -> RenderableType:
    """All of it, from the whole to the parts."""
    total, asked = figures.total, figures.asked
    cards = [
        _card(count(total.shown), "shown"),
        _card(percent(total.rate), f"accepted: {count(total.accepted)}, {count(total.partly)} in part"),
        _card(count(total.chars_taken), "characters not typed"),
        _card(f"{percent(total.kept_30.share)} / {percent(total.kept_300.share)}", "of it kept 30 s / 5 min later"),
        _card(percent(figures.deferred), f"of lines deferred; wanted {percent(figures.wanted)}"),
        _card(money(asked.cost), f"USD for {count(asked.requests)} requests"),
    ]
    return Group(
        Text(f"\n {figures.first} to {figures.last}\n", style="bold"),
        Columns(cards, padding=(0, 1)),
        _by_step(figures.steps, figures.unit),
        _fates("source", figures.by_source),
        _fates("language", figures.by_language),
        _latency(figures),
        _asked("what left for a target", figures.by_model),
    )


def ledger(records: Sequence[RequestRecord], total: Asked, width: int, *, hidden: int = 0) -> RenderableType:
    """The requests, the newest last, and their sums, in a terminal so wide. `hidden` older ones are not among them."""
    # Addresses are long: each has a number, and stands below.
    places: dict[tuple[str, str], RequestRecord] = {}
    for record in records:
        places.setdefault((record.model, record.server), record)
    numbers = {place: str(number) for number, place in enumerate(places, 1)}
    several = len(places) > 1
    heads = [*_FIXED, *(["to"] if several else []), "file", "why"]
    if width < NARROW:
        heads = [head for head in heads if head not in {">got", ">time", ">tokens"}]
    # What is left for those that may be cut.
    rest = max(width - sum(_FIXED.get(head, 2 if head == "to" else 0) + 2 for head in heads), 30)
    room = {"file": min(rest // 3, 34)}
    room["why"] = rest - room["file"]
    table = _table(*heads)
    day = ""
    for record in records:
        if record.day != day:
            day = record.day
            table.add_row(Text(day[5:], style="bold"))
        row = _row(record, room) | {"to": numbers[record.model, record.server]}
        table.add_row(*(row[head] for head in heads))
    parts: list[RenderableType] = [table]
    if hidden:
        parts.insert(0, Text(f" {count(hidden)} older requests are not listed; --limit 0 lists all", style="dim"))
    for place, record in places.items():
        parts.append(Text.assemble(f" to {numbers[place]}: " if several else " all to ", _to(record)))
    parts.append(Text(_sum(total, sum(not record.local for record in records), hidden)))
    return Group(*parts)


def _row(record: RequestRecord, room: Mapping[str, int]) -> dict[str, RenderableType]:
    about = "~" if record.estimated else ""
    under_way = record.outcome == OPEN
    kind = _CAMEL.sub(" ", record.detail.removeprefix("Target")).strip().lower()
    why = "; ".join(_why(reason) for reason in record.reason.split("; ")) if record.reason else UNKNOWN
    return {
        "when": datetime.fromtimestamp(record.started).astimezone().strftime("%H:%M:%S"),
        ">sent": bytes_(record.bytes_out),
        ">got": UNKNOWN if under_way else bytes_(record.bytes_in),
        ">tokens": f"{about}{record.tokens_in}+{record.tokens_out}",
        ">USD": UNKNOWN if record.cost is None else about + money(record.cost),
        ">time": UNKNOWN if under_way else seconds(record.latency_ms),
        "outcome": Text("under way" if under_way else kind or record.outcome, style=_OUTCOMES.get(record.outcome, "")),
        "file": _files(record, room["file"]),
        "why": why if len(why) <= room["why"] else f"{why[: room['why'] - 1]}…",
    }


def _files(record: RequestRecord, room: int) -> str:
    """The document, and how many other files there were parts of."""
    others = len(other_files(record))
    more = f" +{others}" if others else ""
    return _end(_home(record.file), room - len(more)) + more


def _to(record: RequestRecord) -> Text:
    here = " (this machine)" if record.local else ""
    return Text(f"{record.model} at {record.server}{here}", style="dim" if record.local else "bold")


def _why(reason: str) -> str:
    """A score without the steps that led to it."""
    match = _STEPS.fullmatch(reason)
    return f"{match[1]} {match[2]} >= {match[3]}" if match else reason.removeprefix("it adds a ")


def _sum(total: Asked, left: int, hidden: int) -> str:
    spent = f"{money(total.cost)} USD" if total.cost is not None else "no price known"
    where = "" if hidden else f", {count(left)} of them to other machines"
    return (
        f"\n {count(total.requests)} requests{where}: {bytes_(total.bytes_out)} sent, "
        f"{bytes_(total.bytes_in)} received,\n {count(total.tokens_in)} + {count(total.tokens_out)} tokens, {spent}"
        + (f" (~: {count(total.estimated)} estimated)" if total.estimated else "")
    )


def _card(value: str, told: str) -> RenderableType:
    return Panel(Text.assemble((value, "bold"), "\n", (told, "dim")), box=box.ROUNDED, border_style="dim", width=36)


def _table(*heads: str) -> Table:
    """A head that begins with > is of numbers."""
    table = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False, padding=(0, 1, 0, 1))
    for head in heads:
        number = head.startswith(">")
        table.add_column(
            head.lstrip(">"),
            justify="right" if number else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    return table


def _by_step(steps: Sequence[Step], unit: str) -> RenderableType:
    steps = steps[-MOST_STEPS:]
    rows = (
        ("shown", [step.shown.shown for step in steps], "", count),
        ("accepted", [step.shown.accepted + step.shown.partly for step in steps], "green", count),
        ("chars saved", [step.shown.chars_taken for step in steps], "green", count),
        ("deferred", [step.deferred or 0.0 for step in steps], "magenta", percent),
        ("requests", [step.asked.requests for step in steps], "magenta", count),
        ("tokens", [step.asked.tokens_in + step.asked.tokens_out for step in steps], "magenta", count),
        ("USD", [step.asked.cost or 0.0 for step in steps], "yellow", money),
    )
    text = Text("\n")
    first, last = (_moment(steps[at].label) for at in (0, -1))
    width = max(len(steps), len(first) + len(last) + 1)
    text.append(f" {f'by {unit}':<14}{first}{last:>{width - len(first)}}   most\n", style="dim")
    for name, values, style, form in rows:
        most = max(values, default=0.0)
        text.append(f" {name:<14}", style="dim")
        text.append("".join(_bar(value, most) for value in values), style=style)
        text.append(f"{' ' * (width - len(steps))}   {form(most)}\n")
    return text


def _bar(value: float, most: float) -> str:
    return _BARS[max(round(value / most * (len(_BARS) - 1)), 1)] if value > 0 and most > 0 else "·"


def _moment(label: str) -> str:
    """Without the year, and without the day where there is an hour."""
    return label[6:] if ":" in label else label[5:]


def _fates(name: str, rows: Sequence[Shown]) -> RenderableType:
    fates = (">shown", ">accepted", ">in part", ">rate", ">typed", ">refused", ">undone")
    table = _table(name, *fates, ">chars saved", ">30 s", ">5 min")
    for row in rows:
        if row.shown:
            table.add_row(
                row.name,
                count(row.shown),
                count(row.accepted),
                count(row.partly),
                percent(row.rate),
                count(row.typed),
                count(row.refused),
                count(row.undone),
                count(row.chars_taken),
                percent(row.kept_30.share),
                percent(row.kept_300.share),
            )
    return table


def _latency(figures: Figures) -> RenderableType:
    names = [f"p{share * 100:g}" for share in SHARES]
    table = _table("time to reply", *(f">{name}" for name in names))
    for source, values in figures.latency.items():
        table.add_row(source, *(milliseconds(values.get(name)) for name in names))
    return table


def _asked(title: str, rows: Sequence[Asked]) -> RenderableType:
    if not rows:
        return Text(" nothing left for a target\n", style="dim")
    table = _table(title, ">requests", ">failed", ">sent", ">received", ">tokens in", ">out", ">USD")
    for row in rows:
        about = "~" if row.estimated else ""
        table.add_row(
            row.name,
            count(row.requests),
            count(row.failed),
            bytes_(row.bytes_out),
            bytes_(row.bytes_in),
            about + count(row.tokens_in),
            about + count(row.tokens_out),
            money(row.cost),
        )
    return table


def _home(path: str) -> str:
    home = os.path.expanduser("~")
    return "~" + path[len(home) :] if path.startswith(home + os.sep) else path


def _end(path: str, room: int) -> str:
    """Of a path its end, which tells more than its beginning."""
    return path if len(path) <= room else "…" + path[-(room - 1) :]
