from __future__ import annotations

import pytest

from egate_lsp.config import Models
from egate_lsp.errors import ModelNotFound
from egate_lsp.models import catalogue


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(ModelNotFound) as caught:
        catalogue.find("qwen-coder-0.5b", Models())

    assert "qwen2.5-coder-0.5b" in caught.value.hint


def test_the_users_own_models_join_the_catalogue() -> None:
    theirs = {"repository": "a/b", "file": "c.gguf", "sha256": "A" * 64}
    models = Models.model_validate({"custom": {"mine": {"path": "/x/my.gguf"}, "theirs": theirs}})
    known = catalogue.known(models)

    assert known["mine"].local_path == "/x/my.gguf"
    assert known["theirs"].hugging_face == ("a/b", "c.gguf")
    assert known["theirs"].sha256 == "a" * 64
