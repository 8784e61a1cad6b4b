"""A reply's bytes become JSON objects: server-sent events, one object a line, or one object alone. Pure.

Which of the three it is shows in its first bytes; the Content-Type header is wrong often enough.
"""

from __future__ import annotations

import json
from typing import Any

from egate_lsp.errors import TargetReplyError

MAX_OBJECT_BYTES = 512 * 1024  # one token with its twenty rivals is 3 kB
DONE = "[DONE]"


class Frames:
    """Feed it bytes as they come.

    Attributes:
        done: the server has said that nothing follows.
        received: bytes that came.
    """

    def __init__(self) -> None:
        self._kind = ""  # "", "events" or "objects"
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0
        self._count = 0
        self.done = False
        self.received = 0

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The objects that are complete now.

        Raises:
            TargetReplyError: it is a web page, not JSON, or larger than any reply.
        """
        self.received += len(data)
        self._rest += data
        if not self._kind and not self._sniff():
            return []
        found: list[dict[str, Any]] = []
        start = 0
        while (end := self._rest.find(b"\n", start)) >= 0:
            found += self._line(self._rest[start:end].rstrip(b"\r"), last=False)
            start = end + 1
        self._rest = self._rest[start:]
        self._check_size()
        self._count += len(found)
        return found

    def end(self) -> list[dict[str, Any]]:
        """What is left at the end of the reply.

        Raises:
            TargetReplyError: it ends in the middle of an object, or there is nothing at all.
        """
        rest, self._rest = self._rest, b""
        if not self._kind:
            raise TargetReplyError("The target's answer is empty.", hint="See the server's log.")
        found = self._line(rest.rstrip(b"\r"), last=True)
        if self._kind == "events":
            found += self._dispatch()
        elif self._count + len(found) == 1:
            self.done = True  # one object alone is a whole reply
        return found

    def _sniff(self) -> bool:
        start = self._rest.lstrip(b"\xef\xbb\xbf \t\r\n")
        if not start:
            self._check_size()
            return False
        if start.startswith(b"<"):
            raise TargetReplyError(
                "The target answers with a web page, not with JSON.",
                hint="Is target.base_url the address of the API (most end in /v1), or does a proxy stand before it?",
            )
        self._kind = "objects" if start[:1] in b"{[" else "events"
        self._rest = start
        return True

    def _line(self, line: bytes, *, last: bool) -> list[dict[str, Any]]:
        if self._kind == "objects":
            return self._object(line, last=last)
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
            self._size += len(value)
        elif name not in {b"", b"event", b"id", b"retry"}:  # a line that begins with a colon is a comment
            raise TargetReplyError("The target's answer is no JSON.", hint=_WRONG_ADDRESS)
        return []

    def _dispatch(self) -> list[dict[str, Any]]:
        data, self._data, self._size = b"\n".join(self._data), [], 0
        if not data:
            return []
        if data.strip() == DONE.encode():
            self.done = True
            return []
        return [_parsed(data)]

    def _object(self, line: bytes, *, last: bool) -> list[dict[str, Any]]:
        """An object a line; one that is spread over lines is a whole reply, and is read at its end."""
        if not self._data and not last:
            try:
                return [_parsed(line)] if line.strip() else []
            except TargetReplyError:
                pass
        self._data.append(line)
        self._size += len(line)
        if not last:
            return []
        data, self._data = b"\n".join(self._data), []
        return [_parsed(data)] if data.strip() else []

    def _check_size(self) -> None:
        if len(self._rest) + self._size > MAX_OBJECT_BYTES:
            raise TargetReplyError("The target's answer does not end.", hint="Lower target.max_tokens.")


_WRONG_ADDRESS = "Does target.base_url end in /v1, and does the server speak this API (target.api)?"


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        raise TargetReplyError("The target's answer is no JSON, or was cut off.", hint=_WRONG_ADDRESS) from None
    if isinstance(value, list) and value and isinstance(value[0], dict):  # Google's compatible API wraps errors so
        value = value[0]
    if not isinstance(value, dict):
        raise TargetReplyError("The target's answer is not that of an API for completions.", hint=_WRONG_ADDRESS)
    return value
