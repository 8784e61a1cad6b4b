from __future__ import annotations

import asyncio
import time

import pytest

from egate_lsp.accounted import AccountedModel
from egate_lsp.budget import Budget
from egate_lsp.config import Price
from egate_lsp.errors import OverBudget, TargetMisfit, TargetRateLimited, TargetTimeout
from egate_lsp.ledger_file import Caps
from egate_lsp.models import Limits
from egate_lsp.prices import cost, most, price_of
from egate_lsp.records import is_loopback, told, where
from egate_lsp.values import FimContext, Token
from tests.test_budget import Straight
from tests.test_ledger import Clock

HOLE = FimContext("key = 'SENTINEL'\nx = ", "\n", "main.py", "python", file="/home/me/p/main.py")
SIZE = len(HOLE.prefix + HOLE.suffix + HOLE.path)
PRICES = {"big": Price(input=1000.0, output=2000.0, cached=100.0)}


class Played:
    """A model that yields pieces, then raises or ends."""

    name, remote = "big", True

    def __init__(self, *pieces: str, usage: dict | None = None, error: Exception | None = None, hangs=False) -> None:
        self.pieces, self.told, self.error, self.hangs = pieces, usage or {}, error, hangs
        self.asked = 0
        self.begun = asyncio.Event()

    async def generate(self, context, limits):
        self.asked += 1
        for piece in self.pieces:
            yield Token(piece.encode())
        if self.hangs:
            self.begun.set()
            await asyncio.Event().wait()
        if self.error is not None:
            raise self.error

    def usage(self):
        return self.told

    async def aclose(self) -> None:
        pass


def metered(model: Played, *, caps: Caps = Caps(), url="https://me:pw@api.example.com/v1?k=1", **more):  # noqa: B008
    ledger = Straight()
    ledger.clock.now = time.time()
    return AccountedModel(model, url, Budget(ledger, caps, clock=Clock(0.0)), PRICES, **more), ledger  # type: ignore


async def read(model: AccountedModel, most: int = 100) -> str:
    text = b""
    stream = model.generate(HOLE, Limits(max_tokens=8, reasons=("pattern: signature", "undefined name 'SENTINEL'")))
    async for token in stream:
        text += token.piece
        most -= 1
        if not most:
            break
    await stream.aclose()  # type: ignore[attr-defined]
    return text.decode()


async def test_a_request_is_written_down_with_what_the_reply_told() -> None:
    usage = {"prompt_tokens": 100.0, "generated_tokens": 10.0, "cached_tokens": 40.0}
    model, ledger = metered(Played("a", "b", usage=usage))
    assert await read(model) == "ab"
    (record,) = ledger.file.requests()

    assert (record.server, record.model, record.local) == ("api.example.com:443", "big", False)
    assert (record.file, record.language, record.outcome) == ("/home/me/p/main.py", "python", "answered")
    assert (record.bytes_out, record.bytes_in) == (SIZE, 2)
    assert (record.tokens_in, record.tokens_out, record.tokens_cached) == (100, 10, 40)
    assert record.cost == pytest.approx((60 * 1000 + 40 * 100 + 10 * 2000) / 1e6)
    assert not record.estimated
    assert record.reason == "pattern: signature; a fault with names"


async def test_the_ledger_holds_no_text_unless_it_is_wanted() -> None:
    model, ledger = metered(Played("SENTINEL", error=TargetRateLimited("429: SENTINEL")))
    with pytest.raises(TargetRateLimited):
        await read(model)
    assert "SENTINEL" not in repr(ledger.file.requests())
    kept, ledger = metered(Played("SENTINEL"), keep_text=True)
    await read(kept)
    (record,) = ledger.file.requests()

    assert record.text_out is not None
    assert "SENTINEL" in record.text_out
    assert record.text_in == "SENTINEL"


async def test_without_usage_tokens_and_cost_are_estimated_from_bytes() -> None:
    model, ledger = metered(Played("four"))
    await read(model)
    (record,) = ledger.file.requests()

    assert record.estimated
    assert record.tokens_in == round(record.bytes_out / 3)
    assert record.cost == pytest.approx((record.tokens_in * 1000 + record.tokens_out * 2000) / 1e6)


