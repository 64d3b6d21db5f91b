"""Pages of the command line, one for each command, made from the commands themselves."""

import html
import inspect
import re
from collections.abc import Iterator

import click

from jaxmix.cli.app import cli
from jaxmix.cli.catalog import EXAMPLES, GROUPS

FOLDER = "reference/cli"
WIDTH = 88  # characters of a usage line
WORD = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""")  # of a shell, quotes kept


def commands() -> dict[str, click.Command]:
    """The commands by name, in the order of ``jaxmix --help``."""
    context = click.Context(cli)
    found = {name: cli.get_command(context, name) for group in GROUPS.values() for name in group}
    return {name: command for name, command in found.items() if command is not None}


def navigation() -> list[str | dict[str, list[str]]]:
    """Entries of the navigation."""
    groups = {title: [f"{FOLDER}/{name}.md" for name in group] for title, group in GROUPS.items()}
    return [f"{FOLDER}/index.md", *({title: group} for title, group in groups.items())]


def pages() -> dict[str, str]:
    """Markdown by path."""
    found = {f"{FOLDER}/{name}.md": page(command) for name, command in commands().items()}
    return {f"{FOLDER}/index.md": overview(), **found}


def overview() -> str:
    """The list of commands, and what ``jaxmix`` itself takes."""
    context = click.Context(cli, info_name="jaxmix")
    text = ["# Command line", *described(cli)]
    for title, group in GROUPS.items():
        rows = [f"| [`jaxmix {name}`]({name}.md) | {about} |" for name, about in group.items()]
        text.append("\n".join([f"## {title}\n", "| command | what it does |", "|---|---|", *rows]))
    return "\n\n".join([*text, *options(cli, context, 2)])


def page(command: click.Command) -> str:
    """A command's page, with its subcommands."""
    top = click.Context(cli, info_name="jaxmix")
    return "\n\n".join(section(command, click.Context(command, top, command.name), 1))


def section(command: click.Command, context: click.Context, depth: int) -> Iterator[str]:
    """A command's heading, usage, help and options, and those of its subcommands."""
    yield f"{'#' * depth} {context.command_path}"
    usage = context.make_formatter()
    usage.width = WIDTH
    usage.write_usage(context.command_path, " ".join(command.collect_usage_pieces(context)), "")
    yield f"```text\n{usage.getvalue().strip()}\n```"
    yield from described(command)
    yield from examples(context.command_path.removeprefix("jaxmix "))
    yield from options(command, context, depth + 1)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield from section(inner, click.Context(inner, context, name), depth + 1)


def described(command: click.Command) -> Iterator[str]:
    r"""The help text; paragraphs after ``\b`` keep their lines."""
    for part in re.split(r"\n\s*\n", inspect.cleandoc(command.help or "")):
        if part.startswith("\b"):
            yield "```text\n" + part.lstrip("\b").strip("\n") + "\n```"
        elif part.strip():
            yield f"<p>{escape(' '.join(part.split()))}</p>"


def examples(name: str) -> Iterator[str]:
    """The examples that end a command's help."""
    if lines := EXAMPLES.get(name):
        yield f"**{'Example' if len(lines) == 1 else 'Examples'}**"
        yield "```sh\n" + "\n".join(folded(line) for line in lines) + "\n```"


def folded(line: str) -> str:
    """A long command in lines of WIDTH characters, broken between words."""
    lines = [""]
    for word in WORD.findall(line):
        if lines[-1] and len(lines[-1]) + len(word) > WIDTH - 8:
            lines.append("")
        lines[-1] += f"{' ' if lines[-1] else ''}{word}"
    return " \\\n    ".join(lines)


def options(command: click.Command, context: click.Context, depth: int) -> Iterator[str]:
    """The options as a list of definitions, without --help, which every command has."""
    shown = [p for p in command.get_params(context) if "--help" not in p.opts]
    records = [record for p in shown if (record := p.get_help_record(context)) and record[1]]
    if records:
        yield f"**{'Options' if depth < 3 else 'Options of ' + context.command_path}**"
        rows = (f"<dt><code>{escape(n)}</code></dt><dd>{escape(t)}</dd>" for n, t in records)
        yield '<dl class="options">' + "".join(rows) + "</dl>"


def escape(text: str) -> str:
    """Text as HTML, quotes of code as code."""
    return re.sub(r"`+([^`]+)`+", r"<code>\1</code>", html.escape(text, quote=False))
