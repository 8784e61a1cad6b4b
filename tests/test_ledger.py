from __future__ import annotations

import dataclasses
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from egate_lsp.errors import LedgerUnavailable
from egate_lsp.ledger import Ledger
from egate_lsp.ledger_file import MIB, Caps, LedgerFile
from egate_lsp.records import OPEN, RequestRecord, SuggestionRecord, day_of, new_id

NOON = 1_795_608_000.0  # 2026-11-25 12:00 UTC
DAY = 86_400.0


def request(moment: float = NOON, **fields) -> RequestRecord:
    base = RequestRecord(
        new_id(), moment, day_of(moment), "api.example.com:443", "big", local=False, outcome="answered"
    )
    return dataclasses.replace(base, **fields)


def suggestion(moment: float = NOON, **fields) -> SuggestionRecord:
    return dataclasses.replace(SuggestionRecord(new_id(), moment, day_of(moment), shown=True), **fields)


class Clock:
    def __init__(self, now: float = NOON) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def file(tmp_path: Path):
    made = LedgerFile(tmp_path / "state" / "ledger.db", clock=Clock())
    yield made
    made.close()


def test_records_come_back_as_they_were(file: LedgerFile) -> None:
    asked = request(
        file="/p/a.py", language="python", bytes_out=100, bytes_in=9, tokens_in=30, tokens_out=3, tokens_cached=10,
        cost=0.25, estimated=False, reason="pattern: signature", latency_ms=12.5, text_out="x", text_in="y",
    )  # fmt: skip
    shown = suggestion(file="/p/a.py", source="merged", chars=12, wanted=0.2, outcome="accepted", kept_30=0.5)
    file.write([asked, shown])

    assert file.requests() == [asked]
    assert file.suggestions() == [shown]


def test_a_record_replaces_the_one_with_its_id(file: LedgerFile) -> None:
    record = request(outcome=OPEN, cost=1.0)
    file.write([record])
    file.write([dataclasses.replace(record, outcome="answered", cost=0.5)])

    assert [(each.outcome, each.cost) for each in file.requests()] == [("answered", 0.5)]


def test_what_was_purged_is_not_brought_back_by_what_becomes_of_it(file: LedgerFile) -> None:
    record = suggestion()
    file.write([record])
    file.purge()
    file.write([], [dataclasses.replace(record, kept_300=1.0)])

    assert file.suggestions() == []


def test_only_its_owner_can_read_it(file: LedgerFile, tmp_path: Path) -> None:
    file.write([request()])

    for path in (tmp_path / "state").glob("ledger.db*"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_path_that_is_no_unicode_is_written(file: LedgerFile) -> None:
    file.write([request(file="/p/\udcff.py")])

    assert file.requests()[0].file == "/p/?.py"


def test_purging_leaves_no_text_in_the_file_and_no_cap_wider(file: LedgerFile, tmp_path: Path) -> None:
    file.write([request(file="/p/needle.py", text_out="needle" * 500, cost=0.75) for _ in range(50)])
    spent = file.totals(NOON).cost

    assert file.purge() == 50
    file.close()

    left = b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir())
    assert b"needle" not in left
    after = LedgerFile(tmp_path / "state" / "ledger.db", clock=Clock())
    assert (after.totals(NOON).cost, after.totals(NOON).cost_month) == (spent, spent)
    assert after.totals(NOON).requests == 0
    after.close()


def test_purging_what_is_old_leaves_the_rest(file: LedgerFile) -> None:
    file.write([request(NOON - 2 * DAY), suggestion(NOON - 2 * DAY), request(NOON), suggestion(NOON)])

    assert file.purge(before=NOON - DAY) == 2
    assert [each.started for each in file.requests()] == [NOON]
    assert [each.shown_at for each in file.suggestions()] == [NOON]


def test_a_request_under_way_survives_a_purge_and_is_charged_once(file: LedgerFile) -> None:
    record = request(outcome=OPEN, cost=0.5)
    file.write([record])
    file.purge()
    file.write([dataclasses.replace(record, outcome="answered", cost=0.125)])

    assert file.totals(NOON).cost == 0.125


def test_rotation_drops_what_is_too_old(file: LedgerFile) -> None:
    file.write([request(NOON - 40 * DAY), request(NOON - 20 * DAY)])

    assert file.rotate(keep_days=32, max_bytes=MIB) == 1
    assert [each.started for each in file.requests()] == [NOON - 20 * DAY]