@pytest.mark.parametrize(
    ("error", "outcome", "detail"),
    [(TargetTimeout("slow"), "late", "TargetTimeout"), (TargetRateLimited("429"), "failed", "TargetRateLimited")],
)
async def test_failures_are_written_down_by_their_kind(error: Exception, outcome: str, detail: str) -> None:
    model, ledger = metered(Played(error=error))
    with pytest.raises(type(error)):
        await read(model)
    (record,) = ledger.file.requests()

    assert (record.outcome, record.detail) == (outcome, detail)
    assert (record.cost == 0.0) is (outcome == "failed")  # a server that was late may have worked


async def test_an_answer_that_does_not_fit_is_charged_all_the_same() -> None:
    model, ledger = metered(Played(usage={"bytes_in": 300.0}, error=TargetMisfit("another word")))
    with pytest.raises(TargetMisfit):
        await read(model)
    (record,) = ledger.file.requests()

    assert (record.outcome, record.detail, record.bytes_in) == ("failed", "TargetMisfit", 300)
    assert record.cost is not None
    assert record.cost > 0.0


async def test_a_reader_who_has_enough_was_answered_and_one_who_was_cancelled_was_not() -> None:
    model, ledger = metered(Played("a", "b"))
    await read(model, most=1)
    assert [each.outcome for each in ledger.file.requests()] == ["answered"]
    stuck = Played(hangs=True)
    model, ledger = metered(stuck)
    reading = asyncio.create_task(read(model))
    await stuck.begun.wait()
    assert [each.outcome for each in ledger.file.requests()] == ["open"]  # before anything came back
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)

    assert [each.outcome for each in ledger.file.requests()] == ["cancelled"]


async def test_over_the_budget_the_model_is_not_asked() -> None:
    inner = Played("a", usage={"prompt_tokens": 1.0, "generated_tokens": 1.0})
    model, ledger = metered(inner, caps=Caps(per_day=most(PRICES["big"], SIZE, 8)))
    assert await read(model) == "a"
    with pytest.raises(OverBudget, match="day's cap"):
        await read(model)

    assert inner.asked == 1
    assert len(ledger.file.requests()) == 1


def test_prices_are_found_by_name_then_by_the_longest_pattern() -> None:
    table = {
        name: Price(input=float(index)) for index, name in enumerate(["*", "gpt-*", "gpt-5", "h:443/gpt-5", "h:*"])
    }

    assert price_of("gpt-5", "h:443", table) == table["h:443/gpt-5"]
    assert price_of("gpt-5", "other:443", table) == table["gpt-5"]
    assert price_of("gpt-4", "other:443", table) == table["gpt-*"]
    assert price_of("qwen", "h:80", table) == table["h:*"]
    assert price_of("qwen", "h2:80", {"gpt-*": Price()}) is None


def test_the_most_is_never_less_than_the_cost() -> None:
    price = Price(input=3.0, output=15.0, cached=0.3)
    size = 4000

    assert most(price, size, 96) >= cost(price, size, 96)
    assert cost(price, 10, 0, 99) == pytest.approx(10 * 0.3 / 1e6)


@pytest.mark.parametrize(
    ("reason", "kept"),
    [
        ("pattern: nested-brackets", "pattern: nested-brackets"),
        ("it adds a syntax error", "it adds a syntax error"),
        ("sum surprisal 0.312 >= 0.202", "sum surprisal 0.312 >= 0.202"),
        ("max entropy 0.312, 0.656 for its faults, 0.700 after what you did here >= 0.202", None),
        ("learned 0.412 >= 0.202 (names 1.00, entropy-max 0.25)", None),
        ("undefined name 'secret_name'", "a fault with names"),
        ("drafted anew, because of the first draft: undefined name 'secret_name'", "drafted anew"),
        ("secret_name 0.3 >= 0.2", "unsure"),
    ],
)
def test_reasons_keep_no_name_of_the_document(reason: str, kept: str | None) -> None:
    assert told([reason]) == (reason if kept is None else kept)


@pytest.mark.parametrize(
    ("url", "server", "local"),
    [
        ("http://127.0.0.1:8080/v1", "127.0.0.1:8080", True),
        ("http://localhost/v1", "localhost:80", True),
        ("http://[::1]:1/v1", "[::1]:1", True),
        ("https://user:pw@api.example.com/v1?key=x", "api.example.com:443", False),
        ("http://127.0.0.1.example.com/v1", "127.0.0.1.example.com:80", False),
        ("http://192.168.1.5:11434", "192.168.1.5:11434", False),
        ("https://host:99999999/v1", "host:443", False),
    ],
)
def test_where_a_request_goes(url: str, server: str, local: bool) -> None:
    assert (where(url), is_loopback(url)) == (server, local)
