"""``jaxmix inspect``: what a trained image model sees in pictures that it was not trained on."""

from pathlib import Path

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.values import NAMES


@click.command("inspect", cls=common.Command)
@click.argument("folder", metavar="FOLDER")
@click.option("--run", metavar="NAME", help="Which run of a study.  [default: the first]")
@click.option("--targets", type=NAMES, help="Domains of captioned pictures.  [default: all]")
@opt.count("--count", 8, "Pictures of each domain.")
@click.option("--out", required=True, metavar="FILE.png", help="The contact sheet: PNG, SVG, PDF.")
@opt.json
def command(
    folder: str,
    run: str | None,
    targets: tuple[str, ...] | None,
    count: int,
    out: str,
    as_json: bool,
) -> None:
    """Draw a contact sheet of held-out pictures, with captions that the model wrote.

    FOLDER is that of jaxmix train. A vision model also shows each picture as it predicted it, every
    patch from the true patches before it.
    """
    from jaxmix.report import plot_contact_sheet
    from jaxmix.studies import caption_pictures, finished_run

    common.check_out(out, endings=common.PICTURES)
    found = finished_run(Path(folder), run)
    with common.progress("writing captions"):
        pictures = caption_pictures(found, count, targets)
    plot_contact_sheet(pictures, out, f"{found.run}: held-out pictures")
    held = [common.pick(one, "target", "caption", "written") for one in pictures]
    text = f"{len(pictures)} picture{'s' * (len(pictures) != 1)} drawn to {out}"
    common.answer(as_json, {"out": out, "pictures": held}, lambda: [text])
