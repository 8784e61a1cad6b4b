"""Every form of a real llama-server (xllamacpp's wheel), and of llama_cpp.server where its extra is installed."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import socket
import sys
from contextlib import asynccontextmanager

import pytest

from egate_lsp.cli.probe import probe
from egate_lsp.config import Target, resolve
from egate_lsp.draft import drawn_lines
from egate_lsp.models import Limits
from egate_lsp.models.fim import QWEN, FimOrder
from egate_lsp.models.local_server import LocalServer
from egate_lsp.models.openai_target import OpenAITarget
from egate_lsp.values import FimContext, Shape
from tests.conftest import model_file

pytestmark = pytest.mark.live

FILE = "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"
VOCABULARY = 151_936
FORMS = ("infill", "completion", "fim", "chat")
START_PATIENCE_S = 120


def settings_for(base_url: str):
    settings, problems = resolve([("test", {"target": {"base_url": base_url, "timeout_s": 300, "max_tokens": 96}})])
    assert problems == []
    return settings


@asynccontextmanager
async def llama_cpp_server(path):
    """The server of llama-cpp-python's own package; its extra is plain Python, nothing is built for it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "llama_cpp.server", "--model", str(path), "--port", str(port), "--n_ctx", "2048",
        "--logits_all", "true",
        env=os.environ, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        async with asyncio.timeout(START_PATIENCE_S):
            while True:
                assert process.returncode is None
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.2)
                else:
                    writer.close()
                    break
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        await process.wait()


async def test_llama_server_in_each_form() -> None:
    """Recognised; the hole filled; five likeliest tokens with each; tokens counted; a cancel seen by its slots."""
    async with LocalServer(model_file(FILE)) as server:
        settings = settings_for(server.base_url.removesuffix("/v1"))
        report = await probe(settings, settings.target)

        assert report.server.preset == "llama-server"
        assert set(report.server.vocabulary.values()) == {VOCABULARY}
        by_api = {trial.api: trial for trial in report.trials}
        assert set(by_api) == set(FORMS)
        for api, trial in by_api.items():
            assert (trial.error, trial.fills, trial.top, trial.usage) == (None, True, 5, "counted"), api
        for api in ("infill", "completion", "fim"):
            assert by_api[api].cancel == "noticed"
        assert f"vocabulary = {VOCABULARY}" in report.settings


@pytest.mark.skipif(not hasattr(os, "SCHED_IDLE"), reason="this system has no such way to compute")
async def test_one_that_yields_computes_only_what_the_processor_has_no_other_work_beside() -> None:
    async with LocalServer(model_file(FILE), yielding=True) as server, LocalServer(model_file(FILE)) as other:
        assert server.pid is not None
        assert other.pid is not None
        ways = [os.sched_getscheduler(server.pid), os.sched_getscheduler(other.pid)]
        assert ways == [os.SCHED_IDLE, os.SCHED_OTHER]


@pytest.mark.parametrize("api", ["completion", "fim"])
async def test_the_seam_and_the_probabilities_of_llama_server(api) -> None:
    async with LocalServer(model_file(FILE)) as server:
        target = Target(preset="llama-server", base_url=server.base_url, api=api, probabilities=5, timeout_s=300)
        subject = OpenAITarget(target, marks=QWEN, order=FimOrder.SUFFIX_FIRST, vocabulary=VOCABULARY)
        hole = FimContext("def f(a, b):\n    retu", "\n\nprint(f(1, 2))\n", "a.py", "python", Shape.LINE)
        tokens = [token async for token in subject.generate(hole, Limits(24, 1))]
        text = b"".join(token.piece for token in tokens).decode()
        again = [token async for token in subject.generate(hole, Limits(24, 1))]
        usage = subject.usage()
        await subject.aclose()

    assert text.startswith("rn ")
    assert len(text.split("\n")) == 1
    for token in tokens[1:]:
        assert len(token.top) in {0, 5} or not token.piece
        assert sum(token.top) <= 1.0 + 1e-6
        assert token.vocabulary == VOCABULARY
        assert token.margin is not None
    assert [token.piece for token in again] == [token.piece for token in tokens]
    assert usage["cached_tokens"] > 0  # the second time its prompt was in the cache


@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("fastapi", "uvicorn", "sse_starlette", "starlette_context")),
    reason="needs llama-cpp-python[server]",
)
async def test_llama_cpp_server() -> None:
    async with llama_cpp_server(model_file(FILE)) as base_url:
        settings = settings_for(base_url)
        report = await probe(settings, settings.target)

    by_api = {trial.api: trial for trial in report.trials}
    assert by_api["fim"].fills
    assert by_api["fim"].top == 5
    assert by_api["chat"].answer is not None


async def test_a_server_with_slots_enough_draws_several_lines_in_one_request() -> None:
    """In each of its forms; the draws differ, and each is one line with probabilities of its own."""
    options = {"n_parallel": 5, "kv_unified": 1}
    hole = FimContext("city = ", "\nprint(city)\n", "a.py", "python", Shape.LINE)
    texts: list[str] = []
    async with LocalServer(model_file(FILE), context_tokens=5120, options=options) as server:
        for api in FORMS:
            target = Target(preset="llama-server", base_url=server.base_url, api=api, timeout_s=300)
            subject = OpenAITarget(target, marks=QWEN, order=FimOrder.SUFFIX_FIRST, vocabulary=VOCABULARY)
            lines = await drawn_lines(subject, hole, Limits(24, 1, draws=5))
            usage = subject.usage()
            await subject.aclose()

            assert len(lines) == 5, api
            assert all("\n" not in line.text and line.text.strip() for line in lines), api
            assert all(line.tokens[0].logprob is not None for line in lines), api
            assert usage["generated_tokens"] >= 5.0, api
            texts += {line.text for line in lines}
    assert len(texts) > len(FORMS)  # they differ in one form at least


async def test_a_server_with_one_slot_writes_one_line() -> None:
    hole = FimContext("def f(a, b):\n    total = ", "\n    return total\n", "a.py", "python", Shape.LINE)
    async with LocalServer(model_file(FILE)) as server:
        target = Target(preset="llama-server", base_url=server.base_url, api="infill", timeout_s=300)
        subject = OpenAITarget(target, marks=QWEN, order=FimOrder.SUFFIX_FIRST, vocabulary=VOCABULARY)
        lines = [await drawn_lines(subject, hole, Limits(24, 1, draws=5)) for _ in range(2)]
        await subject.aclose()

    assert [len(found) for found in lines] == [1, 1]
