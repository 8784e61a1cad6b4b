"""LSP's base protocol: bytes in, message bodies out, and back. Pure; survives broken headers."""

from __future__ import annotations

import re

_LENGTH = re.compile(rb"Content-Length:[ \t]*(\d{1,10})[ \t]*\r?\n", re.I)
_HEADER_END = b"\r\n\r\n"
MAX_BODY = 256 << 20  # bytes; a larger number in a header is damage, not a document
MAX_GARBAGE = 1 << 20


class Framer:
    """Cuts a stream of bytes into bodies.

    A block of headers without a usable Content-Length is passed over; the next one that has it is found even if the
    lost message's body stands before it.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._wanted: int | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """The bodies that are complete now."""
        self._buffer += data
        bodies: list[bytes] = []
        while True:
            if self._wanted is None and not self._read_header():
                return bodies
            assert self._wanted is not None
            if len(self._buffer) < self._wanted:
                return bodies
            bodies.append(bytes(self._buffer[: self._wanted]))
            del self._buffer[: self._wanted]
            self._wanted = None

    def _read_header(self) -> bool:
        while (end := self._buffer.find(_HEADER_END)) >= 0:
            block = bytes(self._buffer[: end + len(_HEADER_END)])
            del self._buffer[: end + len(_HEADER_END)]
            lengths = _LENGTH.findall(block)
            if lengths and int(lengths[-1]) <= MAX_BODY:
                self._wanted = int(lengths[-1])
                return True
        if len(self._buffer) > MAX_GARBAGE:
            del self._buffer[:-MAX_GARBAGE]
        return False


def frame(body: bytes) -> bytes:
    """A body with its header."""
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
