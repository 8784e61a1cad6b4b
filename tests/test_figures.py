from __future__ import annotations

import json
import re
from datetime import datetime

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from egate_lsp import plots, stats_html, stats_terminal
from egate_lsp.cli import main
from egate_lsp.figures import asked, figures
from egate_lsp.ledger_file import LedgerFile, default_path
from egate_lsp.plots import Series, nice
from egate_lsp.stats_words import UNKNOWN, bytes_, money, short
from egate_lsp.values import Outcome
from tests.test_ledger import DAY, NOON, request, suggestion


def shown(outcome: str = "", moment: float = NOON, **fields):
    base = {"source": "draft", "language": "python", "chars": 10, "lines": 1, "lines_judged": 1, "latency_ms": 100.0}
    return suggestion(moment, **{**base, "outcome": outcome, **fields})


def test_fates_add_up() -> None:
    made = [
        shown(Outcome.ACCEPTED, chars_taken=10, kept_30=1.0, kept_300=0.5),
        shown(Outcome.ACCEPTED, chars_taken=30, kept_30=0.0),
        shown(Outcome.PARTLY, chars_taken=4, source="merged", language="go"),
        shown(Outcome.TYPED_THROUGH),
        shown(Outcome.TYPED_PAST),
        shown(Outcome.DISMISSED),
        shown(Outcome.UNDONE, chars_taken=10),
        shown(),
        suggestion(shown=False, lines_judged=1),
    ]
    total = figures(made, [], NOON, NOON + 60).total

    assert (total.shown, total.accepted, total.partly, total.typed, total.refused, total.undone) == (8, 2, 1, 1, 2, 1)
    assert total.rate == pytest.approx(3 / 8)
    assert total.chars_taken == 44  # what was undone saved nothing
    assert (total.kept_30.known, total.kept_30.share) == (2, pytest.approx(10 / 40))
    assert (total.kept_300.known, total.kept_300.share) == (1, 0.5)


def test_by_language_and_by_source() -> None:
    made = [shown(), shown(language="go"), shown(language="go", source="target"), shown(source="merged")]
    found = figures(made, [], NOON, NOON)

    assert [(row.name, row.shown) for row in found.by_source] == [("draft", 2), ("target", 1), ("merged", 1)]
    assert {row.name: row.shown for row in found.by_language} == {"python": 2, "go": 2}


def test_the_deferred_share_is_of_lines_and_beside_the_wanted_one() -> None:
    made = [
        shown(lines_judged=8, lines_deferred=1, wanted=0.2),
        shown(lines_judged=2, lines_deferred=2, wanted=0.4),
        shown(lines_judged=50, lines_deferred=50, wanted=None),
    ]
    found = figures(made, [], NOON, NOON)

    assert (found.deferred, found.wanted, found.lines_judged) == (0.3, pytest.approx(0.24), 10)


def test_percentiles_of_time() -> None:
    made = [shown(latency_ms=float(value)) for value in range(101)]
    found = figures(made, [], NOON, NOON).latency

    assert found["all"] == {"p50": 50.0, "p90": 90.0, "p95": 95.0, "p99": 99.0}
    assert set(found) == {"all", "draft"}


def test_requests_add_up_and_an_unknown_price_is_not_nothing() -> None:
    total = asked("all", [request(cost=0.5, tokens_in=3), request(cost=None, outcome="failed"), request(cost=0.25)])

    assert (total.requests, total.answered, total.failed, total.tokens_in, total.cost) == (3, 2, 1, 3, 0.75)
    assert asked("all", [request(cost=None)]).cost is None


@pytest.mark.parametrize(("span", "unit"), [(10 * DAY, "day"), (DAY, "hour"), (3600, "5 minutes")])
def test_steps_have_no_gaps(span: float, unit: str) -> None:
    found = figures([shown(moment=NOON - span)], [request(NOON)], 0.0, NOON)
    size = {"day": DAY, "hour": 3600, "5 minutes": 300}[unit]

    assert found.unit == unit
    assert len(found.steps) == len({step.label for step in found.steps}) == int(span / size) + 1
    assert found.steps[0].shown.shown == found.steps[-1].asked.requests == 1


@given(
    offsets=st.lists(st.floats(0, 400 * DAY), min_size=1, max_size=20),
    span=st.floats(0, 400 * DAY),
)
@settings(max_examples=50, deadline=None)
def test_every_record_is_in_one_step(offsets: list[float], span: float) -> None:
    made = [shown(moment=NOON - offset) for offset in offsets]
    found = figures(made, [], 0.0, NOON + span)

    assert sum(step.shown.shown for step in found.steps) == len(made)


# ── as people see it ────────────────────────────────────────────────────────────────────────────────────────────


def week():
    made = [
        shown(Outcome.ACCEPTED, NOON - at * DAY, chars_taken=10, kept_30=0.75, wanted=0.2, file="/p/<b>.py")
        for at in range(7)
    ]
    sent = [
        request(NOON - at * DAY, cost=0.0125, tokens_in=1000, bytes_out=4000, estimated=at == 0, reason="pattern: <i>")
        for at in range(7)
    ]
    return figures(made, sent, 0.0, NOON), sent


def test_the_page_needs_nothing_else() -> None:
    page = stats_html.page(week()[0])

    assert not re.search(r"<script|src=|href=|https?://|@import|url\(", page)
    assert page.count("<svg") == 6
    assert "0.0875" in page  # USD of the week
    for tag in ("svg", "figure", "table", "div", "details"):
        assert page.count(f"<{tag}") == page.count(f"</{tag}>"), tag


def test_names_are_escaped_on_the_page() -> None:
    found = figures([shown(language="<script>x</script>")], [request(model='"><b>')], 0.0, NOON)
    page = stats_html.page(found)

    assert "<script>" not in page
    assert "<b>x" not in page
    assert "&lt;script&gt;" in page


