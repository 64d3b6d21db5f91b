"""``jaxmix completion``: the script that makes a shell complete commands, options and names."""

import click
from click.shell_completion import get_completion_class

from jaxmix.cli import common


@click.command("completion", cls=common.Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]), metavar="bash|zsh|fish")
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete commands, options, files and names.

    Append it to ~/.bashrc or ~/.zshrc; for fish, write it to a file of its own. It completes laws,
    presets, and the domains and targets of the table or law that the command line names.
    """
    made = get_completion_class(shell)
    assert made is not None  # click knows these shells
    click.echo(made(ctx.find_root().command, {}, "jaxmix", "_JAXMIX_COMPLETE").source())
