"""A file's outline by its syntax tree. Pure.

Node types are those of the grammar wheels on PyPI (tree-sitter 0.23 and later). Functions are entered only where the
cursor is in them: what they define inside is of no use elsewhere.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from egate_lsp.outline import WORDS, Entry, Kind, entry, names_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tree_sitter import Node

_IMPORTS = {
    "import_statement", "import_from_statement", "future_import_statement", "import_declaration", "use_declaration",
    "preproc_include", "using_directive", "using_declaration", "package_clause", "namespace_use_declaration",
}  # fmt: skip
_SCOPES = {
    "class_definition", "class_declaration", "abstract_class_declaration", "class", "interface_declaration",
    "enum_declaration", "internal_module", "module", "namespace_declaration", "struct_item", "impl_item", "trait_item",
    "enum_item", "mod_item", "class_specifier", "struct_specifier", "namespace_definition", "record_declaration",
    "annotation_type_declaration", "object_declaration",
}  # fmt: skip
_FUNCTIONS = {
    "function_definition", "function_declaration", "generator_function_declaration", "method_definition",
    "method_declaration", "constructor_declaration", "function_item", "function_signature", "method_signature",
    "abstract_method_signature", "function_signature_item", "compact_constructor_declaration",
}  # fmt: skip
_VALUES = {
    "assignment", "lexical_declaration", "variable_declaration", "type_alias_declaration", "type_alias_statement",
    "const_item", "static_item", "type_item", "field_declaration", "public_field_definition", "property_signature",
    "const_declaration", "var_declaration", "type_declaration", "preproc_def", "type_definition", "field_definition",
}  # fmt: skip
# Nodes around another that is meant, by the field in which it stands; "" for any child.
_WRAPPERS = {
    "decorated_definition": "definition", "export_statement": "declaration", "expression_statement": "",
    "ambient_declaration": "", "template_declaration": "", "linkage_specification": "body", "declaration_list": "",
}  # fmt: skip
_ARROWS = {"arrow_function", "function_expression", "generator_function"}
_BODY_IS_INDENTED = {"python"}
_REQUIRE = re.compile(r"=\s*(?:await\s+)?(?:require|import)\s*\(")
_TRAILING_COMMENT = re.compile(r":\s*#[^'\"]*$")
MAX_VALUE_CHARS = 100


def entries(root: Node, language: str, row: int) -> list[Entry]:
    """The outline of a file whose cursor is on this row, counted from 0."""
    text = root.text or b""
    indent = "\t" if text.count(b"\n\t") > text.count(b"\n  ") else " "
    body = "..." if language in _BODY_IS_INDENTED else "{ ... }"
    return list(_Reading(body, row, indent).within(root, 0))


@dataclass(frozen=True, slots=True)
class _Reading:
    """What stays the same in one file: what stands for a body, the cursor's row, a column of indentation."""

    body: str
    row: int
    indent: str

    def within(self, parent: Node, depth: int) -> Iterator[Entry]:
        for child in parent.named_children:
            yield from self._of(child, child, depth)

    def _of(self, node: Node, outer: Node, depth: int) -> Iterator[Entry]:
        """What a node gives; `outer` is the widest node around it that holds nothing else."""
        kind = node.type
        if kind in _WRAPPERS:
            field = _WRAPPERS[kind]
            inner = [node.child_by_field_name(field)] if field else node.named_children
            for child in inner:
                if child is not None:
                    yield from self._of(child, outer, depth)
        elif kind in _IMPORTS:
            text = _text(node)
            yield self._entry("import", names_in(text), outer, text, None, depth)
        elif kind in _SCOPES or kind in _FUNCTIONS:
            yield from self._definition(node, outer, depth)
        elif kind in _VALUES:
            yield from self._value(node, outer, depth)

    def _definition(self, node: Node, outer: Node, depth: int) -> Iterator[Entry]:
        what: Kind = "scope" if node.type in _SCOPES else "function"
        block = node.child_by_field_name("body")
        if block is None:
            block = next((child for child in node.named_children if child.type in _BODIES), None)
        name = node.child_by_field_name("name") or node.child_by_field_name("type")
        signature = _signature(node, outer, block)
        names = (_text(name),) if name is not None else tuple(WORDS.findall(signature)[-1:])
        yield self._entry(what, names, outer, signature, None if block is None else self.body, depth)
        if block is not None and (what == "scope" or self._is_in(node)):
            yield from self.within(block, depth + 1)

    def _value(self, node: Node, outer: Node, depth: int) -> Iterator[Entry]:
        declarators = [child for child in node.named_children if child.type == "variable_declarator"]
        declared = declarators[0] if len(declarators) == 1 else node
        value = declared.child_by_field_name("value")
        if value is not None and value.type in _ARROWS:
            block = value.child_by_field_name("body")
            block = block if block is not None and block.type == "statement_block" else None
            names = (_text(declared.child_by_field_name("name")),)
            yield self._entry(
                "function", names, outer, _signature(node, outer, block), self.body if block else None, depth
            )
            if block is not None and self._is_in(node):
                yield from self.within(block, depth + 1)
            return
        text = _text(outer)
        first = text.split("\n", 1)[0].rstrip()
        if _REQUIRE.search(first):
            yield self._entry("import", names_in(first), outer, first, None, depth)
            return
        target = node.child_by_field_name("left") or node.child_by_field_name("name")
        bound = _text(target) if target is not None else first.partition("=")[0]
        if "=" in first and (len(first) > MAX_VALUE_CHARS or "\n" in text.rstrip()):
            # A part of a value could be a part of a key, which nobody would know for one.
            first = f"{first.partition('=')[0].rstrip()} = ..."
        yield self._entry("value", dict.fromkeys(WORDS.findall(bound)), outer, first, None, depth)

    def _is_in(self, node: Node) -> bool:
        return node.start_point.row < self.row <= node.end_point.row

    def _entry(self, kind: Kind, names: Iterable[str], outer: Node, text: str, body: str | None, depth: int) -> Entry:
        indent = self.indent * outer.start_point.column
        return entry(kind, names, outer.start_point.row, outer.end_point.row, text, body, indent, depth)


_BODIES = {"class_body", "enum_body", "interface_body", "declaration_list", "field_declaration_list"}


def _signature(node: Node, outer: Node, block: Node | None) -> str:
    """The text before the body, without decorators."""
    whole = node.text or b""
    start = node.start_byte
    if outer.type != "decorated_definition" and outer.text is not None:
        whole, start = outer.text, outer.start_byte
    if block is not None:
        whole = whole[: block.start_byte - start]
    return _TRAILING_COMMENT.sub(":", whole.decode("utf-8", "replace").rstrip())


def _text(node: Node | None) -> str:
    return node.text.decode("utf-8", "replace") if node is not None and node.text is not None else ""
