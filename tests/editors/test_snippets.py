"""The configuration files for editors that cannot be run here: their form, and that what they start is there."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

from egate_lsp.cli import main
from egate_lsp.config import resolve

EDITORS = Path(__file__).parents[2] / "editors"
LSP4IJ = EDITORS / "jetbrains" / "egate-lsp"


def starts_our_server(command: list[str]) -> bool:
    """Would this command line start the server on standard input and output?"""
    program, *arguments = command
    context = main.make_context(program, list(arguments))
    name, serve, rest = main.resolve_command(context, list(arguments))
    assert serve is not None
    params = serve.make_context(name, rest).params
    return name == "serve" and not params["tcp"] and not params["ws"]


def test_the_settings_for_coc() -> None:
    """The keys that coc.nvim's documentation gives for a language server that is started by a command."""
    settings = json.loads((EDITORS / "coc" / "coc-settings.json").read_text(encoding="utf-8"))
    server = settings["languageserver"]["egate"]

    assert set(server) <= {"command", "args", "filetypes", "initializationOptions", "rootPatterns", "settings", "env"}
    assert server["command"] == "egate-lsp"
    assert starts_our_server([server["command"], *server["args"]])
    assert resolve([("editor", server["initializationOptions"])])[1] == []
    assert settings["inlineSuggest.autoTrigger"] is True


def test_the_template_for_lsp4ij() -> None:
    """The form that LSP4IJ documents for custom templates: `template.json` and, beside it, what goes to the server."""
    template = json.loads((LSP4IJ / "template.json").read_text(encoding="utf-8"))
    posix = shlex.split(template["programArgs"]["default"])

    assert {"id", "name", "programArgs", "fileTypeMappings"} == set(template)
    assert posix[:2] == ["sh", "-c"]
    assert starts_our_server(shlex.split(posix[2]))
    assert starts_our_server(template["programArgs"]["windows"].split())
    for mapping in template["fileTypeMappings"]:
        assert mapping["fileType"]["patterns"], mapping
        assert mapping["languageId"], mapping
    patterns = [pattern for mapping in template["fileTypeMappings"] for pattern in mapping["fileType"]["patterns"]]
    assert len(set(patterns)) == len(patterns)


def test_the_options_beside_it_are_settings_of_ours() -> None:
    options = json.loads((LSP4IJ / "initializationOptions.json").read_text(encoding="utf-8"))

    assert resolve([("editor", options)])[1] == []


def test_only_files_that_lsp4ij_reads_lie_in_the_template() -> None:
    known = {"template.json", "initializationOptions.json", "settings.json", "README.md", "clientSettings.json"}

    assert {path.name for path in LSP4IJ.iterdir()} <= known
