"""Faults of the way to a server, at a real socket: each is one error with a hint, and no error holds the key."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import types
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from egate_lsp import config
from egate_lsp.config import Target, resolve
from egate_lsp.errors import (
    ConfigError,
    TargetAuthError,
    TargetChanged,
    TargetError,
    TargetFailed,
    TargetNotFound,
    TargetRateLimited,
    TargetReplyError,
    TargetTimeout,
    TargetUnavailable,
    TargetUntrusted,
)
from egate_lsp.models import Limits, connection
from egate_lsp.models.connection import is_loopback, proxy_for, retry_after, shown
from egate_lsp.models.fim import FimOrder
from egate_lsp.models.keys import key_of
from egate_lsp.models.openai_target import OpenAITarget
from egate_lsp.values import FimContext, Shape
from tests.raw_http import Visit, events, in_turn, raw_server, reply

HOLE = FimContext("def f():\n    return ", "\n", "a.py", "python", Shape.LINE)
KEY = "sk-qWxZvKjYpLmRtHbNcDfG"
GOOD = reply(events("1"), headers={"content-type": "text/event-stream"})
PROXY_VARIABLES = [
    name for kind in ("http", "https", "all", "no") for name in (f"{kind}_proxy", f"{kind}_PROXY".upper())
]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def target(base_url: str, **settings) -> OpenAITarget:
    fields = {"api": "suffix", "timeout_s": 30.0, "model": "m", "api_key": KEY, **settings}
    return OpenAITarget(Target(base_url=base_url, **fields), marks=None, order=FimOrder.PREFIX_ONLY)


async def asked(subject: OpenAITarget) -> str:
    return b"".join([token.piece async for token in subject.generate(HOLE, Limits(40, 1))]).decode()


async def fault(base_url: str, **settings) -> TargetError:
    subject = target(base_url, **settings)
    try:
        with pytest.raises(TargetError) as caught:
            await asked(subject)
    finally:
        await subject.aclose()
    error = caught.value
    for text in (error.explanation, repr(error), repr(subject), repr(subject.__dict__)):
        assert not any(KEY[start : start + 8] in text for start in range(len(KEY) - 7)), text
    assert error.hint
    assert HOLE.prefix not in error.explanation
    return error


async def drip(visit: Visit) -> None:
    """A byte now and then, for ever."""
    await visit.send(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n")
    while not visit.server.gone.is_set():
        await visit.send(b":")
        await asyncio.sleep(0.02)


async def drip_headers(visit: Visit) -> None:
    await visit.send(b"HTTP/1.1 200 OK\r\nx: ")
    while True:
        await visit.send(b"y")
        await asyncio.sleep(0.02)


async def hang(visit: Visit) -> None:
    await visit.until_gone()


async def cut(visit: Visit) -> None:
    """The connection breaks in the middle of a chunk."""
    await visit.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\ndata: {")
    raise ConnectionError


async def reset(visit: Visit) -> None:
    raise ConnectionError


async def no_http(visit: Visit) -> None:
    await visit.send(b"220 mail.example ESMTP\r\n")
    raise ConnectionError


def endless(head: bytes, piece: bytes):
    async def act(visit: Visit) -> None:
        await visit.send(head)
        while True:
            await visit.send(b"%x\r\n%s\r\n" % (len(piece), piece))

    return act


CHUNKED = b"HTTP/1.1 %d Any\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
ONE_TOKEN = events("x" * 50, finish=False)
FAULTS = {
    "401 that repeats the key": (reply(f'{{"error": {{"message": "bad key {KEY}"}}}}', status=401), TargetAuthError),
    "403": (reply("{}", status=403), TargetAuthError),
    "400 that repeats the key": (reply(f'{{"error": {{"message": "bad {KEY[:12]}"}}}}', status=400), TargetReplyError),
    "404": (reply("404 page not found", status=404, headers={"content-type": "text/plain"}), TargetNotFound),
    "429": (reply("{}", status=429), TargetRateLimited),
    "500": (reply("{}", status=500), TargetFailed),
    "502, a web page": (reply("<html>Bad gateway</html>", status=502), TargetFailed),
    "no headers": (hang, TargetTimeout),
    "dripping headers": (drip_headers, TargetTimeout),
    "dripping body": (drip, TargetTimeout),
    "cut": (cut, TargetUnavailable),
    "reset": (reset, TargetUnavailable),
    "no HTTP": (no_http, TargetUnavailable),
    "wrong JSON": (reply("{'a': 1}"), TargetReplyError),
    "a list": (reply("[1, 2]"), TargetReplyError),
    "a web page": (reply("<html>", headers={"content-type": "text/html"}), TargetReplyError),
    "an endless answer": (endless(CHUNKED % 200, ONE_TOKEN), TargetReplyError),
    "an endless line": (endless(CHUNKED % 200, b"x" * 65536), TargetReplyError),
    "endless comments": (endless(CHUNKED % 200, b":" * 1000 + b"\n"), TargetReplyError),
    "an endless error page": (endless(CHUNKED % 500, b"x" * 65536), TargetReplyError),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_a_fault_is_one_error_with_a_hint(name) -> None:
    act, kind = FAULTS[name]
    slow = kind is TargetTimeout
    async with raw_server(act) as server:
        error = await fault(f"{server.url}/v1", timeout_s=0.3 if slow else 30.0)

    assert type(error) is kind, error


@asynccontextmanager
async def plain_server():
    """Greets whoever comes, without TLS."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def test_nobody_there_no_such_host_and_no_encryption() -> None:
    refused = await fault("http://127.0.0.1:9/v1")
    unknown = await fault("http://no-such-host.invalid/v1")
    async with plain_server() as port:
        plain = await fault(f"https://127.0.0.1:{port}/v1")

    assert type(refused) is TargetUnavailable
    assert "http://127.0.0.1:9/v1" in str(refused)
    assert type(unknown) is TargetUnavailable
    assert "no-such-host.invalid" in str(unknown)
    assert type(plain) is TargetUntrusted
    assert "http://" in plain.hint


