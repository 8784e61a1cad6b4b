"""A target on loopback that answers when the test lets it: what a slow, real one does to an editor."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE_S = 60.0


class SlowTarget:
    """Answers every request with `text`, once `release` is set."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.release = threading.Event()
        self.port = 0

    @property
    def settings(self) -> dict[str, Any]:
        """The server's settings that name it."""
        return {"target": {"base_url": f"http://127.0.0.1:{self.port}/v1", "api": "suffix", "timeout_s": PATIENCE_S}}


@contextmanager
def slow_target(text: str) -> Iterator[SlowTarget]:
    """A running target that adds `text`."""
    target = SlowTarget(text)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            target.release.wait(PATIENCE_S)
            choice = {"index": 0, "text": target.text, "finish_reason": None}
            reply = {"id": "x", "object": "text_completion", "created": 1, "model": "slow", "choices": [choice]}
            body = f"data: {json.dumps(reply)}\n\ndata: [DONE]\n\n".encode()
            try:
                self.send_response(200)
                self.send_header("Content-Type", "text/event-stream")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                pass  # who asked has gone

        def log_message(self, *_arguments: Any) -> None:
            """Nothing on the terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    target.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield target
    finally:
        target.release.set()
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE_S)
