"""Pages of the command line, one for each command, made from the commands themselves."""

import html
import inspect
import re
from collections.abc import Iterator

import click

from jaxmix.cli.app import cli

FOLDER = "reference/cli"
WIDTH = 88  # characters of a usage line


def commands() -> list[click.Command]:
    """The commands in the order of ``jaxmix --help``."""
    context = click.Context(cli)
    found = [cli.get_command(context, name) for name in cli.list_commands(context)]
    return [command for command in found if command is not None and not command.hidden]


def navigation() -> list[str]:
    """Entries of the navigation."""
    return [f"{FOLDER}/index.md", *(f"{FOLDER}/{command.name}.md" for command in commands())]


def pages() -> dict[str, str]:
    """Markdown by path."""
    found = {f"{FOLDER}/{command.name}.md": page(command) for command in commands()}
    return {f"{FOLDER}/index.md": overview(), **found}


def overview() -> str:
    """The list of commands, and what ``jaxmix`` itself takes."""
    context = click.Context(cli, info_name="jaxmix")
    rows = [
        f'<dt><a href="{command.name}.html"><code>jaxmix {command.name}</code></a></dt>'
        f"<dd>{escape(command.get_short_help_str(200))}</dd>"
        for command in commands()
    ]
    head = ["# Command line", *described(cli, context), "## Commands"]
    return "\n\n".join([*head, "<dl>" + "".join(rows) + "</dl>", *options(cli, context, 2)])


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
    yield from described(command, context)
    yield from options(command, context, depth + 1)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield from section(inner, click.Context(inner, context, name), depth + 1)


def described(command: click.Command, context: click.Context) -> Iterator[str]:
    r"""The help text and the epilog; paragraphs after ``\b`` keep their lines."""
    for text in (command.help, command.epilog):
        for part in re.split(r"\n\s*\n", inspect.cleandoc(text or "")):
            yield from paragraph(part.strip("\n"))


def paragraph(part: str) -> Iterator[str]:
    """One paragraph as HTML, or as a block of code if its lines are kept."""
    kept = part.startswith("\b")
    part = part.lstrip("\b").strip("\n")
    if kept and re.search(r"^\s*(\$ )?jaxmix ", part, re.M):
        title, _, lines = part.partition("\n")
        if "jaxmix " not in title:
            yield f"**{escape(title.rstrip(':'))}**"
            part = lines
        yield f"```sh\n{inspect.cleandoc(part)}\n```"
    elif kept:
        yield f"```text\n{part}\n```"
    elif part:
        yield f"<p>{escape(' '.join(part.split()))}</p>"


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
