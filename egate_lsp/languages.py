"""What the stages must know of a language: its comments, its block openers and closers. Data only.

A language that is not listed is treated like C: braces open and close, `//` comments.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """Lexical facts of one language.

    Attributes:
        line_comments: marks that make the rest of a line a comment.
        openers: a line that ends with one of these opens a block; words are matched as whole words.
        closers: a line that begins with one of these closes the block of an opener above it.
        raw_quotes: quotes that may span lines.
        interpolated_quotes: quotes in which `${` or `{` starts an expression.
    """

    line_comments: tuple[str, ...] = ("//",)
    openers: tuple[str, ...] = ("{", "(", "[", "=>")
    closers: tuple[str, ...] = ("}", ")", "]")
    raw_quotes: tuple[str, ...] = ()
    interpolated_quotes: tuple[str, ...] = ()


COUNTED_CHARS = 100_000  # of the text before the cursor, in which quotes are counted
_DEFINITIONS = (
    "def ", "class ", "async def ", "@", "public ", "internal ", "private ", "func ", "fun ", "object ", "struct ",
    "interface ", "enum ", "extension ", "namespace ",
)  # fmt: skip

_C_LIKE = Language()
_SCRIPT = Language(raw_quotes=("`",), interpolated_quotes=("`",))
_LANGUAGES: dict[str, Language] = {
    "python": Language(("#",), (":", "(", "[", "{"), (")", "]", "}"), ('"""', "'''")),
    "javascript": _SCRIPT,
    "javascriptreact": _SCRIPT,
    "typescript": _SCRIPT,
    "typescriptreact": _SCRIPT,
    "go": Language(raw_quotes=("`",)),
    "lua": Language(
        ("--",),
        ("then", "do", "else", "repeat", "{", "(", "["),
        ("end", "else", "elseif", "until", "}", ")", "]"),
    ),
    "ruby": Language(("#",), ("do", "then", "else", "{", "(", "[", "|"), ("end", "else", "elsif", "}", ")", "]")),
    "shellscript": Language(("#",), ("then", "do", "else", "{", "(", "in"), ("fi", "done", "esac", "else", "}", ")")),
    "yaml": Language(("#",), (":", "-", "|", ">"), ()),
    "toml": Language(("#",), ("[", "{"), ("]", "}")),
    "makefile": Language(("#",), (":",), ()),
    "elixir": Language(("#",), ("do", "->", "{", "(", "["), ("end", "else", "}", ")", "]"), ('"""',)),
    "haskell": Language(("--",), ("where", "do", "of", "=", "then", "else", "(", "["), (")", "]")),
    "sql": Language(("--",), ("(", "begin", "as"), (")", "end")),
    "java": Language(raw_quotes=('"""',)),
    "kotlin": Language(raw_quotes=('"""',)),
    "swift": Language(raw_quotes=('"""',)),
    "csharp": Language(raw_quotes=('"""',)),
}
_FAMILIES = {"c": "c", "cpp": "c"} | dict.fromkeys(
    ("javascript", "javascriptreact", "typescript", "typescriptreact"), "script"
)
# No comment to the end of the line: what stands around one instead.
_ENCLOSED = {"css": ("/*", "*/")} | dict.fromkeys(("html", "xml", "markdown", "vue", "svelte"), ("<!--", "-->"))
# Where a fence of Markdown is text, or may be.
FENCED = frozenset({"", "markdown", "mdx", "rmd", "quarto", "plaintext", "git-commit", "gitcommit"})
_ALIASES = {
    "py": "python",
    "js": "javascript",
    "jsx": "javascriptreact",
    "ts": "typescript",
    "tsx": "typescriptreact",
    "sh": "shellscript",
    "bash": "shellscript",
    "zsh": "shellscript",
    "make": "makefile",
    "rb": "ruby",
    "cs": "csharp",
    "c_sharp": "csharp",
}
_EXTENSIONS = {
    "py": "python", "pyi": "python", "js": "javascript", "mjs": "javascript", "cjs": "javascript",
    "jsx": "javascriptreact", "ts": "typescript", "tsx": "typescriptreact", "go": "go", "lua": "lua", "rb": "ruby",
    "sh": "shellscript", "bash": "shellscript", "yml": "yaml", "yaml": "yaml", "toml": "toml", "ex": "elixir",
    "exs": "elixir", "hs": "haskell", "sql": "sql", "java": "java", "kt": "kotlin", "swift": "swift", "cs": "csharp",
    "c": "c", "h": "c", "cc": "cpp", "cpp": "cpp", "hpp": "cpp", "rs": "rust", "php": "php", "scala": "scala",
    "css": "css", "json": "json", "md": "markdown",
}  # fmt: skip


def facts(language: str) -> Language:
    """The facts of a language by its LSP identifier (or a common alias)."""
    name = language.lower()
    return _LANGUAGES.get(_ALIASES.get(name, name), _C_LIKE)


def by_path(path: str) -> str:
    """The LSP language identifier by the file's name, "" if unknown."""
    name = path.replace("\\", "/").rsplit("/", 1)[-1]
    if name.lower() in {"makefile", "gnumakefile"}:
        return "makefile"
    return _EXTENSIONS.get(name.rsplit(".", 1)[-1].lower(), "") if "." in name else ""


def family(language: str) -> str:
    """One name for a language and for those whose code is of use beside its own."""
    name = _ALIASES.get(language.lower(), language.lower())
    return _FAMILIES.get(name, name)


def comment(text: str, language: str) -> str:
    """A line of text as a comment."""
    name = language.lower()
    if (marks := _ENCLOSED.get(_ALIASES.get(name, name))) is not None:
        return f"{marks[0]} {text} {marks[1]}"
    return f"{facts(language).line_comments[0]} {text}"


def is_comment(line: str, language: str) -> bool:
    """True if the line holds nothing but a line comment."""
    return line.lstrip().startswith(facts(language).line_comments)


def is_inside_string(prefix: str, language: str) -> bool:
    """True if the text ends inside a string of several lines, such as a docstring, as far as counting quotes tells.

    Of a long text the end is counted, from a definition at the top level if one is to be found.
    """
    start = _last_definition(prefix, len(prefix) - COUNTED_CHARS)
    return any(prefix.count(quote, start) % 2 for quote in facts(language).raw_quotes if len(quote) > 1)


def _last_definition(text: str, before: int) -> int:
    """Where the last definition at the top level after a blank line begins, before an offset; where none is near, how
    far was looked."""
    start = max(before - COUNTED_CHARS, 0)
    position = before
    while (position := text.rfind("\n\n", start, max(position, start))) >= 0:
        if text.startswith(_DEFINITIONS, position + 2):
            return position + 2
    return start


def opens_block(line: str, language: str) -> bool:
    """True if code after this line is expected deeper indented."""
    text = line.rstrip()
    return not is_comment(text, language) and any(_ends_with(text, opener) for opener in facts(language).openers)


def closes_block(line: str, language: str) -> bool:
    """True if the line begins with a closer."""
    text = line.lstrip()
    return any(_begins_with(text, closer) for closer in facts(language).closers)


def _ends_with(text: str, opener: str) -> bool:
    if not text.endswith(opener):
        return False
    before = text[: -len(opener)]
    return not opener[-1].isalnum() or not before or not (before[-1].isalnum() or before[-1] == "_")


def _begins_with(text: str, closer: str) -> bool:
    if not text.startswith(closer):
        return False
    after = text[len(closer) :]
    return not closer[0].isalnum() or not after or not (after[0].isalnum() or after[0] == "_")
