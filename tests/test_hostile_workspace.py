"""A workspace that wants the user's text elsewhere: real sockets listen, and what they are sent is counted."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from egate_lsp.config import resolve
from egate_lsp.service import Service, Snapshot

MARK = "CANARY_7f31"
AWS = "AKIAIOSFODNN7EXAMPLE"
PATIENT = {"cascade": {"deadline_ms": 60_000, "invoked_deadline_ms": 60_000}}


class Listener:
    """An OpenAI-compatible server that keeps each byte it is sent.

    Attributes:
        connections, received: so far.
    """

    def __init__(self) -> None:
        self.connections = 0
        self.received = b""
        self.base_url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while data := await reader.read(65536):
                self.received += data
                head, ended, body = self.received.rpartition(b"POST ")[2].partition(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
                if ended and len(body) >= length:
                    reply = b'data: {"id":"1","object":"text_completion","created":1,"model":"m",'
                    reply += b'"choices":[{"index":0,"text":"sure","finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
                    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
                    writer.write(head + reply)
                    await writer.drain()
                    break
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def listening():
    listener = Listener()
    server = await asyncio.start_server(listener.handle, "127.0.0.1", 0)
    listener.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield listener
    finally:
        server.close()
        await server.wait_closed()


def configured(folder: Path, listener: Listener, **tables):
    """The user's own settings: every line is deferred to the listener."""
    script = folder / "script.json"
    script.write_text(json.dumps([{"after": "", "tokens": [["draft", 5.0], ["\n", 0.1]]}]))
    target = {"base_url": listener.base_url, "api": "suffix", "timeout_s": 60}
    table = {"draft": {"model": f"scripted:{script}"}, "target": target, "gate": {"tau": 0.0}, **PATIENT, **tables}
    resolved, problems = resolve([("user file", table)])
    assert problems == []
    return resolved


async def completed(service: Service, path: Path | str, text: str = f"{MARK} = \n"):
    return await service.complete(Snapshot(text, text.index("\n"), str(path), "python"), invoked=True)


@asynccontextmanager
async def session(tmp_path: Path, listener: Listener, *folders: Path, **tables):
    service = Service(configured(tmp_path, listener, **tables), consents_path=tmp_path / "state" / "consents.json")
    service.work_in([str(folder) for folder in folders])
    try:
        yield service
    finally:
        await service.aclose()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "ws"
    folder.mkdir()
    return folder


async def test_the_listener_sees_what_may_leave(tmp_path: Path, workspace: Path) -> None:
    """The other tests would pass with a deaf listener."""
    async with listening() as listener, session(tmp_path, listener, workspace) as service:
        completion = await completed(service, workspace / "a.py")

    assert completion.text == "sure"
    assert MARK.encode() in listener.received


async def test_links_and_tricks_get_nothing_out(tmp_path: Path, workspace: Path) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "config").write_text("")
    (home / "diary.py").write_text("")
    (workspace / "innocent.py").symlink_to(home / ".ssh" / "config")
    (workspace / "notes.py").symlink_to(home / "diary.py")
    (workspace / "sub").symlink_to(home)
    (workspace / "private").mkdir()
    (workspace / "private" / ".git").mkdir()
    (workspace / "private" / ".gitignore").write_text("!*\n")
    (workspace / ".gitignore").write_text("!.env\nprivate/\n")
    (workspace / "pipe").mkdir()
    os.mkfifo(workspace / "pipe" / ".gitignore")
    paths = [
        workspace / ".env", workspace / "innocent.py", workspace / "notes.py", workspace / "sub" / "diary.py",
        workspace / "private" / "a.py", workspace / "pipe" / "a.py", home / "diary.py",
        f"{workspace}/../home/diary.py", f"git:{workspace}/.env?HEAD",
    ]  # fmt: skip
    async with listening() as listener, session(tmp_path, listener, workspace) as service:
        for path in paths:
            completion = await completed(service, path)
            assert completion.text == "draft", path
            assert "models of this machine only" in completion.note, path

    assert (listener.connections, listener.received) == (0, b"")


@pytest.mark.parametrize("policy", [{"target": "off"}, {"languages": {"python": "off"}}, {"globs": {"*.py": "off"}}])
async def test_off_is_off(tmp_path: Path, workspace: Path, policy: dict) -> None:
    async with listening() as listener, session(tmp_path, listener, workspace, policy=policy) as service:
        completion = await completed(service, workspace / "a.py")

    assert completion.text == "draft"
    assert listener.connections == 0


