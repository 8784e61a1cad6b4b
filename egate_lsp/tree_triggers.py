"""Pattern triggers by the syntax tree, for languages with an installed grammar; `triggers` scans the rest. Pure.

The names are those of `triggers`. A pattern belongs to the lines on which it begins, but for brackets, which count with
those that were opened above. Node types are those of the grammar wheels on PyPI (tree-sitter 0.23 and later).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tree_sitter import Node

NESTING = 3
GAP_BYTES = 8

_PARAMETERS = {"parameters", "formal_parameters", "parameter_list", "lambda_parameters"}
_DECLARATIONS = {
    "function_definition",
    "function_declaration",
    "function_declarator",
    "function_expression",
    "function_item",
    "function_signature_item",
    "generator_function_declaration",
    "method_declaration",
    "method_definition",
    "method_signature",
    "abstract_method_signature",
    "constructor_declaration",
    "arrow_function",
    "func_literal",
}
_RECEIVERS = {"self", "cls", "this", "&self", "&mut self", "mut self", "*", "/"}
_BRACKETED = {
    "argument_list", "arguments", "parenthesized_expression", "tuple", "list", "dictionary", "set", "array", "object",
    "subscript", "subscript_expression", "index_expression", "element_access_expression", "array_expression",
    "tuple_expression", "literal_value", "initializer_list", "array_initializer", "generator_expression",
    "list_comprehension", "dictionary_comprehension", "set_comprehension", "token_tree", "composite_literal",
    "array_access", "parenthesized_type",
}  # fmt: skip
_STRINGS = {
    "string", "template_string", "raw_string_literal", "string_literal", "text_block", "interpreted_string_literal",
}  # fmt: skip
_INTERPOLATIONS = {"interpolation", "template_substitution"}
_DECORATORS = {"decorator", "annotation", "attribute_item", "inner_attribute_item"}
_ARGUMENTS = {"argument_list", "arguments", "annotation_argument_list", "token_tree"}
_TYPE_PARAMETERS = {"type_parameter", "type_parameters", "type_parameter_list", "template_parameter_list"}
_REGEX_CALLS = {
    "re.compile", "re.match", "re.search", "re.sub", "re.findall", "re.finditer", "re.fullmatch", "re.split", "RegExp",
    "Regex::new", "regexp.Compile", "regexp.MustCompile", "Pattern.compile",
}  # fmt: skip


def found(root: Node, start: int, end: int) -> frozenset[str]:
    """Names of the triggers that the text between these bytes matches; `start` begins a line."""
    names = set()
    for node, depth in _on(root, start, end):
        if depth >= NESTING:
            names.add("nested-brackets")
        if node.start_byte < start:
            continue
        names |= {name for name, matches in _TRIGGERS.items() if matches(node)}
    return frozenset(names)


def _on(root: Node, start: int, end: int) -> Iterator[tuple[Node, int]]:
    """The named nodes that the text touches, each with the number of brackets it stands in, its own included."""
    waiting = [(root, 0)]
    while waiting:
        node, outer = waiting.pop()
        if node.end_byte < start or node.start_byte >= end:
            continue
        depth = outer + (node.type in _BRACKETED)
        yield node, depth
        waiting.extend((child, depth) for child in children(node, start, end) if child.is_named)


def children(node: Node, first: int, last: int) -> Iterator[Node]:
    """The children that touch the bytes, their ends included. By a cursor: a file has thousands that do not."""
    cursor = node.walk()
    # A byte between children, such as Go's line breaks, leads to none: then from a little before, or from the first.
    before = (byte for byte in range(first - 1, first - 1 - GAP_BYTES, -1) if byte >= 0)
    inside = any(cursor.goto_first_child_for_byte(byte) is not None for byte in before) or cursor.goto_first_child()
    while inside and cursor.node is not None and cursor.node.start_byte <= last:
        if cursor.node.end_byte >= first:
            yield cursor.node
        inside = cursor.goto_next_sibling()


def _signature(node: Node) -> bool:
    parent = node.parent
    if node.type not in _PARAMETERS or parent is None or parent.type not in _DECLARATIONS:
        return False
    if parent.child_by_field_name("receiver") == node:  # Go's comes before the name
        return False
    counted = [child for child in node.named_children if "comment" not in child.type and _text(child) not in _RECEIVERS]
    return len(counted) >= 2


def _multiline_string(node: Node) -> bool:
    return node.type in _STRINGS and node.end_point[0] > node.start_point[0]


def _template_literal(node: Node) -> bool:
    if node.type == "template_string":
        return any(child.type in _INTERPOLATIONS for child in node.named_children)
    return node.type == "interpolation" and any(depth > 0 for _, depth in _on(node, node.start_byte, node.end_byte))


def _raw_string(node: Node) -> bool:
    if node.type == "string_start":
        return "r" in _text(node).rstrip("'\"").lower()
    return node.type == "raw_string_literal"


def _regular_expression(node: Node) -> bool:
    if node.type == "regex":
        return True
    called = node.child_by_field_name("function") or node.child_by_field_name("constructor")
    if called is None and node.type == "method_invocation":
        called_name = node.child_by_field_name("name")
        owner = node.child_by_field_name("object")
        return f"{_text(owner)}.{_text(called_name)}" in _REGEX_CALLS
    return called is not None and _text(called) in _REGEX_CALLS


def _decorator(node: Node) -> bool:
    if node.type not in _DECORATORS:
        return False
    inside = [node, *node.named_children]
    return any(
        child.type in _ARGUMENTS and (child.named_child_count > 0 or len(_text(child)) > 2)
        for parent in inside
        for child in parent.named_children
    )


def _type_parameters(node: Node) -> bool:
    # Python calls the list what other grammars call its members.
    return node.type in _TYPE_PARAMETERS and (node.type != "type_parameter" or _text(node).startswith("["))


def _text(node: Node | None) -> str:
    return node.text.decode("utf-8", "replace") if node is not None and node.text is not None else ""


_TRIGGERS: dict[str, Callable[[Node], bool]] = {
    "signature": _signature,
    "multiline-string": _multiline_string,
    "template-literal": _template_literal,
    "raw-string": _raw_string,
    "regular-expression": _regular_expression,
    "decorator": _decorator,
    "type-parameters": _type_parameters,
}
