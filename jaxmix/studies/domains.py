"""What a study reads: which domains and targets, how much there is of them, and its mixtures."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from jaxmix.data import Corpus
from jaxmix.errors import JaxmixError
from jaxmix.studies.families import Built
from jaxmix.studies.mixtures import Stage, checked_mixture, checked_stages, named_mixtures

if TYPE_CHECKING:
    from jaxmix.studies.study import Study


def targets_of(study: Study, corpus: Corpus) -> tuple[str, ...]:
    """The targets of a study: all of the corpus that its family can read."""
    return tuple(name for name in corpus.targets if study.family.reads(corpus, name))


def domains_of(study: Study, corpus: Corpus) -> tuple[str, ...]:
    """The training domains of a study.

    Raises:
        JaxmixError: a name is not a domain, or the family cannot read it.
    """
    family = study.family
    known = tuple(name for name in corpus.domains if family.reads(corpus, name))
    for name in [*(study.domains or ()), *study.unique_tokens]:
        if name not in known:
            raise JaxmixError(
                f"{corpus.name} has no training domain '{name}' for {family.name} models; known: "
                f"{', '.join(known) or 'none'}"
            )
    if not known:
        raise JaxmixError(f"{corpus.name} has no domain that {family.name} models can read")
    return study.domains or known


def epoch_tokens(study: Study, corpus: Corpus, built: Built) -> dict[str, int]:
    """Tokens of an epoch of every training domain, patches of pictures included."""
    return {
        d: len(study.family.records(built, corpus, d, study.length, None)) * study.length
        for d in domains_of(study, corpus)
    }


def check_targets(study: Study, corpus: Corpus, built: Built) -> None:
    """Refuses a study whose held-out records cannot be made, before anything is trained.

    Raises:
        JaxmixError: a record is too short for a picture, or a target has not one whole record.
    """
    for target in targets_of(study, corpus):
        study.family.held(built, corpus, target, study.length, 1)


def mixtures_of(study: Study, corpus: Corpus, built: Built) -> dict[str, dict[str, float]]:
    """Weights of every mixture of a study, by name.

    Raises:
        JaxmixError: a mixture by hand names another domain, or its weights do not sum to 1.
    """
    sizes = epoch_tokens(study, corpus, built)
    domains = tuple(sizes)
    found = named_mixtures(study.designs, sizes)
    for name, weights in study.mixtures.items():
        found[name] = checked_mixture(name, weights, domains)
    return found


def stages_of(study: Study, corpus: Corpus, taken: Container[str]) -> dict[str, tuple[Stage, ...]]:
    """Stages of every staged mixture of a study, by name.

    Raises:
        JaxmixError: stages that do not fit the study's domains, or a name that a mixture has.
    """
    domains = domains_of(study, corpus)
    for name in study.stages:
        if name in taken:
            raise JaxmixError(f"a mixture and stages are both called '{name}'; rename one")
    return {name: checked_stages(name, stages, domains) for name, stages in study.stages.items()}
