"""The settings in what editors send: in `initializationOptions` and with `workspace/didChangeConfiguration`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container

SECTIONS = ("egate", "egate-lsp", "egate_lsp")
_KEY, _ADDRESS = ("apiKey", "api_key"), ("baseUrl", "base_url")


def initial(sent: Any, *, bare: bool) -> dict[str, Any]:
    """Of `initializationOptions`: what stands under our name, else, if `bare`, all of it."""
    section = _section(sent)
    if section is not None:
        return section
    return dict(sent) if bare and isinstance(sent, dict) else {}


def changed(sent: Any, former: dict[str, Any], known: Container[str], *, bare: bool) -> dict[str, Any] | None:
    """Of a change of configuration, to take the place of the `former` ones; None if it has nothing for us.

    Some editors send every server the settings of all: bare ones count if one of their keys is `known`. The target's
    key, which editors keep apart from their settings, is held as long as the target's address is the same.
    """
    section = _section(sent)
    if section is None and bare and isinstance(sent, dict) and any(key in known for key in sent):
        section = dict(sent)
    return None if section is None else _with_key(section, former)


def _section(sent: Any) -> dict[str, Any] | None:
    if not isinstance(sent, dict):
        return None
    return next((dict(sent[name]) for name in SECTIONS if isinstance(sent.get(name), dict)), None)


def _with_key(options: dict[str, Any], former: dict[str, Any]) -> dict[str, Any]:
    target, before = options.get("target"), former.get("target")
    if not isinstance(target, dict) or not isinstance(before, dict) or _value(target, _KEY) is not None:
        return options
    key = _value(before, _KEY)
    if key is None or _value(target, _ADDRESS) != _value(before, _ADDRESS):
        return options
    return {**options, "target": {**target, _KEY[1]: key}}


def _value(table: dict[str, Any], names: tuple[str, str]) -> Any:
    return next((table[name] for name in names if table.get(name) is not None), None)
