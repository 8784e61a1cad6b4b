from __future__ import annotations

import json
from pathlib import Path

import pytest

from egate_lsp.config import Settings, resolve
from egate_lsp.errors import ModelNotFound
from egate_lsp.service import Service, draft_rule
from egate_lsp.values import Outcome, Snapshot
from tests.test_openai_target import Play, stream


def settings(tmp_path: Path, **tables) -> Settings:
    path = tmp_path / "script.json"
    path.write_text(json.dumps([{"after": "", "tokens": [["unsure", 5.0], ["\n", 0.1]]}]))
    resolved, problems = resolve([("test", {"draft": {"model": f"scripted:{path}"}, **tables})])
    assert problems == []
    return resolved


async def served(
    play: Play, tmp_path: Path, path: str, *, text: str = "x = \n", paused: bool = False, on_status=None, **tables
):
    import asyncio

    server = await asyncio.start_server(play.handle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    target = {"base_url": f"http://127.0.0.1:{port}/v1", "api": "suffix", **tables.pop("target", {})}
    service = Service(settings(tmp_path, target=target, gate={"tau": 0.1}, **tables), on_status=on_status)
    try:
        if paused:
            service.pause_target(True)
        return await service.complete(Snapshot(text, text.index("x = ") + 4, path, "python"), invoked=True)
    finally:
        await service.aclose()
        server.close()
        await server.wait_closed()


async def test_an_unsure_line_comes_from_the_target(tmp_path: Path) -> None:
    play = Play(stream("sure"))
    completion = await served(play, tmp_path, "/home/me/project/main.py")

    assert completion.text == "sure"
    assert len(play.requests) == 1


@pytest.mark.parametrize(
    "path",
    ["/home/me/.env", "/p/.env.local", "/p/server.key", "/home/me/.ssh/config", "/p/my_credentials.py", "/p/id_rsa"],
)
async def test_nothing_of_a_private_file_leaves_the_machine(tmp_path: Path, path: str) -> None:
    play = Play(stream("sure"))
    completion = await served(play, tmp_path, path)

    assert completion.text == "unsure"
    assert play.requests == []
    assert "never_send" in completion.note


async def test_nothing_leaves_while_the_target_is_paused(tmp_path: Path) -> None:
    play = Play(stream("sure"))
    completion = await served(play, tmp_path, "/p/main.py", paused=True)

    assert completion.text == "unsure"
    assert play.requests == []


async def test_without_a_target_no_socket_is_opened(tmp_path: Path, monkeypatch) -> None:
    import socket

    def forbidden(*_args, **_kwargs):
        raise AssertionError("a connection was attempted")

    service = Service(settings(tmp_path, gate={"tau": 0.0}))
    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(socket, "create_connection", forbidden)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-present")
    completion = await service.complete(Snapshot("x = \n", 4, "/p/main.py", "python"), invoked=True)
    tiers = service.tiers
    await service.aclose()

    assert completion.text == "unsure"
    assert completion.requests == ()
    assert len(tiers) == 1


async def test_a_missing_model_says_what_to_do(tmp_path: Path) -> None:
    resolved, _ = resolve([("test", {"models": {"cache_dir": str(tmp_path)}})])
    states = []
    service = Service(resolved, on_status=states.append)
    with pytest.raises(ModelNotFound) as caught:
        await service.complete(Snapshot("x", 1), invoked=True)
    await service.aclose()

    assert caught.value.hint == "Run: egate-lsp models pull qwen2.5-coder-0.5b"
    assert states[-1].state == "error"


async def test_the_status_tells_when_the_target_is_asked(tmp_path: Path) -> None:
    states: list[str] = []
    play = Play(stream("sure"))
    await served(play, tmp_path, "/p/main.py", on_status=lambda status: states.append(status.state))

    assert states == ["ready", "working", "asking-target", "working", "ready"]


async def test_status_goes_from_starting_to_ready(tmp_path: Path) -> None:
    states = []
    service = Service(settings(tmp_path), on_status=states.append)
    assert service.status.state == "starting"
    await service.complete(Snapshot("x = \n", 4), invoked=True)

    assert [status.state for status in states] == ["ready", "working", "ready"]
    assert service.stats()["completions"] == 1
    await service.aclose()


async def test_the_rate_is_held_and_kept_for_the_next_session(tmp_path: Path) -> None:
    path = tmp_path / "state" / "pace.json"
    resolved = settings(tmp_path, target={"base_url": "http://127.0.0.1:9/v1"}, gate={"deferral_rate": 0.2})
    service = Service(resolved, pace_path=path)
    for number in range(5):  # the script is always unsure: the gate becomes less eager
        await service.complete(Snapshot(f"x{number} = \n", 5, "/p/main.py", "python"), invoked=True)
    await service.aclose()
    ((name, state),) = json.loads(path.read_text()).items()

    assert name == f"scripted:{tmp_path / 'script.json'}, {draft_rule(resolved).name}, 0.2"
    assert state["lines"] == 5
    assert state["held"] < 0.2


@pytest.mark.parametrize("gate", [{"tau": 0.1}, {"adaptive": False}])
async def test_a_tau_of_ones_own_is_left_alone(tmp_path: Path, gate: dict) -> None:
    path = tmp_path / "pace.json"
    service = Service(settings(tmp_path, target={"base_url": "http://127.0.0.1:9/v1"}, gate=gate), pace_path=path)
    await service.complete(Snapshot("x = \n", 4, "/p/main.py", "python"), invoked=True)
    await service.aclose()

    assert not path.exists()


async def test_what_is_typed_of_a_suggestion_leaves_the_rest_without_a_model(tmp_path: Path) -> None:
    service = Service(settings(tmp_path))
    try:
        first = await service.complete(Snapshot("x = \n", 4, "/p/main.py", "python"), invoked=False)
        model = service.tiers[0].model
        asked = len(model.asked)
        rest = await service.complete(Snapshot("x = uns\n", 7, "/p/main.py", "python"), invoked=False)
        back = await service.complete(Snapshot("x = u\n", 5, "/p/main.py", "python"), invoked=False)

        assert (first.text, rest.text, back.text) == ("unsure", "ure", "nsure")
        assert len(model.asked) == asked
        assert service.stats()["reused"] == 2
        assert rest.requests == ()

        await service.complete(Snapshot("x = uns\n", 7, "/p/main.py", "python"), invoked=True)
        assert len(model.asked) == asked + 1  # asked for by hand: anew
        await service.complete(Snapshot("x = u\n\n", 5, "/p/main.py", "python"), invoked=False)
        assert len(model.asked) == asked + 2  # something else changed
    finally:
        await service.aclose()


async def test_what_was_refused_is_not_shown_again_from_memory(tmp_path: Path) -> None:
    service = Service(settings(tmp_path))
    empty, other = Snapshot("x = \n", 4, "/p/main.py", "python"), Snapshot("x = v\n", 5, "/p/main.py", "python")
    try:
        await service.complete(empty, invoked=False)
        model = service.tiers[0].model
        await service.complete(other, invoked=False)  # typed past
        asked = len(model.asked)
        await service.complete(empty, invoked=False)
        assert len(model.asked) == asked + 1

        service.happened(Outcome.DISMISSED, empty.path)
        await service.complete(empty, invoked=False)
        assert len(model.asked) == asked + 2
    finally:
        await service.aclose()


LONG = "from other import helper\n\n\n" + "".join(f"def f{n}(a):\n    return a + {n}\n\n\n" for n in range(300))


@pytest.mark.parametrize("outline", [True, False])
async def test_why_tells_what_was_shown(tmp_path: Path, *, outline: bool) -> None:
    service = Service(settings(tmp_path, context={"outline": outline}))
    text = LONG + "x = \n" + LONG
    completion = await service.complete(Snapshot(text, len(LONG) + 4, "/p/main.py", "python"), invoked=True)
    await service.aclose()
    parts = {part.name: part for part in completion.window}

    assert ("the rest of the file in short" in parts) == outline
    assert all(0 < part.chars <= 3000 for part in parts.values())
    if outline:
        assert parts["the rest of the file in short"].text.startswith("from other import helper\n")


@pytest.mark.parametrize(
    ("shown", "seen"), [({}, (False, False)), ({"prefix_chars": 5000, "suffix_chars": 5000}, (True, True))]
)
async def test_a_target_may_be_shown_more_of_the_file(tmp_path: Path, shown: dict, seen: tuple) -> None:
    play = Play(stream("sure"))
    context = {"prefix_chars": 300, "suffix_chars": 100, "sources": []}
    text = "FIRST = 1\n" + "other = 2\n" * 100 + "x = \n" + "other = 2\n" * 100 + "LAST = 3\n"
    completion = await served(play, tmp_path, "/p/a.py", text=text, target=shown, context=context)
    (request,) = play.requests

    assert completion.text == "sure"
    assert ("FIRST" in str(request), "LAST" in str(request)) == seen
