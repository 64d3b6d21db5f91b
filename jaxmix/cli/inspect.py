"""``jaxmix look``: what a trained image model makes of pictures that it has not seen."""

from pathlib import Path

import click

from jaxmix.cli import common
from jaxmix.errors import JaxmixError


@click.command("look", cls=common.Command, short_help="See what an image model sees and writes.")
@click.argument("folder", metavar="FOLDER")
@click.option("--run", metavar="NAME", help="Of a study with several.  [default: the first]")
@click.option("--targets", metavar="A,B", help="Domains of captioned pictures.  [default: all]")
@click.option("--count", type=click.IntRange(min=1), default=8, show_default=True, help="Of each.")
@click.option("--out", required=True, metavar="FILE.png", help="The contact sheet: PNG, SVG, PDF.")
@common.json_option
def look_command(
    folder: str, run: str | None, targets: str | None, count: int, out: str, as_json: bool
) -> None:
    """Draw a contact sheet of held-out pictures, with captions that the model wrote.

    FOLDER is that of jaxmix train. A vision model also shows the picture as it expected it: every
    patch from the true ones before it.
    """
    from jaxmix.report import plot_contact_sheet
    from jaxmix.studies import finished_run, look

    if Path(out).suffix not in (".png", ".svg", ".pdf"):
        raise JaxmixError(f"--out {out}: end the name in .png, .svg or .pdf")
    common.check_out(out)
    found = finished_run(Path(folder), run)
    looks = look(found, count, common.split(targets))
    plot_contact_sheet(looks, out, f"{found.run}: held-out pictures")
    if as_json:
        keys = ("target", "caption", "written")
        common.emit({"out": out, "pictures": [{k: getattr(one, k) for k in keys} for one in looks]})
        return
    common.show(f"{len(looks)} pictures drawn to {out}")
