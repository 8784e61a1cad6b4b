"""The engine's host against a worker that behaves as told: crashes, hangs, ignores nothing it should not."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from egate_lsp.config import Draft
from egate_lsp.errors import DraftError, EngineDied, ModelLoadError
from egate_lsp.models import Limits, Search
from egate_lsp.models import engine_process as module
from egate_lsp.models.engine_process import EngineProcess, EngineState
from egate_lsp.models.fim import QWEN, FimOrder
from egate_lsp.values import FimContext

WORKER = """
import json, os, sys, time
over = []
def say(**message):
    print(json.dumps(message), flush=True)
    if message["event"] in ("done", "error"):
        over.append(message.get("job"))
read = []
loaded = dict(event="loaded", vocabulary=1000, fim=True, trained_context=1, threads=1, load_ms=1.0)
for line in sys.stdin:
    message = json.loads(line)
    op, prefix, job = message["op"], message.get("prefix", ""), message.get("job")
    if op == "load":
        kind = message["settings"]["path"]
        if kind == "bad":
            say(event="error", job=-1, message="cannot load", hint="choose another")
        elif kind == "crash":
            os._exit(3)
        elif kind != "hang":
            say(**loaded)
    elif op == "generate":
        tired = "tired" in prefix
        say(event="progress", job=job, done=0, total=1)
        say(event="token", job=job, piece="one", entropy=0.5, logprob=-0.5, margin=0.1, usage={"evaluated_tokens": 7})
        if "crash" in prefix:
            sys.stderr.write("GGML_ASSERT failed\\\\n"); sys.stderr.flush(); os._exit(6)
        if "refuse" in prefix:
            say(event="error", job=job, message="no room", hint="")
        elif "garbage" in prefix:
            print("not json", flush=True)
        elif message.get("branches"):
            for branch, piece in enumerate(("whole\\n", "half", "other\\n", "")):
                if piece:
                    say(event="token", job=job, piece=piece, branch=branch, entropy=None, logprob=-0.5, margin=None)
        elif message["max_tokens"] == 0:
            read.append(prefix)
            if "slow" not in prefix:
                say(event="done", job=job, usage={"evaluated_tokens": 9})
        elif "long" in prefix and message["reading_ms"]:
            say(event="done", job=job, usage={"unread_tokens": 0 if prefix in read else 90})
        elif "endless" not in prefix and "hang" not in prefix:
            say(event="token", job=job, piece="\\u00c3\\u00a9", entropy=0.1, logprob=-0.1, margin=0.9)
            say(event="done", job=job, usage={"generated_tokens": 2, "stop": "eog"})
    elif op == "review":
        if "slow" not in prefix:
            say(event="reviewed", job=job, logprobs=[-float(len(line)) for line in message["lines"]])
            say(event="done", job=job, usage={"evaluated_tokens": 5})
    elif op == "cancel" and job not in over:
        if tired:  # it was in the middle of something
            say(event="token", job=job, piece="late", entropy=0.5, logprob=-0.5, margin=0.1)
            time.sleep(0.02)
        say(event="done", job=job, usage={"generated_tokens": 1, "stop": "cancelled"})