def test_an_empty_ledger_can_be_drawn() -> None:
    found = figures([], [], 0.0, NOON)

    assert "nothing yet" in stats_html.page(found)
    assert "nothing left for a target" in drawn(stats_terminal.statistics(found))


def drawn(renderable, width: int = 120) -> str:
    console = Console(width=width, record=True, file=open("/dev/null", "w"), color_system=None)  # noqa: SIM115
    console.print(renderable)
    console.file.close()
    return console.export_text()


def test_the_terminal_tells_the_same() -> None:
    found, sent = week()
    text = drawn(stats_terminal.statistics(found))
    assert re.search(r"draft +7 +7 +0 +100%", text)
    assert "75%" in text
    listed = drawn(stats_terminal.ledger(sent, asked("all", sent), 120))

    assert "7 requests, 7 of them to other machines: 28.0 kB sent" in listed
    assert "0.0875 USD (~: 1 estimated)" in listed
    assert listed.count("pattern: <i>") == 7
    assert "all to big at api.example.com:443" in listed
    two = drawn(stats_terminal.ledger([request(), request(server="127.0.0.1:80", local=True)], asked("all", []), 120))
    assert "to 1: big at api.example.com:443" in two
    assert "to 2: big at 127.0.0.1:80 (this machine)" in two


def test_bars_stack_and_lines_break() -> None:
    made = plots.bars("t", ["2026-11-01"], [Series("a", "s0", [3.0]), Series("b", "s1", [1.0])], short)
    heights = [float(height) for height in re.findall(r'height="([\d.]+)" ?>', made)]
    assert heights[0] == pytest.approx(3 * heights[1], abs=0.2)
    assert "2026-11-01: a 3" in made
    line = plots.lines("t", ["1", "2", "3", "4", "5"], [Series("a", "s0", [1, 2, None, 3, 4])], short)

    assert line.count("<polyline") == 2


@given(st.floats(1e-6, 1e12))
def test_an_axis_ends_beyond_its_values_and_not_far(value: float) -> None:
    assert value * (1 - 1e-6) <= nice(value) <= value * 2.5


def test_words() -> None:
    assert [money(each) for each in (None, 0.0, 1e-8, 0.0000123, 0.1234567, 12.3)] == [
        UNKNOWN,
        "0.00",
        "<0.000001",
        "0.000012",
        "0.1235",
        "12.30",
    ]
    assert [bytes_(each) for each in (5, 4200, 3e6)] == ["5 B", "4.2 kB", "3.0 MB"]
    assert short(12_300) == "12.3k"


# ── the commands ────────────────────────────────────────────────────────────────────────────────────────────────


def run(*arguments: str, typed: str = "") -> tuple[int, str]:
    result = CliRunner().invoke(main, list(arguments), input=typed, env={"COLUMNS": "140"})
    return result.exit_code, result.output


@pytest.fixture
def filled():
    file = LedgerFile(default_path())
    now = datetime.now().timestamp()
    file.write(
        [
            request(now - 3600, file="/p/new.py", cost=0.5),
            request(now - 20 * DAY, file="/p/old.go", cost=1.0),
            suggestion(now - 3600),
            suggestion(now - 20 * DAY),
        ]
    )
    file.close()


def test_without_a_ledger_there_is_nothing_to_show() -> None:
    for command in ("ledger", "stats"):
        code, output = run(command)
        assert code == 0
        assert "Nothing is recorded yet" in output
    assert not default_path().exists()


@pytest.mark.usefixtures("filled")
def test_the_ledger_is_listed_by_time_and_file() -> None:
    assert "new.py" in run("ledger")[1]
    assert "old.go" not in run("ledger")[1]
    assert "old.go" in run("ledger", "--since", "4w")[1]
    assert "No request" in run("ledger", "--file", "*.rs")[1]
    told = json.loads(run("ledger", "--since", "all", "--file", "*.go", "--json")[1])

    assert [each["file"] for each in told["requests"]] == ["/p/old.go"]
    assert told["total"]["cost"] == 1.0


@pytest.mark.usefixtures("filled")
def test_a_purge_asks_first() -> None:
    code, output = run("ledger", "--purge", typed="n\n")
    assert code == 1
    assert "Delete 2 requests and 2 suggestions?" in output
    assert len(json.loads(run("ledger", "--since", "all", "--json")[1])["requests"]) == 2
    day = datetime.fromtimestamp(datetime.now().timestamp() - 10 * DAY).strftime("%Y-%m-%d")
    assert run("ledger", "--purge", "--before", day, "--yes")[0] == 0
    assert [each["file"] for each in json.loads(run("ledger", "--since", "all", "--json")[1])["requests"]] == [
        "/p/new.py"
    ]
    assert run("ledger", "--purge", typed="y\n")[0] == 0
    assert "nothing to delete" in run("ledger", "--purge")[1]


def test_wrong_usage_is_said() -> None:
    assert run("ledger", "--since", "soon")[0] == 2
    assert run("ledger", "--before", "7d")[0] == 2


@pytest.mark.usefixtures("filled")
def test_statistics_as_json_and_as_a_page(tmp_path) -> None:
    told = json.loads(run("stats", "--json")[1])
    assert told["total"]["shown"] == 2
    page = tmp_path / "deep" / "stats.html"
    code, output = run("stats", "--html", str(page))
    assert (code, output) == (0, f"{page} is written.\n")
    assert page.read_text().startswith("<!DOCTYPE html>")
    blocked = tmp_path / "file"
    blocked.write_text("")

    assert run("stats", "--html", str(blocked / "x.html"))[0] == 1