def test_rotation_holds_the_size_and_keeps_the_newest_and_what_was_spent(file: LedgerFile) -> None:
    file.write([request(NOON - 3600 + i, text_out="x" * 2000, cost=0.001) for i in range(2000)])
    file.rotate(keep_days=32, max_bytes=MIB)
    left = file.requests()

    assert 100 < len(left) < 600
    assert left[-1].started == NOON - 3600 + 1999
    assert file.totals(NOON).cost == pytest.approx(2.0)


def test_a_corrupt_file_is_set_aside_and_a_new_one_begun(file: LedgerFile, tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.db"
    path.parent.mkdir()
    path.write_bytes(b"this is no database, " * 500)
    record = request()
    file.write([record])

    assert file.requests() == [record]
    assert file.set_aside is not None
    assert file.set_aside.read_bytes().startswith(b"this is no database")


def test_a_file_that_becomes_corrupt_is_set_aside(file: LedgerFile, tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.db"
    file.write([request(text_out="x" * 3000) for _ in range(200)])
    file.purge(before=0.0)  # checkpoints
    with path.open("r+b") as raw:
        raw.seek(4096)
        raw.write(os.urandom(path.stat().st_size - 4096))
    file.close()
    file.write([request()])
    file.totals(NOON)

    assert file.set_aside is not None
    assert len(file.requests()) <= 1


def test_of_two_that_find_it_corrupt_one_sets_it_aside(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"no database " * 1000)
    files = [LedgerFile(path, clock=Clock()) for _ in range(2)]
    threads = [threading.Thread(target=each.write, args=([request()],)) for each in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(each.set_aside is not None for each in files) == 1
    assert len(files[0].requests()) == len(files[1].requests()) == 2
    assert len(list(tmp_path.glob("ledger-corrupt-*.db"))) == 1
    for each in files:
        each.close()


def test_a_file_that_was_moved_away_is_made_anew(file: LedgerFile, tmp_path: Path) -> None:
    file.write([request()])
    (tmp_path / "state" / "ledger.db").unlink()
    file.write([request()])

    assert len(file.requests()) == 1


def test_a_file_of_the_former_format_is_gone_on_with(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    file = LedgerFile(path)
    former = request(others="")
    file.write([former])
    file.close()
    with sqlite3.connect(path) as db:
        db.execute("ALTER TABLE requests DROP COLUMN others")
        db.execute("PRAGMA user_version = 1")
    db.close()

    file = LedgerFile(path)
    later = request(NOON + 1, others="/p/b.py\n/p/c.py")
    file.write([later])

    assert file.requests() == [former, later]
    file.close()


def test_a_newer_format_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    file = LedgerFile(path)

    with pytest.raises(LedgerUnavailable, match="newer egate-lsp"):
        file.write([request()])
    file.close()


def test_a_locked_file_is_unavailable_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    file = LedgerFile(path, busy_s=0.05)
    file.write([request()])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailable, match="locked") as caught:
        file.write([request()])
    other.execute("ROLLBACK")
    other.close()
    file.write([request()])

    assert "another program" in caught.value.hint
    assert len(file.requests()) == 2
    file.close()


def test_a_full_disk_is_unavailable(tmp_path: Path) -> None:
    file = LedgerFile(tmp_path / "ledger.db")
    file.write([request()])
    assert file._connection is not None
    file._connection.execute("PRAGMA max_page_count = 20")

    with pytest.raises(LedgerUnavailable, match="full") as caught:
        file.write([request(text_out="x" * 500_000)])
    assert caught.value.hint == "Make room on the disk."
    assert len(file.requests()) == 1
    file.close()


def test_totals_are_those_of_the_day_and_the_month(file: LedgerFile) -> None:
    file.write(
        [
            request(NOON, cost=0.5, tokens_in=10, tokens_out=2, estimated=False),
            request(NOON, cost=None, tokens_in=5, estimated=True),
            request(NOON - 3 * DAY, cost=2.0),
            request(NOON - 40 * DAY, cost=8.0),
            suggestion(NOON, lines=4, lines_target=1),
        ]
    )
    totals = file.totals(NOON)

    assert (totals.cost, totals.cost_month, totals.requests, totals.priced) == (0.5, 2.5, 2, 1)
    assert (totals.tokens_in, totals.tokens_out, totals.estimated) == (15, 2, True)
    assert (totals.lines, totals.lines_target) == (4, 1)
    assert file.totals(NOON + DAY).requests == 0


# ── caps ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_request_is_refused_where_it_could_break_a_cap(file: LedgerFile) -> None:
    caps = Caps(per_day=1.0, per_month=5.0)

    assert file.reserve(request(cost=0.75, outcome=OPEN), caps) == ""
    assert file.reserve(request(cost=0.5, outcome=OPEN), caps) == "per_day"
    assert file.reserve(request(cost=0.25, outcome=OPEN), caps) == ""
    assert file.reserve(request(NOON + DAY, cost=1.0), caps) == ""
    file.write([request(NOON + 2 * DAY, cost=2.75)])
    assert file.reserve(request(NOON + 3 * DAY, cost=0.5), caps) == "per_month"
    assert file.reserve(request(NOON + 10 * DAY, cost=0.5), caps) == ""  # December
    assert file.reserve(request(cost=None), caps) == ""


def test_pace_counts_requests_of_all_servers(file: LedgerFile, tmp_path: Path) -> None:
    other = LedgerFile(tmp_path / "state" / "ledger.db")
    caps = Caps(requests_per_minute=2, in_flight=2)

    assert file.reserve(request(NOON, outcome=OPEN), caps) == ""
    assert other.reserve(request(NOON + 1, outcome=OPEN), caps) == ""
    assert file.reserve(request(NOON + 2, outcome=OPEN), caps) == "requests_per_minute"
    assert other.reserve(request(NOON + 61.5, outcome=OPEN), caps) == "in_flight"
    other.close()


def test_a_request_of_a_killed_server_does_not_block_for_ever(file: LedgerFile) -> None:
    caps = Caps(in_flight=1)
    file.reserve(request(NOON, outcome=OPEN), caps)

    assert file.reserve(request(NOON + 599, outcome=OPEN), caps) == "in_flight"
    assert file.reserve(request(NOON + 601, outcome=OPEN), caps) == ""


def test_a_clock_set_back_does_not_open_the_pace(file: LedgerFile) -> None:
    caps = Caps(requests_per_minute=1)
    file.reserve(request(NOON + 30), caps)

    assert file.reserve(request(NOON), caps) == "requests_per_minute"


# ── the thread ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_was_handed_over_is_written_at_close(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger(path)
    shown = suggestion()
    ledger.put(shown)
    for _ in range(300):
        ledger.put(request())
    ledger.amend(dataclasses.replace(shown, outcome="accepted", chars_taken=7))
    ledger.close()
    file = LedgerFile(path)

    assert len(file.requests()) == 300
    assert [(each.outcome, each.chars_taken) for each in file.suggestions()] == [("accepted", 7)]
    file.close()


async def test_totals_are_read_into_memory(tmp_path: Path) -> None:
    now = time.time()
    changed = threading.Event()
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.on_totals = changed.set
    assert await ledger.reserve(request(now, cost=0.25), Caps(per_day=1.0)) == ""
    ledger.put(request(now, cost=0.5))
    ledger.close()

    assert changed.is_set()
    assert ledger.totals.cost == 0.75


class Flaky(LedgerFile):
    """Cannot be written until `mended` is set."""

    def __init__(self, path: Path, tried: threading.Event, mended: threading.Event) -> None:
        super().__init__(path)
        self.tried, self.mended = tried, mended

    def write(self, records, amended=()) -> None:
        if not self.mended.is_set():
            self.tried.set()
            raise LedgerUnavailable("full.", hint="Make room.")
        super().write(records, amended)


def test_what_cannot_be_written_is_told_once_and_written_later(tmp_path: Path) -> None:
    tried, mended = threading.Event(), threading.Event()
    ledger = Ledger(None, open_file=lambda: Flaky(tmp_path / "ledger.db", tried, mended))
    told: list[str] = []
    ledger.on_trouble = told.append
    ledger.put(request())
    assert tried.wait(10)
    ledger.put(request())
    mended.set()
    ledger.put(request())
    ledger.close()

    assert told == ["full. Make room. Statistics may have gaps; completions go on."]
    file = LedgerFile(tmp_path / "ledger.db")
    assert len(file.requests()) == 3
    file.close()


async def test_after_the_end_nothing_is_taken(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.db")
    ledger.close()
    ledger.put(request())

    with pytest.raises(LedgerUnavailable):
        await ledger.reserve(request(), Caps())
    assert not (tmp_path / "ledger.db").exists()


WRITER = """
import sys
from pathlib import Path
from egate_lsp.ledger import Ledger
from tests.test_ledger import request, suggestion
ledger = Ledger(Path(sys.argv[1]))
for _ in range(200):
    ledger.put(request())
    ledger.put(suggestion())
ledger.close()
"""


def test_several_servers_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    running = [
        subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=Path(__file__).parents[1]) for _ in range(4)
    ]

    assert [process.wait(60) for process in running] == [0] * 4
    file = LedgerFile(path)
    assert (len(file.requests()), len(file.suggestions())) == (800, 800)
    file.close()
