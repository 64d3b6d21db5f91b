"""Checks that what a page names exists: commands and options, Python names, files, targets.

The site's build and the tests use these checks. They look at fenced blocks and at inline code.
"""

import ast
import importlib
import pathlib
import re
import shlex
from collections.abc import Iterator

import click

ROOT = pathlib.Path(__file__).resolve().parents[2]
FENCE = re.compile(r"^( *)```+ *(\w+)?[^\n]*\n(.*?)^\1```+ *$", re.M | re.S)
INLINE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FOLDERS = r"(?:jaxmix|experiments|benchmarks|tests|docs|\.ci)"
FILE = re.compile(rf"{FOLDERS}/[\w./-]*|[A-Z]+\.(?:md|cff)|[\w-]+\.(?:toml)|Makefile")
TARGET = re.compile(r"^([a-z][a-z-]*):", re.M)


def problems(page: str) -> list[str]:
    """What a page names that does not exist.

    Args:
        page: Markdown.

    Returns:
        One line for each thing that is missing, empty if all is well.
    """
    found: list[str] = []
    for _, language, body in FENCE.findall(page):
        if language in ("sh", "bash", "console"):
            found += [why for line in shell_lines(body) for why in in_command(line)]
        if language in ("python", "py"):
            found += in_python(body)
    for code in INLINE.findall(FENCE.sub("", page)):
        found += in_inline(code)
    return found


def shell_lines(block: str) -> Iterator[list[str]]:
    """The simple commands of a block, as words."""
    text = re.sub(r"\\\n", " ", block)
    for line in text.splitlines():
        lexer = shlex.shlex(line.removeprefix("$ "), posix=True, punctuation_chars="&;|()")
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if word and set(word) <= set("&;|()"):
                if words:
                    yield words
                words = []
            else:
                words.append(word)


def in_command(words: list[str]) -> list[str]:
    """Problems of one simple command."""
    if "jaxmix" in words:
        return in_jaxmix(words[words.index("jaxmix") + 1 :])
    if words[0] == "make":
        return [f"make {w}: no such target" for w in words[1:] if is_target(w)]
    return [why for word in words for why in missing_file(word)]


def is_target(word: str) -> bool:
    """Whether a word after ``make`` is a target that the Makefile does not have."""
    targets = TARGET.findall((ROOT / "Makefile").read_text(encoding="utf-8"))
    return not word.startswith("-") and "=" not in word and word not in targets


def missing_file(word: str) -> list[str]:
    """A problem if the word is a path in the repository that does not exist."""
    if FILE.fullmatch(word) and not (ROOT / word).exists():
        return [f"{word}: no such file in the repository"]
    return []


def in_jaxmix(words: list[str]) -> list[str]:
    """Problems of the words after ``jaxmix``: an unknown command, option or missing value."""
    from jaxmix.cli.app import cli

    command: click.Command = cli
    context = click.Context(cli, info_name="jaxmix")
    words = words[
        : next((i for i, w in enumerate(words) if w in (">", ">>", "<", "...", "…")), None)
    ]
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, *words = words
        if any(mark in name for mark in "|…"):
            return []
        inner = command.get_command(context, name)
        if inner is None:
            return [f"{context.command_path} {name}: no such command"]
        context = click.Context(inner, info_name=name, parent=context)
        command = inner
    try:
        command.make_parser(context).parse_args(words)
    except click.UsageError as error:
        return [f"{context.command_path}: {error.format_message()}"]
    return []


def options() -> set[str]:
    """Every option of every command."""
    from jaxmix.cli.app import cli

    def walk(command: click.Command) -> Iterator[str]:
        for param in [*command.params, *command.get_params(click.Context(command))]:
            yield from (*param.opts, *param.secondary_opts)
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None
                yield from walk(inner)

    return set(walk(cli))


def in_inline(code: str) -> list[str]:
    """Problems of what stands between backticks in a sentence."""
    if code.startswith("jaxmix "):
        return [why for line in shell_lines(code) for why in in_inline_command(line)]
    if option := re.match(r"--[a-z][a-z0-9-]*", code):
        missing = option[0] not in options() | {"--smoke", "--no-deps"}
        return [f"{option[0]}: no command has this option"] if missing else []
    if code.startswith("make ") and code != "make":
        return [f"make {w}: no such target" for w in code.split()[1:] if is_target(w)]
    if code.startswith(("jm.", "jaxmix.")):
        return in_python(re.match(r"[\w.]+", code)[0])  # type: ignore[index]
    return [why for word in code.split() for why in missing_file(word)]


def in_inline_command(words: list[str]) -> list[str]:
    """As ``in_command``; a last option may stand without its value in a sentence."""
    found = in_command(words)
    return [why for why in found if "requires an argument" not in why]


def in_python(code: str) -> list[str]:
    """Problems of Python code: syntax, and names of jaxmix that do not exist."""
    code = re.sub(r"^(>>> ?|\.\.\. ?)", "", code, flags=re.M)
    try:
        tree = ast.parse(code)
    except SyntaxError as error:
        return [f"python: {error}"]
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxmix"):
            found += [w for a in node.names for w in missing_name(f"{node.module}.{a.name}")]
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith(("jm.", "jaxmix.")):
            found += missing_name(ast.unparse(node).replace("jm.", "jaxmix.", 1))
    return found


def missing_name(dotted: str) -> list[str]:
    """A problem if ``jaxmix.a.b`` is neither a module nor an attribute of one."""
    parts = re.match(r"[\w.]+", dotted)[0].rstrip(".").split(".")  # type: ignore[index]
    for length in range(len(parts), 0, -1):
        try:
            held = importlib.import_module(".".join(parts[:length]))
        except ImportError:
            continue
        for name in parts[length:]:
            if not hasattr(held, name):
                return [f"{dotted}: no such name"]
            held = getattr(held, name)
        return []
    return [f"{dotted}: no such module"]