async def test_a_key_in_the_text_stops_the_request(tmp_path: Path, workspace: Path) -> None:
    text = f'key = "{AWS}"\nx = \n'
    async with listening() as listener, session(tmp_path, listener, workspace) as service:
        completion = await service.complete(
            Snapshot(text, len(text) - 1, str(workspace / "a.py"), "python"), invoked=True
        )

    assert completion.text == "draft"
    assert completion.requests[0].outcome == "withheld"
    assert any("AWS Access Key" in reason for reason in completion.lines[0].reasons)
    assert not any(AWS in reason for reason in completion.lines[0].reasons)
    assert service.stats()["requests"] == 0
    assert listener.connections == 0


async def test_a_key_in_the_text_is_masked_and_the_answer_fits(tmp_path: Path, workspace: Path) -> None:
    text = f'key = "{AWS}"\nx = \n'
    masked = {"secrets": "mask"}
    async with listening() as listener, session(tmp_path, listener, workspace, privacy=masked) as service:
        completion = await service.complete(
            Snapshot(text, len(text) - 1, str(workspace / "a.py"), "python"), invoked=True
        )

    assert completion.text == "sure"
    assert AWS.encode() not in listener.received
    assert b"x" * len(AWS) in listener.received


async def test_until_the_user_has_answered_all_stays(tmp_path: Path, workspace: Path) -> None:
    questions: list[str] = []
    async with (
        listening() as listener,
        session(tmp_path, listener, workspace, policy={"target": "ask"}) as service,
    ):
        service.ask_with(questions.append)
        first = await completed(service, workspace / "a.py")
        assert (first.text, listener.connections) == ("draft", 0)
        assert questions == [os.path.realpath(workspace)]

        service.answered(questions[0], None)
        await completed(service, workspace / "a.py")
        assert listener.connections == 0

        service.answered(questions[0], "session")
        allowed = await completed(service, workspace / "a.py")
        assert allowed.text == "sure"
    assert not (tmp_path / "state" / "consents.json").exists()


NAMES = ["a.py", ".env", "id_rsa", "x.pem", "keys/a.py", "credentials.py", "deep/er/b.py", "local.py"]


@settings(max_examples=15, deadline=None)
@given(
    names=st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True),
    ignore=st.dictionaries(
        st.sampled_from([".gitignore", "keys/.gitignore", "deep/.gitignore"]),
        st.lists(st.sampled_from(["local.py", "!local.py", "keys/", "!.env", "!*", "*.pem", "deep/"]), max_size=3),
        max_size=3,
    ),
    links=st.dictionaries(st.sampled_from(["link.py", "keys/link.py"]), st.sampled_from(["out.py", ".ssh/config"])),
    repository=st.booleans(),
)
def test_nothing_private_leaves_a_random_workspace(names, ignore, links, repository) -> None:
    """The oracle is written down here anew: names, links out, and patterns of the top .gitignore without negation."""

    async def scenario(base: Path) -> None:
        workspace, home = base / "ws", base / "home"
        (workspace / "keys").mkdir(parents=True)
        (workspace / "deep" / "er").mkdir(parents=True)
        (home / ".ssh").mkdir(parents=True)
        for name in ("out.py", ".ssh/config"):
            (home / name).write_text("")
        if repository:
            (workspace / "deep" / ".git").mkdir()
        for name, lines in ignore.items():
            (workspace / name).write_text("\n".join(lines))
        for name, to in links.items():
            (workspace / name).symlink_to(home / to)
        (workspace / "config.toml").write_text('[target]\nbase_url = "http://127.0.0.1:9/v1"\n')
        top = ignore.get(".gitignore", [])
        private = {".env", "id_rsa", "x.pem", "credentials.py", *links}
        for folder, holds in (("keys/", "keys/a.py"), ("deep/", "deep/er/b.py")):
            if folder in top and "!*" not in top:
                private.add(holds)
        async with listening() as listener, session(base, listener, workspace) as service:
            for name in [*names, *links]:
                text = f"{MARK}_{name.replace('/', '_')} = \n"
                await completed(service, workspace / name, text)
        for name in {*names, *links} & private:
            assert f"{MARK}_{name.replace('/', '_')}".encode() not in listener.received, name
        if "a.py" in names and not top:
            assert f"{MARK}_a.py".encode() in listener.received

    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(scenario(Path(folder)))
