"""Where a target's key comes from: the environment, the system's keyring, or the editor's secret store."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from egate_lsp.errors import ConfigError

if TYPE_CHECKING:
    from egate_lsp.config import Target

SERVICE = "egate-lsp"


def key_of(target: Target) -> str | None:
    """The target's key; None if none is set. Asks the keyring, which may take a moment.

    Raises:
        ConfigError: a place is named that holds no key. The error never holds the key.
    """
    if target.api_key_env:
        name = target.api_key_env
        if not (value := os.environ.get(name)):
            raise ConfigError(
                f"target.api_key_env names {name}, which is not set in the server's environment.",
                hint="Set it where the editor is started, or use target.api_key_keyring.",
            )
        return _checked(value, f"The environment variable {name}")
    if target.api_key_keyring:
        return _checked(_from_keyring(target.api_key_keyring), f"The keyring's entry {target.api_key_keyring!r}")
    if target.api_key is not None and target.api_key.get_secret_value():
        return _checked(target.api_key.get_secret_value(), "target.api_key")
    return None


def _from_keyring(name: str) -> str:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        raise ConfigError(
            "target.api_key_keyring needs the library that opens the system's keyring.",
            hint="Run: pip install 'egate-lsp[keyring]'",
        ) from None
    try:
        value = keyring.get_password(SERVICE, name)
    except KeyringError as error:
        raise ConfigError(
            f"The system's keyring cannot be opened ({type(error).__name__}).",
            hint="Unlock it, or use target.api_key_env.",
        ) from None
    if not value:
        raise ConfigError(
            f"The system's keyring has no entry {name!r} for {SERVICE}.", hint=f"Run: keyring set {SERVICE} {name}"
        )
    return value


def _checked(key: str, origin: str) -> str:
    """The key without white space around it.

    Raises:
        ConfigError: it cannot stand in a header. The error names `origin`, not the key.
    """
    key = key.strip()
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(
            f"{origin} holds no key that could be sent: it is empty, or has spaces or odd characters.",
            hint="Copy the key anew.",
        )
    return key
