"""Every dialect against a server that replays what its documentation shows, errors included (tests/replies)."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp import errors
from egate_lsp.config import Target, resolve
from egate_lsp.errors import TargetReplyError
from egate_lsp.models import Limits
from egate_lsp.models.dialects import Ask, address, dialect
from egate_lsp.models.fim import QWEN, FimOrder
from egate_lsp.models.frames import MAX_OBJECT_BYTES, Frames
from egate_lsp.models.openai_target import OpenAITarget
from egate_lsp.models.presets import APIS, PRESETS
from egate_lsp.values import FimContext, Shape
from tests.raw_http import Visit, in_turn, raw_server, reply

HOLE = FimContext("def add(a, b):\n    return ", "\n\nprint(add(1, 2))\n", "a.py", "python", Shape.LINE)
FILES = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(Path(__file__).parent.glob("replies/*.json"))]
EXCHANGES = [
    pytest.param(file, exchange, id=f"{file['title']}: {exchange['name']}")
    for file in FILES
    for exchange in file["exchanges"]
]
KEY = "sk-THE-KEY-0123456789"


def act_of(exchange):
    pieces = [piece.encode().replace(b"THE-KEY", KEY.encode()) for piece in exchange["body"]]
    return reply(pieces, status=exchange["status"], headers=exchange["headers"])


def opened(server, preset: str, api: str, **settings) -> OpenAITarget:
    path = PRESETS[preset].base_url.split("/", 3)[3] if PRESETS[preset].base_url.count("/") > 2 else ""
    path = path or ("v1" if preset == "compatible" else "")
    target = Target(
        preset=preset, api=api, base_url=f"{server.url}/{path}".rstrip("/"), model="m", api_key=KEY, **settings
    )
    return OpenAITarget(target, marks=QWEN, order=FimOrder.SUFFIX_FIRST)


@pytest.mark.parametrize(("file", "exchange"), EXCHANGES)
async def test_a_documented_exchange(file, exchange) -> None:
    expect = exchange["expect"]
    acts = [act_of(exchange), *([act_of(exchange["then"])] if "then" in exchange else [])]
    async with raw_server(in_turn(*acts)) as server:
        subject = opened(server, file["preset"], file["api"], probabilities=5)
        try:
            if "error" in expect:
                with pytest.raises(errors.TargetError) as caught:
                    [_ async for _ in subject.generate(HOLE, Limits(40, 1))]
                error = caught.value
                assert type(error).__name__ == expect["error"]
                assert expect.get("says", "") in str(error)
                assert expect.get("hint", "") in error.hint
                assert error.explanation
                assert KEY not in error.explanation
                if "retry_after_s" in expect:
                    assert error.retry_after_s == pytest.approx(expect["retry_after_s"])
            else:
                tokens = [token async for token in subject.generate(HOLE, Limits(40, 1))]
                # The seam: what was taken back from the prefix is not inserted twice.
                assert b"".join(token.piece for token in tokens).decode() == expect["text"]
                if "top" in expect:
                    assert [len(token.top) for token in tokens] == expect["top"]
                if "usage" in expect:
                    usage = subject.usage()
                    assert usage.pop("bytes_out") > len(HOLE.prefix)
                    assert usage.pop("bytes_in") > len(expect["text"])
                    assert usage == expect["usage"]
        finally:
            await subject.aclose()
    sent = server.posts[-1]
    assert sent.path == expect.get("path", sent.path)
    assert f"authorization: bearer {KEY.lower()}" in sent.head.lower()
    for key, value in expect.get("request", {}).items():
        assert sent.body[key] == value, key
    assert not set(expect.get("absent", ())) & sent.body.keys()


def begun(exchange):
    """The beginning of the answer, and then nothing: the server goes on working until the client has gone."""

    async def act(visit: Visit) -> None:
        fields = "".join(f"{name}: {value}\r\n" for name, value in exchange["headers"].items())
        await visit.send(f"HTTP/1.1 200 OK\r\n{fields}transfer-encoding: chunked\r\n\r\n".encode())
        for piece in exchange["body"][:2]:
            await visit.send(b"%x\r\n%s\r\n" % (len(piece.encode()), piece.encode()))
        visit.server.gone.clear()
        await visit.until_gone()

    return act


@pytest.mark.parametrize("file", FILES, ids=[file["title"] for file in FILES])
async def test_a_cancelled_request_reaches_the_server_in_each_form(file) -> None:
    exchange = next(one for one in file["exchanges"] if one["status"] == 200 and len(one["body"]) > 1)
    async with raw_server(begun(exchange)) as server:
        subject = opened(server, file["preset"], file["api"], timeout_s=300)

        async def consume() -> None:
            async for _ in subject.generate(HOLE, Limits(40, 9)):
                pass

        task = asyncio.create_task(consume())
        await server.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with asyncio.timeout(30):
            await server.gone.wait()
        await subject.aclose()


def test_every_form_and_every_server_that_cannot_run_here_has_an_exchange() -> None:
    real = {("llama-server", api) for api in PRESETS["llama-server"].apis}  # tests/live/test_llama_server.py
    covered = {(file["preset"], file["api"]) for file in FILES} | real

    assert {api for _, api in covered} == set(APIS)
    assert {preset for preset, _ in covered} == set(PRESETS)
    assert all(file["source"].startswith("https://") for file in FILES)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_says_where_and_how_unless_the_user_does(preset) -> None:
    known = PRESETS[preset]
    settings, problems = resolve([("user", {"target": {"preset": preset}})])

    assert problems == []
    assert settings.target.base_url == (known.base_url or None)
    assert settings.target.api == known.apis[0]
    own, _ = resolve([("user", {"target": {"preset": preset, "baseUrl": "http://x/v1", "api": "chat"}})])
    assert (own.target.base_url, own.target.api) == ("http://x/v1", "chat")


def test_without_a_preset_nothing_changes() -> None:
    settings, _ = resolve([("user", {})])

    assert settings.target.base_url is None
    assert settings.target.api == "chat"


@pytest.mark.parametrize(
    ("base_url", "path", "bare", "expected"),
    [
        ("http://h:1/v1", "completions", True, "http://h:1/v1/completions"),
        ("http://h:1/v1/", "completions", True, "http://h:1/v1/completions"),
        ("http://h:1", "completions", True, "http://h:1/v1/completions"),
        ("http://h:1", "completions", False, "http://h:1/completions"),
        ("http://h:1/v1", "/infill", True, "http://h:1/infill"),
        ("http://h:1/behind/a/proxy/v1", "/infill", True, "http://h:1/behind/a/proxy/infill"),
        ("https://api.deepseek.com/beta", "completions", False, "https://api.deepseek.com/beta/completions"),
    ],
)
def test_addresses(base_url, path, bare, expected) -> None:
    assert address(base_url, path, bare_means_v1=bare) == expected


def test_a_request_stays_within_the_limits_of_the_server() -> None:
    ask = Ask("m", "a", "b", messages=(), temperature=0.0, stop=("1", "2", "3"))
    zhipu = dialect(PRESETS["zhipu"], "zhipu", "chat").body(ask)

    assert zhipu["stop"] == ["1"]
    assert zhipu["temperature"] == 0.01
    assert dialect(PRESETS["mistral"], "mistral", "mistral").body(Ask("m", temperature=2.0))["temperature"] == 1.5
    assert dialect(PRESETS["openai"], "openai", "suffix").top(20) == 5
    assert dialect(PRESETS["lm-studio"], "lm-studio", "fim").top(20) == 0
    vllm = dialect(PRESETS["vllm"], "vllm", "fim").body(Ask("m", stop=("\n", *QWEN.stop)))
    assert vllm["stop"] == ["\n", *QWEN.stop[:3]]
    assert vllm["skip_special_tokens"] is False


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["choices", "delta", "text", "content", "message", "logprobs", "usage", "error", "code", "response", "done",
             "stop", "completion_probabilities", "tokens", "top_logprobs", "token", "bytes", "model", "finish_reason",
             "index"]
        ),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(json_values, st.sampled_from(APIS))
def test_reading_never_fails_whatever_a_server_says(value, api) -> None:
    event = value if isinstance(value, dict) else {"choices": [value]}
    pieces = dialect(PRESETS["compatible"], "compatible", api).read(event, 5)

    assert pieces
    for piece in pieces:
        assert isinstance(piece.text, str)
        assert isinstance(piece.error, str)
        assert piece.index >= 0


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.text(max_size=5)), min_size=1, max_size=5), st.data())
def test_events_are_the_same_however_their_bytes_are_cut(objects, data) -> None:
    kind = data.draw(st.sampled_from(["events", "lines"]))
    end = data.draw(st.sampled_from(["\n", "\r\n"]))
    lines = [
        f"data: {json.dumps(item)}{end}{end}" if kind == "events" else f"{json.dumps(item)}{end}" for item in objects
    ]
    raw = "".join(lines).encode()
    cuts = sorted(data.draw(st.sets(st.integers(0, len(raw)), max_size=6)))
    frames = Frames()
    found = []
    for start, stop in zip([0, *cuts], [*cuts, len(raw)], strict=True):
        found += frames.feed(raw[start:stop])
    found += frames.end()

    assert found == objects


@pytest.mark.parametrize("start", [b"data: {", b"{", b'data: {"a": "\n', b" ", b"\n"])
def test_an_object_without_end_is_given_up(start) -> None:
    frames = Frames()
    frames.feed(start)
    frames.feed(b" " * (MAX_OBJECT_BYTES - 1024))
    with pytest.raises(TargetReplyError):
        frames.feed(b" " * 1024)
