"""The way to one server: requests out, JSON objects in, and every fault as one of our errors.

The only importer of openai, imported when first needed. What is asked here of its client is what forms of all servers
have in common: a key in the header, a POST with JSON, errors by status. The reply's bytes are read by `frames`, and
are counted on their way, so that no reply, error page or compressed bomb can fill the memory.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
import urllib.request
from contextlib import aclosing
from email.utils import parsedate_to_datetime
from socket import gaierror
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from egate_lsp.errors import (
    TargetAuthError,
    TargetError,
    TargetFailed,
    TargetNotFound,
    TargetRateLimited,
    TargetReplyError,
    TargetTimeout,
    TargetUnavailable,
    TargetUntrusted,
)
from egate_lsp.models.dialects import address
from egate_lsp.records import is_loopback

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator

    from egate_lsp.models.frames import Frames

MAX_REPLY_BYTES = 4 * 1024 * 1024
MAX_MESSAGE_CHARS = 200
# Servers close an idle connection after 5 s (llama-server, uvicorn), those of services after a minute or more. Where no
# handshake is saved, nothing is lost by closing first.
KEEP_PLAIN_S, KEEP_TLS_S = 2.0, 30.0
LONGEST_RETRY_AFTER_S = 24 * 3600.0


class Connection:
    """Requests to one server. Errors never hold the key, nor what was sent."""

    def __init__(self, base_url: str, key: str | None, timeout_s: float) -> None:
        """`timeout_s`: a request, its whole reply included, may take so long."""
        self._base_url = base_url
        self._key = key
        self._timeout_s = timeout_s
        self._client: Any = None
        self._kept = False  # a connection may be open from an earlier request
        self._where = shown(base_url)
        self._proxy = proxy_for(base_url)

    async def post(self, url: str, body: dict[str, Any], frames: Frames) -> AsyncGenerator[dict[str, Any], None]:
        """The objects of the reply as they come, read by `frames`; closing the iterator closes the socket.

        Raises:
            TargetError: one of its kinds, with a hint.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._send("POST", url, body)
                try:
                    async with aclosing(response.aiter_bytes()) as chunks:
                        async for chunk in chunks:
                            for event in frames.feed(chunk):
                                yield event
                            if frames.done:
                                return
                    for event in frames.end():
                        yield event
                finally:
                    await response.aclose()
        except TargetError:
            raise
        except Exception as error:
            raise await self._translated(error) from None

    async def get(self, url: str) -> dict[str, Any]:
        """A small JSON object.

        Raises:
            TargetError: as `post`.
        """
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._send("GET", url, None)
                try:
                    raw = await response.aread()
                finally:
                    await response.aclose()
            value = json.loads(raw)
        except TargetError:
            raise
        except ValueError:
            raise TargetReplyError("The target's answer is no JSON.", hint="See target.base_url.") from None
        except Exception as error:
            raise await self._translated(error) from None
        return value if isinstance(value, dict) else {"data": value}

    async def models(self) -> list[tuple[str, dict[str, Any]]]:
        """The models that the server offers, by name, with what it says of each; empty if it does not tell.

        Raises:
            TargetAuthError: it wants a key to tell.
            TargetUnavailable, TargetTimeout: nobody is there.
        """
        for url in (address(self._base_url, path) for path in ("models", "/v1/models", "/api/tags")):
            try:
                told = await self.get(url)
            except TargetAuthError:
                raise
            except TargetError as error:
                if error.status or isinstance(error, TargetReplyError):
                    continue
                raise
            entries = told.get("data") if isinstance(told.get("data"), list) else told.get("models")
            found = [
                (str(entry.get("id") or entry.get("model") or entry.get("name")), entry)
                for entry in (entries if isinstance(entries, list) else [])
                if isinstance(entry, dict)
            ]
            if found:
                return found
        return []

    async def aclose(self) -> None:
        """Close the sockets. Idempotent."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def _send(self, method: str, url: str, body: dict[str, Any] | None) -> Any:
        openai, httpx2 = await _libraries()
        if self._client is None:
            self._client = self._open(openai, httpx2)
        # A stream of the client's own gives the open response; its events are not read by it.
        fields = {"cast_to": object, "stream": True, "stream_cls": openai.AsyncStream[object]}
        if body is not None:
            fields["body"] = body
        send = self._client.get if method == "GET" else self._client.post
        try:
            stream = await send(url, **fields)
        except openai.APIConnectionError as error:
            broken = (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError)
            if not self._kept or not isinstance(error.__cause__, broken):
                raise
            # The server closed the connection that was kept in the moment in which it was used again.
            self._kept = False
            stream = await send(url, **fields)
        self._kept = True
        return stream.response

    def _open(self, openai: Any, httpx2: Any) -> Any:
        try:
            keep_s = KEEP_TLS_S if self._base_url.startswith("https:") else KEEP_PLAIN_S
            limits = httpx2.Limits(keepalive_expiry=keep_s)
            transport = _bounded(httpx2, httpx2.AsyncHTTPTransport(proxy=self._proxy, limits=limits))
        except ImportError:
            raise TargetUnavailable(
                "A SOCKS proxy is set in the environment, and its library is missing.",
                hint="Run: pip install 'httpx2[socks]', or set NO_PROXY.",
            ) from None
        client = openai.AsyncOpenAI(
            # A server without keys gets one all the same: the client refuses to start without.
            api_key=self._key or "none",
            base_url=self._base_url,
            max_retries=0,
            timeout=self._timeout_s,
            # A redirect could lead the user's code to a host that the user never named.
            http_client=httpx2.AsyncClient(
                transport=transport,
                timeout=self._timeout_s,
                follow_redirects=False,
                headers={"Accept-Encoding": "identity"},
            ),
        )
        # The client takes these from OPENAI_ORG_ID and OPENAI_PROJECT_ID; they are nobody else's business.
        client.organization = client.project = None
        return client

    async def _translated(self, error: Exception) -> TargetError:
        """Our error for another library's. Its own text may quote the request, and is not kept."""
        openai, httpx2 = await _libraries()
        if isinstance(error, openai.APIStatusError):
            response = error.response
            wait_s = retry_after(response.headers.get("retry-after"), response.headers.get("retry-after-ms"))
            location = response.headers.get("location", "") if 300 <= response.status_code < 400 else ""
            return self.by_status(response.status_code, _message(error.body), wait_s, location)
        causes = list(_causes(error))
        if any(isinstance(cause, TimeoutError | openai.APITimeoutError | httpx2.TimeoutException) for cause in causes):
            return TargetTimeout(
                f"{self._where} did not answer within {self._timeout_s:g} s.", hint="See target.timeout_s."
            )
        if any(isinstance(cause, ssl.SSLError) for cause in causes):
            return self._untrusted(next(cause for cause in causes if isinstance(cause, ssl.SSLError)))
        through = f" through the proxy {shown(self._proxy)}" if self._proxy else ""
        proxy_hint = " A proxy is set in the environment; NO_PROXY excepts hosts from it." if self._proxy else ""
        if any(isinstance(cause, gaierror) for cause in causes):
            host = urlsplit(self._proxy or self._base_url).hostname
            return TargetUnavailable(
                f"There is no host {host!r}, or the network is down.", hint=f"See target.base_url.{proxy_hint}"
            )
        if any(isinstance(cause, httpx2.ProxyError) for cause in causes):
            return TargetUnavailable(f"{self._where} cannot be reached{through}.", hint=proxy_hint.strip())
        if any(isinstance(cause, httpx2.ConnectError | ConnectionRefusedError) for cause in causes):
            return TargetUnavailable(
                f"Nothing answers at {self._where}{through}.",
                hint=f"Does it run? Is target.base_url right?{proxy_hint}",
            )
        if any(isinstance(cause, httpx2.TransportError) for cause in causes):
            return TargetUnavailable(f"The connection to {self._where} broke.", hint="See the server's log.")
        if any(type(cause).__module__.startswith(("openai", "httpx2", "httpcore2")) for cause in causes):
            return TargetReplyError(f"The target's answer cannot be read ({type(error).__name__}).")
        raise error

    def _untrusted(self, error: ssl.SSLError) -> TargetUntrusted:
        if isinstance(error, ssl.SSLCertVerificationError):
            return TargetUntrusted(
                f"The certificate of {self._where} is not trusted: {error.verify_message}.",
                hint="If your organisation signs its own, name its certificate file in SSL_CERT_FILE.",
            )
        return TargetUntrusted(
            f"No encrypted connection to {self._where}: {error.reason or 'TLS failed'}.",
            hint="Should target.base_url begin with http:// instead?",
        )

    def by_status(self, status: int, message: str, wait_s: float | None = None, location: str = "") -> TargetError:
        """The error for an HTTP status. `message` is the server's own; `wait_s` its Retry-After."""
        error = self._by_status(status, self._without_key(message[:2000])[:MAX_MESSAGE_CHARS], wait_s, location)
        error.status = status
        return error

    def _by_status(self, status: int, message: str, wait_s: float | None, location: str) -> TargetError:
        if location:
            return TargetNotFound(
                f"{self._where} sends requests on to another address ({status}); they are not followed.",
                hint=f"If you trust it, set target.base_url for {shown(location)}.",
            )
        if status == 402:
            return TargetAuthError(f"The target wants to be paid (402): {message}", hint="See your account there.")
        if status == 407:
            return TargetUnavailable(
                "The proxy wants a name and a password (407).", hint="They go into HTTP_PROXY or HTTPS_PROXY."
            )
        if status in {401, 403}:
            what = "the key" if self._key else "a request without a key"
            return TargetAuthError(
                f"The target refused {what} ({status}).",
                hint="See target.api_key_env, api_key_keyring and api_key; the key may be for another address.",
            )
        if status == 404:
            return TargetNotFound(
                f"The target has no such model, or no such address (404): {message}",
                hint="See target.model and target.base_url; `egate-lsp doctor --target` lists its models.",
            )
        if status == 429:
            return TargetRateLimited(
                "The target asks to slow down (429).", hint="It is asked again after a pause.", retry_after_s=wait_s
            )
        if status == 408:
            return TargetTimeout("The target gave up waiting (408).", retry_after_s=wait_s)
        if status >= 500:
            return TargetFailed(
                f"The target reports an error of its own ({status}).",
                hint="See the server's log. It is asked again after a pause.",
                retry_after_s=wait_s,
            )
        hint = "See target.api, target.preset and target.extra_body."
        if re.search("suffix|insert", message):
            hint = 'Set target.api to "fim" or "chat".'
        return TargetReplyError(f"The target refused the request ({status}): {message}", hint=hint)

    def _without_key(self, text: str) -> str:
        """Some servers repeat the key, or most of it, to say that it is wrong."""
        key = self._key
        if not key:
            return text
        text = text.replace(key, "(the key)")
        for start in range(len(key) - 7):  # a part of eight characters gives it away, too
            text = text.replace(key[start : start + 8], "…")
        return text


