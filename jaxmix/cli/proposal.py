"""From a law file and options to the one Optimum that a command shows, judges or exports."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import click

from jaxmix.cli import common
from jaxmix.cli import options as opt
from jaxmix.cli.limits import known_mixture, limit_options, load_within
from jaxmix.cli.values import Labelled
from jaxmix.errors import JaxmixError

if TYPE_CHECKING:
    from jaxmix.fitting.fitted import FittedLaws
    from jaxmix.mixtures import Constraints, Optimum
    from jaxmix.runs import RunTable


def proposal_options(required: bool = True) -> opt.Decorator:
    """Adds the options that say which mixture is to be proposed.

    Args:
        required: whether the budget must be given.
    """
    return opt.several(
        opt.budget(required),
        opt.target_weights,
        click.option(
            "--worst-case",
            type=click.Choice(["loss", "gap"]),
            help="Minimize the largest loss of any target, or its largest gap to --reference.",
        ),
        click.option(
            "--pull",
            type=click.FloatRange(min=0),
            default=0.0,
            help="Add PULL times the KL divergence from --prior to the loss.",
        ),
        limit_options,
        click.option("--starts", type=click.IntRange(min=1), help="Starting points of the search."),
        opt.seed,
    )


@overload
def propose(path: str, given: Mapping[str, Any]) -> "Optimum": ...
@overload
def propose(path: str, given: Mapping[str, Any], mixed: bool) -> "Optimum | FittedLaws": ...
def propose(path: str, given: Mapping[str, Any], mixed: bool = True) -> Any:
    """The optimum of the laws in a file for the options of a command.

    Args:
        path: a law file.
        given: values of ``proposal_options`` by parameter; the default of N and D is the largest
            that every law was fitted on.
        mixed: whether the law must read the mixture; if it need not and does not, the laws are
            returned.

    Raises:
        JaxmixError: no mixture meets the limits, or as ``load_within``.
    """
    from jaxmix.mixtures.optimize import optimize, target_weight_rows
    from jaxmix.mixtures.solve.problem import counted_laws

    laws, limits, at = load_within(path, given, mixed)
    if not laws.law.reads("weights"):
        return laws
    w = target_weight_rows(given["target_weights"] or None, laws.targets)
    ranges = [f.data for f in counted_laws(laws, w, limits)]
    n = given["n_params"] or min(data.n_params[1] for data in ranges)
    d = given["tokens"] or min(data.tokens[1] for data in ranges)
    with common.progress("optimizing"):
        return optimize(laws, n, d, limits, at=at, **_asked(given))


def propose_along(
    path: str, given: Mapping[str, Any], growth: Any, factors: Sequence[float]
) -> "list[Optimum]":
    """The optima of the laws in a file as the run grows.

    Args:
        path: a law file.
        given: values of ``proposal_options`` by parameter.
        growth: how N and D grow, as ``jaxmix.mixtures.schedule`` calls it.
        factors: by what.

    Raises:
        JaxmixError: an infinite budget to begin with, or as ``propose``.
    """
    from jaxmix.mixtures import optimize, schedule

    if not given["n_params"] + given["tokens"] < float("inf"):
        raise JaxmixError("--path grows from --n-params and --tokens; give finite ones")
    laws, limits, at = load_within(path, given)
    budgets = zip(*schedule(growth, given["n_params"], given["tokens"], factors), strict=True)
    found = []
    with common.progress("optimizing") as report:
        for n, d in budgets:
            found.append(optimize(laws, n, d, limits, at=at, **_asked(given)))
            report(len(found), len(factors))
    return found


def _asked(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of ``proposal_options`` that say what to minimize, and how to search."""
    asked = {name: given[name] for name in ("worst_case", "pull", "starts", "seed")}
    return {**asked, "target_weights": given["target_weights"] or None}


_OURS = frozenset(p.name for p in proposal_options()(click.Command("any")).params)


def parted(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options of a command that ``propose`` takes, and the others."""
    ours = {name: value for name, value in options.items() if name in _OURS}
    return ours, {name: value for name, value in options.items() if name not in _OURS}


baseline_option = click.option(
    "--baseline",
    "--candidate",
    "baselines",
    multiple=True,
    type=Labelled(words=("uniform", "proportional"), example="now:web=0.7,code=0.3"),
    help="Mixture of your own to compare with; may be repeated.  [default: uniform]",
)


def named_baselines(
    given: Sequence[tuple[str, Any]],
    domains: tuple[str, ...],
    constraints: "Constraints | None",
    table: "RunTable | None" = None,
) -> dict[str, Mapping[str, float]] | None:
    """Baselines by name; None if none was asked for.

    Args:
        given: names, and weights or words.
        domains: bare names.
        constraints: ``proportional`` is to their available tokens, and if there are none to the
            columns of the table; their reference is a baseline too.
        table: the run table, if the command has one.
    """
    from jaxmix.fitting.selection import reference_weights

    stock = constraints.available if constraints else {}
    found: dict[str, Any] = {}
    for name, mixture in given:
        if name in found:
            raise JaxmixError(f"--baseline: '{name}' is given twice")
        by_table = mixture == "proportional" and not stock and table is not None
        weights = reference_weights(table, mixture) if by_table and table else mixture
        found[name] = known_mixture(weights, domains, stock, "--baseline")
    if constraints and constraints.reference is not None:
        found.setdefault("reference", constraints.reference)
    return found or None