async def test_a_certificate_that_nobody_vouches_for_unless_the_user_does(monkeypatch) -> None:
    file = Path(__file__).parent / "data" / "untrusted.pem"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    async with raw_server(GOOD, ssl=context) as server:
        url = f"https://127.0.0.1:{server.port}/v1"
        error = await fault(url)
        assert type(error) is TargetUntrusted
        assert "SSL_CERT_FILE" in error.hint
        assert server.requests == []  # neither key nor code went out

        monkeypatch.setenv("SSL_CERT_FILE", str(file))
        subject = target(url)
        assert await asked(subject) == "1"
        await subject.aclose()


async def test_a_redirect_is_not_followed() -> None:
    async with raw_server(GOOD) as elsewhere:
        away = reply(b"", status=307, headers={"location": f"{elsewhere.url}/v1/completions"})
        async with raw_server(away) as server:
            error = await fault(f"{server.url}/v1")

        assert type(error) is TargetNotFound
        assert elsewhere.requests == []


async def test_a_proxy_is_used_for_other_hosts_and_never_for_this_machine(monkeypatch) -> None:
    async with raw_server(GOOD) as proxy, raw_server(GOOD) as local:
        monkeypatch.setenv("http_proxy", proxy.url)
        away, here = target("http://target.example/v1"), target(f"{local.url}/v1")
        assert await asked(away) == "1"
        assert await asked(here) == "1"
        await away.aclose()
        await here.aclose()

        assert [request.path for request in proxy.requests] == ["http://target.example/v1/completions"]
        assert [request.path for request in local.requests] == ["/v1/completions"]
    error = await fault("http://target.example/v1")
    assert type(error) is TargetUnavailable
    assert "proxy" in str(error)
    assert "NO_PROXY" in error.hint


def test_which_proxy(monkeypatch) -> None:
    monkeypatch.setenv("https_proxy", "user:secret@proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")

    assert proxy_for("https://api.example/v1") == "http://user:secret@proxy.example:3128"
    assert shown("http://user:secret@proxy.example:3128") == "http://proxy.example:3128"
    assert proxy_for("http://api.example/v1") is None
    assert proxy_for("https://inside.example/v1") is None
    assert proxy_for("https://[::1]:8080/v1") is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [("http://localhost:1/v1", True), ("http://127.8.0.1/v1", True), ("http://[::1]/v1", True),
     ("http://10.0.0.1/v1", False), ("http://localhost.example/v1", False), ("http://127.0.0.1.example/", False)],
)  # fmt: skip
def test_this_machine(url, expected) -> None:
    assert is_loopback(url) is expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [("5", 5.0), ("0", 0.0), ("1.5", 1.5), ("Wed, 25 Nov 2026 02:00:30 GMT", 30.0),
     ("Wed, 25 Nov 2026 01:00:00 GMT", 0.0),
     ("999999999", 86400.0), ("Fri, 31 Dec 9999 23:59:59 GMT", 86400.0),
     (None, None), ("", None), ("soon", None), ("-3", None), ("nan", None), ("inf", None), ("99 Foo", None)],
)  # fmt: skip
def test_retry_after(value, expected) -> None:
    assert retry_after(value, now=lambda: 1795572000.0) == expected