def shown(url: str) -> str:
    """An address for people: without user name, password and query."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if _port(url) else ""
    return f"{parts.scheme}://{host}{port}{parts.path}"


def _port(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        return None


def proxy_for(url: str) -> str | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY or ALL_PROXY name for this address. None for this machine's own: what
    goes to a server here must not travel through another."""
    parts = urlsplit(url)
    if is_loopback(url) or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    proxies = urllib.request.getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    return found if not found or "://" in found else f"http://{found}"


def retry_after(
    value: str | None, milliseconds: str | None = None, now: Callable[[], float] = time.time
) -> float | None:
    """Seconds to wait by a Retry-After header, a number or an HTTP date; None if it says nothing that can be read."""
    for text, scale in ((milliseconds, 1000.0), (value, 1.0)):
        try:
            seconds = float(text or "") / scale
        except ValueError:
            continue
        if 0.0 <= seconds < float("inf"):
            return min(seconds, LONGEST_RETRY_AFTER_S)
    try:
        then = parsedate_to_datetime(value or "").timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(then - now(), 0.0), LONGEST_RETRY_AFTER_S)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error and all that led to it."""
    waiting, seen = [error], set()
    while waiting:
        current = waiting.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        waiting += [cause for cause in (current.__cause__, current.__context__) if cause is not None]
        if isinstance(current, BaseExceptionGroup):
            waiting += current.exceptions


def _message(body: Any) -> str:
    """The server's own words for what is wrong, from the shapes they come in."""
    if isinstance(body, dict):
        for key in ("message", "error", "detail", "msg"):
            if isinstance(body.get(key), str):
                return str(body[key])
            if isinstance(body.get(key), dict | list):
                return _message(body[key])
    if isinstance(body, list) and body:  # FastAPI: [{"loc": [...], "msg": "..."}]
        first = body[0]
        place = ".".join(str(part) for part in first.get("loc", ())) if isinstance(first, dict) else ""
        return f"{place} {_message(first)}".strip()
    if isinstance(body, str) and body.strip() and not body.lstrip().startswith("<"):
        return " ".join(body.split())
    return "no reason given"


async def _libraries() -> tuple[Any, Any]:
    """openai and its HTTP library, imported outside of the event loop: it takes half a second the first time."""

    def load() -> tuple[Any, Any]:
        import httpx2
        import openai

        return openai, httpx2

    return await asyncio.to_thread(load)


def _bounded(httpx2: Any, inner: Any) -> Any:
    """The transport with a cap on what comes in."""

    class Stream(httpx2.AsyncByteStream):  # type: ignore[misc]
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            total = 0
            async for chunk in self._stream:
                total += len(chunk)
                if total > MAX_REPLY_BYTES:
                    raise TargetReplyError("The target's answer does not end.", hint="Lower target.max_tokens.")
                yield chunk

        async def aclose(self) -> None:
            await self._stream.aclose()

    class Transport(httpx2.AsyncBaseTransport):  # type: ignore[misc]
        async def handle_async_request(self, request: Any) -> Any:
            response = await inner.handle_async_request(request)
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                await response.aclose()
                raise TargetReplyError(
                    "The target's answer is compressed, which it was not asked for.",
                    hint="See the proxy before it.",
                )
            response.stream = Stream(response.stream)
            return response

        async def aclose(self) -> None:
            await inner.aclose()

    return Transport()