"""


@pytest.fixture
def make(tmp_path: Path):
    """Engines on the worker above; nothing of them stays."""
    worker = tmp_path / "worker.py"
    worker.write_text(WORKER.replace("\\\\\\\\n", "\\\\n"))
    states: list[EngineState] = []

    def engine(kind: str = "good", **settings) -> EngineProcess:
        return EngineProcess(
            "fake", Path(kind), Draft(**settings), marks=QWEN, order=FimOrder.SUFFIX_FIRST,
            on_state=states.append, command=[sys.executable, str(worker)],
        )  # fmt: skip

    engine.states = states  # type: ignore[attr-defined]
    yield engine
    assert psutil.Process().children() == []


async def text_of(engine: EngineProcess, prefix: str = "x") -> bytes:
    return b"".join([token.piece async for token in engine.generate(FimContext(prefix, ""), Limits())])


async def test_tokens_and_usage(make) -> None:
    engine = make()
    tokens = [token async for token in engine.generate(FimContext("x", ""), Limits())]

    assert [token.piece for token in tokens] == [b"one", "é".encode()]
    assert (tokens[0].entropy, tokens[0].vocabulary) == (0.5, 1000)
    assert engine.usage() == {"generated_tokens": 2}
    await engine.aclose()
    assert [state.state for state in make.states] == ["loading", "ready", "working", "ready", "stopped"]


async def test_a_search_that_takes_too_long_gives_the_drafts_that_are_whole(make) -> None:
    engine = make()
    await text_of(engine)
    found = await engine.candidates(FimContext("x", ""), Limits(), Search(branches=3), within_s=0.2)

    assert [[token.piece for token in tokens] for tokens in found] == [[b"one", b"whole\n"], [b"other\n"]]
    assert await text_of(engine) == "oneé".encode()
    await engine.aclose()


async def test_a_crash_costs_one_completion(make) -> None:
    engine = make()
    with pytest.raises(EngineDied, match=r"exit code 6.*GGML_ASSERT"):
        await text_of(engine, "crash")

    assert await text_of(engine) == "oneé".encode()
    await engine.aclose()


async def test_an_engine_killed_while_idle_costs_nothing(make) -> None:
    engine = make()
    await text_of(engine)
    psutil.Process(engine.pid).kill()

    assert await text_of(engine) == "oneé".encode()
    await engine.aclose()


async def test_a_hang_costs_one_completion(make) -> None:
    engine = make(hang_timeout_s=0.2)
    with pytest.raises(EngineDied, match="silent"):
        await text_of(engine, "hang")

    assert await text_of(engine) == "oneé".encode()
    await engine.aclose()


async def test_it_backs_off_while_it_keeps_dying_and_recovers(make, monkeypatch) -> None:
    waited: list[float] = []
    real_sleep = asyncio.sleep

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        await real_sleep(0)

    engine = make()
    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    for _ in range(4):
        with pytest.raises(EngineDied):
            await text_of(engine, "crash")
    assert await text_of(engine) == "oneé".encode()
    with pytest.raises(EngineDied):
        await text_of(engine, "crash")
    assert await text_of(engine) == "oneé".encode()
    monkeypatch.undo()

    assert waited == [0.0, 0.0, 1.0, 2.0, 4.0, 0.0]
    await engine.aclose()


async def test_a_model_that_cannot_be_loaded_is_not_tried_again_until_restart(make) -> None:
    engine = make("bad")
    for _ in range(3):
        with pytest.raises(ModelLoadError, match="cannot load") as caught:
            await text_of(engine)
        assert caught.value.hint == "choose another"
    assert [state.state for state in make.states].count("loading") == 1
    assert engine.state == EngineState("failed", "cannot load", "choose another")
    await engine.restart()
    with pytest.raises(ModelLoadError):
        await text_of(engine)
    assert [state.state for state in make.states].count("loading") == 2
    await engine.aclose()


@pytest.mark.parametrize("kind", ["crash", "hang"])
async def test_dying_or_hanging_while_loading(make, kind: str) -> None:
    engine = make(kind, load_timeout_s=0.5)
    with pytest.raises(EngineDied):
        await text_of(engine)
    await engine.aclose()


async def test_cancelling_the_reader_stops_the_job_and_frees_the_engine(make) -> None:
    engine = make()
    started = asyncio.Event()

    async def read() -> None:
        async for _ in engine.generate(FimContext("endless", ""), Limits()):
            started.set()

    task = asyncio.create_task(read())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert engine.usage() == {"generated_tokens": 1}
    assert await text_of(engine) == "oneé".encode()
    await engine.aclose()


async def test_cancelling_twice_leaves_the_next_job_its_own_tokens(make) -> None:
    engine = make()
    started = asyncio.Event()

    async def read() -> None:
        async for _ in engine.generate(FimContext("endless", ""), Limits()):
            started.set()

    task = asyncio.create_task(read())
    await started.wait()
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    assert await text_of(engine) == "oneé".encode()
    await engine.aclose()


async def test_a_worker_that_talks_nonsense_is_replaced_at_once(make) -> None:
    engine = make(hang_timeout_s=3600)
    with pytest.raises(EngineDied):
        await text_of(engine, "garbage")

    assert await text_of(engine) == "oneé".encode()
    await engine.aclose()


@pytest.mark.parametrize("way", ["aclose", "restart"])
async def test_closing_while_loading_is_an_error_for_who_waits_and_no_cancellation(make, way: str) -> None:
    engine = make("hang")
    task = asyncio.create_task(text_of(engine))
    while engine.pid is None:  # noqa: ASYNC110  # the process has no event for its birth
        await asyncio.sleep(0)
    await getattr(engine, way)()

    with pytest.raises(EngineDied, match="closed while it loaded"):
        await task
    await engine.aclose()


async def test_no_file_of_the_working_directory_is_imported(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('code of the workspace ran')")
    monkeypatch.chdir(tmp_path)
    engine = EngineProcess("real", tmp_path / "json.py", Draft(), marks=QWEN, order=FimOrder.SUFFIX_FIRST)
    with pytest.raises(ModelLoadError):
        await text_of(engine)
    await engine.aclose()


async def test_stopping_early_stops_the_job(make) -> None:
    engine = make()
    stream = engine.generate(FimContext("endless", ""), Limits())
    assert (await anext(stream)).piece == b"one"
    await stream.aclose()

    assert await text_of(engine) == "oneé".encode()
    await engine.aclose()


async def test_jobs_wait_for_their_turn(make) -> None:
    engine = make()

    assert await asyncio.gather(*(text_of(engine) for _ in range(5))) == ["oneé".encode()] * 5
    await engine.aclose()


async def test_it_is_unloaded_when_idle_and_comes_back(make) -> None:
    engine = make(idle_unload_s=0.05)
    await text_of(engine)
    gone = asyncio.Event()
    engine._on_state = lambda state: gone.set() if state.state == "stopped" else None
    async with asyncio.timeout(30):
        await gone.wait()

    assert engine.pid is None
    assert await text_of(engine) == "oneé".encode()
    await engine.aclose()


async def test_woken_it_is_loaded_before_it_is_asked(make) -> None:
    engine = make(idle_unload_s=0.05)
    await text_of(engine)
    states: asyncio.Queue[str] = asyncio.Queue()
    engine._on_state = lambda state: states.put_nowait(state.state)
    async with asyncio.timeout(30):
        while await states.get() != "stopped":
            pass
        engine.wake()
        while await states.get() != "ready":
            pass
        assert engine.pid is not None
        while await states.get() != "stopped":  # and put away again where nobody asks
            pass
    await engine.aclose()
    engine.wake()
    assert engine.pid is None


async def test_waking_a_loaded_engine_leaves_it_alone(make) -> None:
    engine = make()
    await text_of(engine)
    pid = engine.pid
    engine.wake()
    assert await text_of(engine) == "oneé".encode()
    assert engine.pid == pid
    await engine.aclose()


async def test_a_refused_prompt_is_an_error_and_no_death(make) -> None:
    engine = make()
    with pytest.raises(DraftError, match="no room"):
        await text_of(engine, "refuse")
    pid = engine.pid
    assert await text_of(engine) == "oneé".encode()
    assert engine.pid == pid
    await engine.aclose()


async def test_closing_is_idempotent_and_final(make) -> None:
    engine = make()
    engine.start()
    await engine.aclose()
    await engine.aclose()

    with pytest.raises(DraftError, match="closed"):
        await text_of(engine)


async def read_soon(engine: EngineProcess, prefix: str) -> dict[str, float]:
    async for _ in engine.generate(FimContext(prefix, ""), Limits(reading_ms=100.0)):
        pass
    return engine.usage()


async def test_the_rest_of_a_window_is_read_when_nobody_waits(make) -> None:
    engine = make()
    assert await read_soon(engine, "long") == {"unread_tokens": 90}
    await engine.read_all()

    assert engine.usage() == {"unread_tokens": 90}  # of the last generation, not of what was read after it
    assert await read_soon(engine, "long") == {"unread_tokens": 0}
    await engine.aclose()


async def test_reading_ahead_gives_way_to_the_next_job_and_to_the_end(make) -> None:
    engine = make()
    await read_soon(engine, "long and slow")
    assert await text_of(engine) == "oneé".encode()
    await read_soon(engine, "long and slow")
    await engine.aclose()


async def test_nothing_is_read_ahead_where_the_next_job_waits_already(make) -> None:
    """It has stopped what was being read by then, and could not stop what begins before its turn: the job after it
    would wait until all was read."""
    engine = make()
    first = engine.generate(FimContext("long and slow, once", ""), Limits(reading_ms=100.0))
    await anext(first)
    second = asyncio.create_task(read_soon(engine, "long and slow, again"))
    for _ in range(5):
        await asyncio.sleep(0)
    async for _ in first:
        pass
    await second
    async with asyncio.timeout(10):
        assert await text_of(engine) == "oneé".encode()
    await engine.aclose()


async def test_nothing_is_read_ahead_where_the_user_does_not_want_it(make) -> None:
    engine = make(read_ahead=False)
    await read_soon(engine, "long")

    await engine.read_all()
    assert await read_soon(engine, "long") == {"unread_tokens": 90}
    await engine.aclose()


async def test_all_that_is_computed_is_counted_once(make) -> None:
    """By cancelled jobs and by reading ahead too."""
    engine = make()
    await text_of(engine)
    await read_soon(engine, "long")
    await engine.read_all()
    stream = engine.generate(FimContext("endless", ""), Limits())
    await anext(stream)
    await stream.aclose()
    await text_of(engine)  # waits until the cancelled one has ended

    assert engine.totals == {"jobs": 5.0, "evaluated_tokens": 9.0, "generated_tokens": 2.0 + 1.0 + 2.0}
    await engine.aclose()


async def test_a_review_is_no_generation_and_is_given_up_in_time(make) -> None:
    engine = make()
    await text_of(engine)
    told = await engine.review(FimContext("x", "\ny"), ["a", "bcd"])
    late = await engine.review(FimContext("slow", "\ny"), ["a", "bcd"], within_s=0.05)

    assert (told, late) == ([-1.0, -3.0], [])
    assert engine.usage() == {"generated_tokens": 2}
    assert engine.totals["evaluated_tokens"] == 5.0
    assert await text_of(engine)
    await engine.aclose()


async def test_a_review_gives_way_to_a_draft(make) -> None:
    engine = make()
    await text_of(engine)
    review = asyncio.create_task(engine.review(FimContext("slow", "\ny"), ["a", "bcd"]))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert await text_of(engine)
        with pytest.raises(DraftError, match="gave way"):
            await review
    assert await engine.review(FimContext("x", "\ny"), ["a"]) == [-1.0]
    await engine.aclose()


async def test_a_review_ends_with_whoever_asked_for_it(make) -> None:
    engine = make()
    await text_of(engine)
    review = asyncio.create_task(engine.review(FimContext("slow", "\ny"), ["a"]))
    await asyncio.sleep(0)
    review.cancel()
    async with asyncio.timeout(5):
        assert (await asyncio.gather(review, return_exceptions=True))[0].__class__ is asyncio.CancelledError
        assert await text_of(engine)
    await engine.aclose()


async def test_what_the_prompt_took_is_known_from_the_first_token_on(make) -> None:
    engine = make()
    await text_of(engine)
    stream = engine.generate(FimContext("endless", ""), Limits())
    await anext(stream)
    while_it_runs = engine.usage()
    await stream.aclose()
    await text_of(engine)

    assert while_it_runs == {"evaluated_tokens": 7}
    assert engine.usage() == {"generated_tokens": 2}
    await engine.aclose()


async def test_typing_at_a_new_place_leaves_no_job_without_its_messages(make) -> None:
    """The window is read on in each gap, and each request is cancelled by the next, also while it waits for the reading
    to end. A message that goes to the wrong reader would leave the right one waiting until the engine is taken for
    hung."""
    engine = make(hang_timeout_s=2.0)
    await text_of(engine)
    pid = engine.pid
    for keys in range(8):
        await read_soon(engine, f"long, slow and tired, {keys}")  # there is something to read on
        for turns in range(6):
            task = asyncio.create_task(text_of(engine, "endless, slow and tired"))
            for _ in range(keys + turns):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert await text_of(engine) == "oneé".encode()
    assert engine.pid == pid
    await engine.aclose()