async def test_a_kept_connection_that_the_server_has_closed_costs_nothing() -> None:
    async with raw_server(in_turn(GOOD, reset, GOOD, reset)) as server:
        subject = target(f"{server.url}/v1")
        assert await asked(subject) == "1"
        assert await asked(subject) == "1"
        assert len(server.posts) == 3
        with pytest.raises(TargetUnavailable):  # once, not for ever
            await asked(subject)
        assert len(server.posts) == 5
        await subject.aclose()


async def test_retry_after_reaches_the_error_by_number_and_by_date() -> None:
    async with raw_server(reply("{}", status=429, headers={"retry-after": "17"})) as server:
        assert (await fault(f"{server.url}/v1")).retry_after_s == 17.0
    async with raw_server(reply("{}", status=503, headers={"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"})) as server:
        assert (await fault(f"{server.url}/v1")).retry_after_s == connection.LONGEST_RETRY_AFTER_S


async def test_another_model_than_before_is_told_once() -> None:
    def answer(model):
        return reply(events("1", model=model), headers={"content-type": "text/event-stream"})

    async with raw_server(in_turn(*map(answer, ["a", "a", "b", "b"]))) as server:
        subject = target(f"{server.url}/v1")
        assert await asked(subject) == "1"
        assert await asked(subject) == "1"
        with pytest.raises(TargetChanged, match=r"'b'.*'a'"):
            await asked(subject)
        assert await asked(subject) == "1"
        await subject.aclose()


async def test_what_openai_reads_from_the_environment_does_not_go_to_other_servers(monkeypatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.setenv(name, f"value-of-{name}")
    async with raw_server(GOOD) as server:
        subject = target(f"{server.url}/v1", api_key=None)
        await asked(subject)
        await subject.aclose()

    assert "value-of" not in server.requests[0].head


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_key_from_each_place(monkeypatch) -> None:
    monkeypatch.setenv("MY_KEY", f" {KEY}\n")
    in_keyring(monkeypatch, {("egate-lsp", "work"): "sk-from-keyring"})

    assert key_of(Target(api_key_env="MY_KEY", api_key="sk-other")) == KEY
    assert key_of(Target(api_key_keyring="work")) == "sk-from-keyring"
    assert key_of(Target(api_key="sk-editor")) == "sk-editor"
    assert key_of(Target()) is None


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"api_key_env": "NOT_SET"}, "NOT_SET"), ({"api_key_keyring": "home"}, "keyring set egate-lsp home"),
     ({"api_key_env": "BROKEN"}, "odd characters"), ({"api_key": f"{KEY}\r\nX-Evil: 1"}, "odd characters")],
)  # fmt: skip
def test_a_place_without_a_usable_key(monkeypatch, settings, says) -> None:
    monkeypatch.setenv("BROKEN", f"{KEY} é")
    in_keyring(monkeypatch, {})
    with pytest.raises(ConfigError) as caught:
        key_of(Target(**settings))

    assert says in caught.value.explanation
    assert KEY not in caught.value.explanation


def in_keyring(monkeypatch, entries) -> None:
    """A keyring without a desktop."""
    keyring = types.ModuleType("keyring")
    keyring.get_password = lambda service, name: entries.get((service, name))  # type: ignore[attr-defined]
    errors = types.ModuleType("keyring.errors")
    errors.KeyringError = type("KeyringError", (Exception,), {})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setitem(sys.modules, "keyring.errors", errors)


def test_the_real_keyring_library_has_what_is_used_of_it() -> None:
    keyring = pytest.importorskip("keyring")
    from keyring.errors import KeyringError

    assert callable(keyring.get_password)
    assert issubclass(KeyringError, Exception)


@pytest.mark.parametrize(
    "table",
    [{"api_key": 5}, {"api_key": [KEY]}, {"api_key_env": KEY}, {"api_key_keyring": KEY * 9}, {"apiKeyy": KEY},
     {"base_url": f"http://user:{KEY}@host/v1"}, {"base_url": f"http://host/v1?key={KEY}"}, {"base_url": KEY}],
)  # fmt: skip
def test_a_key_in_the_wrong_place_is_not_repeated(table) -> None:
    settings, problems = resolve([("editor", {"target": table})])

    assert len(problems) == 1
    assert KEY not in str(problems[0])
    assert KEY not in repr(settings)


def test_a_key_in_settings_does_not_show() -> None:
    settings, problems = resolve([("editor", {"target": {"apiKey": KEY}})])

    assert problems == []
    assert settings.target.api_key == SecretStr(KEY)
    assert KEY not in repr(settings)
    assert KEY not in str(settings)
    assert KEY not in settings.model_dump_json()
    assert "api_key" in config.SECRETS
    assert os.environ.get("MY_KEY") is None
