from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from egate_lsp.config import Models
from egate_lsp.errors import ModelNotFound
from egate_lsp.models import catalogue

DRAFT = catalogue.find("qwen2.5-coder-0.5b", Models())


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


@given(st.sampled_from(["max", "mean", "lookahead", "top-k"]), st.floats(0, 1), st.floats(0, 1))
def test_a_higher_rate_never_has_a_higher_tau(score: str, rate_a: float, rate_b: float) -> None:
    low, high = sorted((rate_a, rate_b))
    tau_low, tau_high = catalogue.tau_for(DRAFT, score, low), catalogue.tau_for(DRAFT, score, high)

    assert tau_low is not None
    assert tau_high is not None
    assert tau_high <= tau_low


def test_the_ends_of_the_rate() -> None:
    assert catalogue.tau_for(DRAFT, "max", 0.0) == math.inf
    assert catalogue.tau_for(DRAFT, "max", 1.0) == 0.0
    assert catalogue.tau_for(catalogue.find("smollm2-135m", Models()), "max", 0.2) is None
