"""The ledger's SQLite file: its tables, what is written, read and deleted. Blocking; `ledger` gives it a thread.

Several servers share one file: WAL, a busy timeout, and one transaction for each group of writes. Whoever finds the
file corrupt sets it aside and begins a new one; the others see that the file at the path is another one and follow.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import filelock
import platformdirs

from egate_lsp.errors import LedgerUnavailable
from egate_lsp.records import OPEN, RequestRecord, SuggestionRecord, day_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

T = TypeVar("T")
APPLICATION_ID = 0x65676174  # "egat"
SCHEMA = 2
BUSY_S = 2.0
IN_FLIGHT_S = 600.0  # an open record older than any time-out of a request is of a server that was killed
DAY_S = 86_400.0
MIB = 1_048_576

Record = RequestRecord | SuggestionRecord
_COLUMNS = {kind: tuple(field.name for field in dataclasses.fields(kind)) for kind in (RequestRecord, SuggestionRecord)}
_TABLES = {RequestRecord: "requests", SuggestionRecord: "suggestions"}
# What changes of a suggestion after it was shown.
AMENDED = ("outcome", "chars", "chars_taken", "kept_30", "kept_300")
_AMENDMENT = ", ".join(f"{name} = ?" for name in AMENDED)
_TYPES = {"int": "INTEGER", "bool": "INTEGER", "float": "REAL", "str": "TEXT"}


def default_path() -> Path:
    """In the user's state directory."""
    return Path(platformdirs.user_state_dir("egate-lsp", appauthor=False)) / "ledger.db"


