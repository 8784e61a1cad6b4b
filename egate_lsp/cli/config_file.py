"""Changes to the user's configuration file that leave the rest of it, comments included, as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from egate_lsp import files
from egate_lsp.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def changed(path: Path, changes: Mapping[tuple[str, ...], Any]) -> str:
    """The file's text after the changes: a key as its parts, and its value, or None to take it out.

    Raises:
        ConfigError: the file cannot be read, or is not valid TOML.
    """
    try:
        document = tomlkit.parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        document = tomlkit.document()
    except (OSError, UnicodeDecodeError, TOMLKitError) as error:
        raise ConfigError(
            f"{path} cannot be changed: {error}.", hint="Mend or move the file, then try again."
        ) from None
    for key, value in changes.items():
        table: Any = document
        for part in key[:-1]:
            if part not in table:
                table[part] = tomlkit.table()
            table = table[part]
            if not hasattr(table, "keys"):
                raise ConfigError(f"{path}: {part} should be a table.", hint="Mend the file, then try again.")
        if value is None:
            table.pop(key[-1], None)
        else:
            table[key[-1]] = value
    return tomlkit.dumps(document)


def write(path: Path, text: str) -> None:
    """Replace the file at once: it is never half written.

    Raises:
        ConfigError: it cannot be written.
    """
    try:
        files.replace(path, text)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror or error}.") from None
