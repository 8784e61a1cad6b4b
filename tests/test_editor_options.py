"""Settings as editors send them."""

from __future__ import annotations

import pytest

from egate_lsp.editor_options import changed, initial

KNOWN = {"gate", "target"}
SECRET = {"target": {"baseUrl": "http://a/v1", "apiKey": "k"}}


@pytest.mark.parametrize("section", ["egate", "egate-lsp", "egate_lsp"])
def test_under_our_name_or_bare(section: str) -> None:
    assert initial({section: {"gate": {}}, "editorInfo": {}}, bare=False) == {"gate": {}}
    assert initial({"gate": {}}, bare=True) == {"gate": {}}
    assert initial({"editorInfo": {}}, bare=False) == {}


@pytest.mark.parametrize("sent", [None, 3, "x", [], {"egate": 3}])
def test_what_is_no_table_of_settings(sent) -> None:
    assert initial(sent, bare=False) == {}
    assert changed(sent, {}, KNOWN, bare=True) is None


def test_a_change_takes_the_place_of_all_even_if_it_is_empty() -> None:
    assert changed({"egate": {}}, {"gate": {"tau": 1}}, KNOWN, bare=True) == {}
    assert changed({"gate": {"tau": 2}, "typo": 1}, {}, KNOWN, bare=True) == {"gate": {"tau": 2}, "typo": 1}


def test_settings_of_others_are_no_change() -> None:
    assert changed({"python": {"x": 1}}, {"gate": {}}, KNOWN, bare=True) is None
    assert changed({"gate": {}}, {}, KNOWN, bare=False) is None
    assert changed({}, {"gate": {}}, KNOWN, bare=True) is None


def test_the_key_is_held_for_the_same_address_only() -> None:
    same = changed({"egate": {"target": {"base_url": "http://a/v1", "model": "m"}}}, SECRET, KNOWN, bare=True)
    other = changed({"egate": {"target": {"baseUrl": "http://b/v1"}}}, SECRET, KNOWN, bare=True)
    newer = {"target": {"baseUrl": "http://a/v1", "apiKey": "n"}}

    assert same == {"target": {"base_url": "http://a/v1", "model": "m", "api_key": "k"}}
    assert other == {"target": {"baseUrl": "http://b/v1"}}
    assert changed({"egate": newer}, SECRET, KNOWN, bare=True) == newer
    assert changed({"egate": {}}, SECRET, KNOWN, bare=True) == {}