@dataclass(frozen=True, slots=True)
class Caps:
    """What may be spent and asked; None: no cap. Money in USD."""

    per_day: float | None = None
    per_month: float | None = None
    requests_per_minute: int | None = None
    in_flight: int | None = None

    @property
    def money(self) -> bool:
        """Is there a cap in money?"""
        return self.per_day is not None or self.per_month is not None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums of one local day and of its month.

    Attributes:
        cost, cost_month: in USD, open requests with the most that they can cost.
        priced: requests of the day of which the cost is known.
        estimated: some of the day's figures are.
    """

    day: str
    requests: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    cost_month: float = 0.0
    priced: int = 0
    estimated: bool = False
    lines: int = 0
    lines_target: int = 0


class LedgerFile:
    """One connection, to be used by one thread.

    Every method but `close` raises LedgerUnavailable if the file cannot be used now.
    """

    def __init__(self, path: Path | None, *, clock: Callable[[], float] = time.time, busy_s: float = BUSY_S) -> None:
        """`path` None: in memory."""
        self._path = path
        self._clock = clock
        self._busy_s = busy_s
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None
        self.set_aside: Path | None = None

    # ── writing ─────────────────────────────────────────────────────────────────────────────────────────────

    def write(self, records: Iterable[Record], amended: Iterable[SuggestionRecord] = ()) -> None:
        """All or none of them. A record with a known id replaces the former; an amended one changes the former where
        that is still there."""
        added, changed = list(records), list(amended)

        def write(db: sqlite3.Connection) -> None:
            _write(db, added)
            for record in changed:
                values = [getattr(record, name) for name in AMENDED]
                db.execute(f"UPDATE suggestions SET {_AMENDMENT} WHERE id = ?", [*values, record.id])

        self._do(write)

    def reserve(self, record: RequestRecord, caps: Caps) -> str:
        """Write an open request if the caps allow it, or say which does not: "" or a key of [budget].

        `record.cost` is the most it can cost. Whatever other servers do, the sums of the day and the month stay within
        the caps if no request costs more than that.
        """

        def reserve(db: sqlite3.Connection) -> str:
            if (hit := _hit(db, record, caps)) == "":
                _write(db, [record])
            return hit

        return self._do(reserve)

    def forget(self, record: RequestRecord) -> None:
        """Take back a request that was not sent after all."""
        self._do(lambda db: db.execute("DELETE FROM requests WHERE id = ? AND outcome = 'open'", (record.id,)))

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────

    def totals(self, moment: float) -> Totals:
        """Of the local day and month of the moment."""
        return self._do(lambda db: _totals(db, day_of(moment)))

    def requests(self, since: float = 0.0, before: float | None = None) -> list[RequestRecord]:
        """By time."""
        rows = self._do(lambda db: _select(db, RequestRecord, "started", since, before))
        return [RequestRecord(**_cast(row, ("local", "estimated"))) for row in rows]

    def suggestions(self, since: float = 0.0, before: float | None = None) -> list[SuggestionRecord]:
        """By time."""
        rows = self._do(lambda db: _select(db, SuggestionRecord, "shown_at", since, before))
        return [SuggestionRecord(**_cast(row, ("shown",))) for row in rows]

    # ── deleting ────────────────────────────────────────────────────────────────────────────────────────────

    def purge(self, before: float | None = None) -> int:
        """Delete all records, or those from before a moment; how many. Deleted content is overwritten in the file.

        What was spent is kept as one sum for each day of the current month, without anything else, so that no purge
        widens a cap.
        """
        deleted = self._do(lambda db: _delete(db, before, self._clock()))
        self._do(_compact, transaction=False)
        return deleted

    def rotate(self, keep_days: int, max_bytes: int) -> int:
        """Delete what is too old, then the oldest until the file is small enough; how many."""
        now = self._clock()
        deleted = self._do(lambda db: _delete(db, now - keep_days * DAY_S, now))
        while self._do(_size, transaction=False) > max_bytes:
            cut = self._do(_first_tenth, transaction=False)
            fewer = self._do(lambda db, cut=cut: _delete(db, cut, now))  # type: ignore[misc]
            self._do(_compact, transaction=False)
            if not fewer:
                break
            deleted += fewer
        if deleted:
            self._do(_compact, transaction=False)
        return deleted

    # ── the file ────────────────────────────────────────────────────────────────────────────────────────────

    def close(self) -> None:
        """Idempotent."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _do(self, work: Callable[[sqlite3.Connection], T], *, transaction: bool = True) -> T:
        """Run it on the open file; once more on a new one where the file turns out to be corrupt or another's."""
        for attempt in (1, 2):
            try:
                db = self._opened()
                if not transaction:
                    return work(db)
                db.execute("BEGIN IMMEDIATE")
                try:
                    result = work(db)
                    db.execute("COMMIT")
                except BaseException:
                    with contextlib.suppress(sqlite3.Error):
                        db.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                if attempt == 2 or not _is_corrupt(error):
                    raise LedgerUnavailable(self._said(error), hint=_hint(error)) from None
                self._replace()
            except OSError as error:
                raise self._unreachable(error) from None
            else:
                return result
        raise AssertionError("unreachable")

    def _unreachable(self, error: OSError) -> LedgerUnavailable:
        return LedgerUnavailable(f"The ledger {self._path} cannot be opened: {error.strerror or error}.")

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None and self._is_ours():
            return self._connection
        self.close()
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # It tells which files were worked on: for the user's eyes alone. SQLite gives its side files the same mode.
            os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
            self._identity = _identity(self._path)
        name = ":memory:" if self._path is None else str(self._path)
        connection = sqlite3.connect(name, timeout=self._busy_s, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _is_ours(self) -> bool:
        """Is the file at the path still the one that is open? Another server, or the user, may have moved it away."""
        return self._path is None or _identity(self._path) == self._identity

    def _replace(self) -> None:
        """Set a corrupt file aside, unless another server has done so, and begin a new one with what was spent this
        month, as far as that can still be read."""
        spent = _salvaged(self._connection, day_of(self._clock())[:7])
        self.close()
        if self._path is None:
            return
        try:
            with filelock.FileLock(f"{self._path}.lock", timeout=self._busy_s):
                if not self._is_ours():
                    return
                moment = time.strftime("%Y%m%d-%H%M%S", time.localtime(self._clock()))
                aside = self._path.with_name(f"{self._path.stem}-corrupt-{moment}-{os.getpid()}.db")
                self._path.replace(aside)
                for suffix in ("-wal", "-shm"):
                    with contextlib.suppress(OSError):
                        Path(f"{self._path}{suffix}").replace(f"{aside}{suffix}")
                self.set_aside = aside
        except OSError as error:
            raise self._unreachable(error) from None
        if spent:
            with contextlib.suppress(LedgerUnavailable):
                self._do(lambda db: db.executemany("INSERT INTO spent (day, cost) VALUES (?, ?)", spent))

    def _said(self, error: sqlite3.Error) -> str:
        return f"The ledger {self._path or 'in memory'} cannot be used: {error}."


def _salvaged(db: sqlite3.Connection | None, month: str) -> list[tuple[str, float]]:
    """What was spent on each day of the month, from a corrupt file; empty if it cannot be told."""
    if db is None:
        return []
    query = (
        "SELECT day, sum(cost) FROM (SELECT day, cost FROM requests UNION ALL SELECT day, cost FROM spent) "
        "WHERE day GLOB ? AND cost > 0 GROUP BY day"
    )
    try:
        return [(str(row[0]), float(row[1])) for row in db.execute(query, (f"{month}-*",))]
    except (sqlite3.Error, TypeError, ValueError):
        return []


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _is_corrupt(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def _hint(error: sqlite3.Error) -> str:
    name = getattr(error, "sqlite_errorname", "")
    if name.startswith("SQLITE_FULL"):
        return "Make room on the disk."
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return "Does another program hold the file open?"
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return "May you write to this folder?"
    return ""


def _prepare(db: sqlite3.Connection) -> None:
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA secure_delete = ON")
    db.execute("PRAGMA auto_vacuum = INCREMENTAL")  # has an effect before the first table only
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    if _number(db, "PRAGMA user_version") == SCHEMA:
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        version = _number(db, "PRAGMA user_version")
        if version > SCHEMA:
            raise LedgerUnavailable(
                f"The ledger was written by a newer egate-lsp (format {version}, this one knows {SCHEMA}).",
                hint="Update egate-lsp here, or move the file away.",
            )
        if version == 0:
            _create(db)
        elif version == 1:
            db.execute("ALTER TABLE requests ADD COLUMN others TEXT NOT NULL DEFAULT ''")
            db.execute(f"PRAGMA user_version = {SCHEMA}")
        db.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            db.execute("ROLLBACK")
        raise


def _create(db: sqlite3.Connection) -> None:
    for kind, table in _TABLES.items():
        columns = ", ".join(_column(field) for field in dataclasses.fields(kind))
        db.execute(f"CREATE TABLE {table} ({columns})")
        db.execute(f"CREATE INDEX {table}_by_day ON {table} (day)")
    db.execute("CREATE INDEX requests_by_time ON requests (started)")
    db.execute("CREATE INDEX suggestions_by_time ON suggestions (shown_at)")
    # What purged requests had cost, by day, so that a purge does not widen a cap.
    db.execute("CREATE TABLE spent (day TEXT PRIMARY KEY, cost REAL NOT NULL)")
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {SCHEMA}")


def _column(field: dataclasses.Field[Any]) -> str:
    kind, _, optional = str(field.type).partition(" | ")
    key = " PRIMARY KEY" if field.name == "id" else "" if optional else " NOT NULL"
    return f"{field.name} {_TYPES[kind]}{key}"


def _write(db: sqlite3.Connection, records: Sequence[Record]) -> None:
    for record in records:
        columns = _COLUMNS[type(record)]
        holes = ", ".join("?" * len(columns))
        values = [_storable(getattr(record, name)) for name in columns]
        db.execute(f"INSERT OR REPLACE INTO {_TABLES[type(record)]} ({', '.join(columns)}) VALUES ({holes})", values)


def _storable(value: Any) -> Any:
    """A path may hold what is no Unicode."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _hit(db: sqlite3.Connection, record: RequestRecord, caps: Caps) -> str:
    """The cap that the request would break; "" if none."""
    cost = record.cost or 0.0
    if caps.per_day is not None and cost and _spent(db, record.day) + cost > caps.per_day:
        return "per_day"
    if caps.per_month is not None and cost and _spent(db, f"{record.day[:7]}-*") + cost > caps.per_month:
        return "per_month"
    now = record.started
    if caps.requests_per_minute is not None:
        # Also what a clock that was set back since has dated later.
        recent = _number(db, "SELECT count(*) FROM requests WHERE started > ? AND started < ?", now - 60.0, now + 60.0)
        if recent >= caps.requests_per_minute:
            return "requests_per_minute"
    if caps.in_flight is not None:
        under_way = _number(
            db,
            "SELECT count(*) FROM requests WHERE outcome = ? AND started > ? AND started < ?",
            OPEN,
            now - IN_FLIGHT_S,
            now + IN_FLIGHT_S,
        )
        if under_way >= caps.in_flight:
            return "in_flight"
    return ""


def _spent(db: sqlite3.Connection, days: str) -> float:
    """By a day, or by a pattern of days."""
    tables = ("requests", "spent")
    sums = [db.execute(f"SELECT total(cost) FROM {table} WHERE day GLOB ?", (days,)).fetchone() for table in tables]
    return float(sums[0][0] + sums[1][0])


def _totals(db: sqlite3.Connection, day: str) -> Totals:
    asked = db.execute(
        "SELECT count(*), total(tokens_in), total(tokens_out), count(cost), total(estimated) "
        "FROM requests WHERE day = ?",
        (day,),
    ).fetchone()
    shown = db.execute("SELECT total(lines), total(lines_target) FROM suggestions WHERE day = ?", (day,)).fetchone()
    return Totals(
        day,
        requests=asked[0],
        tokens_in=int(asked[1]),
        tokens_out=int(asked[2]),
        cost=_spent(db, day),
        cost_month=_spent(db, f"{day[:7]}-*"),
        priced=asked[3],
        estimated=asked[4] > 0,
        lines=int(shown[0]),
        lines_target=int(shown[1]),
    )


def _select(
    db: sqlite3.Connection, kind: type[Record], column: str, since: float, before: float | None
) -> list[sqlite3.Row]:
    names = ", ".join(_COLUMNS[kind])
    query = f"SELECT {names} FROM {_TABLES[kind]} WHERE {column} >= ?"
    limits = [since]
    if before is not None:
        query += f" AND {column} < ?"
        limits.append(before)
    return db.execute(f"{query} ORDER BY {column}", limits).fetchall()


def _cast(row: sqlite3.Row, booleans: Sequence[str]) -> dict[str, Any]:
    return {**dict(row), **{name: bool(row[name]) for name in booleans}}


def _delete(db: sqlite3.Connection, before: float | None, now: float) -> int:
    month = day_of(now)[:7]
    limit = before if before is not None else float("inf")
    db.execute("DELETE FROM spent WHERE day NOT GLOB ? AND day < ?", (f"{month}-*", month))
    # A request under way will be written once more, with its end.
    under_way = now - IN_FLIGHT_S
    db.execute(
        "INSERT INTO spent (day, cost) SELECT day, total(cost) FROM requests "
        "WHERE day GLOB ? AND started < ? AND cost > 0 AND NOT (outcome = ? AND started > ?) GROUP BY day "
        "ON CONFLICT (day) DO UPDATE SET cost = cost + excluded.cost",
        (f"{month}-*", limit, OPEN, under_way),
    )
    gone = db.execute(
        "DELETE FROM requests WHERE started < ? AND NOT (outcome = ? AND started > ?)", (limit, OPEN, under_way)
    ).rowcount
    return int(gone + db.execute("DELETE FROM suggestions WHERE shown_at < ?", (limit,)).rowcount)


def _compact(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA incremental_vacuum").fetchall()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _size(db: sqlite3.Connection) -> int:
    return (_number(db, "PRAGMA page_count") - _number(db, "PRAGMA freelist_count")) * _number(db, "PRAGMA page_size")


def _first_tenth(db: sqlite3.Connection) -> float:
    """The moment before which a tenth of all records were made."""
    moments = "SELECT started AS moment FROM requests UNION ALL SELECT shown_at FROM suggestions"
    count = _number(db, f"SELECT count(*) FROM ({moments})")
    row = db.execute(
        f"SELECT moment FROM ({moments}) ORDER BY moment LIMIT 1 OFFSET ?", (min(count // 10 + 1, max(count - 1, 0)),)
    ).fetchone()
    return float(row[0]) if row is not None else 0.0


def _number(db: sqlite3.Connection, query: str, *values: Any) -> int:
    return int(db.execute(query, values).fetchone()[0])
