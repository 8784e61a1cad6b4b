"""Writes the server's settings into package.json, from the models in egate_lsp/config.py, so that each lives once.

Run `python3 scripts/settings_schema.py` (with egate_lsp importable) after a change of config.py; `--check` only tells
whether package.json is as it should be.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from egate_lsp.config import Settings

MANIFEST = Path(__file__).parents[1] / "package.json"
# The key belongs into the editor's secret store, not into a settings file.
LEFT_OUT = {"target.apiKey"}
SECRET = "apiKey"  # also of a tier
CONSTRAINTS = (
    "type", "enum", "items", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern", "properties",
    "additionalProperties", "required",
)  # fmt: skip


def configuration() -> list[dict[str, Any]]:
    """The sections of `contributes.configuration` that are the server's, as package.json has them."""
    schema = Settings.model_json_schema(by_alias=True)
    definitions = schema["$defs"]
    names = _names()
    defaults = Settings().model_dump(mode="json", by_alias=True)
    sections: dict[str, dict[str, Any]] = {}
    for key, field in schema["properties"].items():
        inner = _resolved(field, definitions)
        if inner.get("properties") and "$ref" in json.dumps(field):
            section = sections.setdefault(key, {"title": key.capitalize(), "properties": {}})
            for name, leaf in inner["properties"].items():
                _add(section, f"{key}.{name}", leaf, defaults[key][name], definitions, names)
        else:
            section = sections.setdefault("", {"title": "Other", "properties": {}})
            _add(section, key, field, defaults[key], definitions, names)
    if "" in sections:
        sections[""] = sections.pop("")  # last
    return [{"title": part["title"], "order": place, "properties": part["properties"]}
            for place, part in enumerate(sections.values(), start=1)]  # fmt: skip


def _add(
    section: dict[str, Any], key: str, leaf: dict[str, Any], default: Any, definitions: Any, names: dict[str, str]
) -> None:
    if key in LEFT_OUT:
        return
    description = leaf.get("description")
    if not description:
        raise SystemExit(f"egate_lsp/config.py: the setting {key} has no docstring")
    section["properties"][f"egate.{key}"] = {
        **_plain(leaf, definitions),
        "default": default,
        # What a model does, reads and sends is never a workspace's decision.
        "scope": "machine",
        "order": len(section["properties"]),
        "markdownDescription": _linked(" ".join(description.split()), key, names),
    }


def _plain(node: Any, definitions: Any) -> dict[str, Any]:
    """A schema without references and titles; "X or null" as VS Code's settings page likes it."""
    node = _resolved(node, definitions)
    if "anyOf" in node:
        parts = [_plain(part, definitions) for part in node["anyOf"]]
        merged: dict[str, Any] = {}
        for part in parts:
            merged |= {name: value for name, value in part.items() if name != "type"}
        if "enum" in merged and any(part.get("type") == "null" for part in parts):
            merged["enum"] = [*merged["enum"], None]
        return {"type": [part["type"] for part in parts], **merged}
    result = {name: node[name] for name in CONSTRAINTS if name in node}
    if "prefixItems" in node:  # a pair
        result["items"] = [_plain(part, definitions) for part in node["prefixItems"]]
    elif "items" in node:
        result["items"] = _plain(node["items"], definitions)
    if isinstance(node.get("additionalProperties"), dict):
        result["additionalProperties"] = _plain(node["additionalProperties"], definitions)
    if "properties" in node:
        result["properties"] = {
            name: _property(part, definitions) for name, part in node["properties"].items() if name != SECRET
        }
    return result


def _property(node: Any, definitions: Any) -> dict[str, Any]:
    told = {"description": " ".join(node["description"].split())} if node.get("description") else {}
    return {**_plain(node, definitions), **told}


def _resolved(node: dict[str, Any], definitions: Any) -> dict[str, Any]:
    if "$ref" in node:
        return {**definitions[node["$ref"].rsplit("/", 1)[1]], **{k: v for k, v in node.items() if k != "$ref"}}
    return node


def _names() -> dict[str, str]:
    """Settings by the name that config.py's texts use for them: "target.base_url" -> "egate.target.baseUrl"."""
    names: dict[str, str] = {}
    for section, field in Settings.model_fields.items():
        for name, inner in getattr(field.annotation, "model_fields", {}).items():
            names[f"{section}.{name}"] = f"egate.{section}.{inner.alias or name}"
    return names


def _linked(text: str, key: str, names: dict[str, str]) -> str:
    """`#egate.x.y#` is a link in VS Code's settings; a name of the same section may stand alone."""
    section = key.split(".")[0]

    def link(found: re.Match[str]) -> str:
        word = found.group()
        full = names.get(word) or (names.get(f"{section}.{word}") if "_" in word else None)
        left_out = full is None or full.removeprefix("egate.") in LEFT_OUT
        return word if left_out or full == f"egate.{key}" else f"`#{full}#`"

    return re.sub(r"[a-z]+(?:[._][a-z]+)+", link, text)


def main() -> None:
    """Write package.json, or with --check exit with 1 if it is not up to date."""
    text = MANIFEST.read_text(encoding="utf-8")
    manifest = json.loads(text)
    own = manifest["contributes"]["configuration"][0]
    manifest["contributes"]["configuration"] = [own, *configuration()]
    wanted = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    if "--check" in sys.argv[1:]:
        if text != wanted:
            sys.exit(
                "package.json is behind egate_lsp/config.py; run: python3 editors/vscode/scripts/settings_schema.py"
            )
        return
    MANIFEST.write_text(wanted, encoding="utf-8")


if __name__ == "__main__":
    main()
