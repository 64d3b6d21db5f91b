"""What every row of a run carries besides its losses."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from jaxmix.data import Corpus
from jaxmix.studies.domains import epoch_tokens
from jaxmix.studies.families import Built
from jaxmix.studies.plan import PlannedRun, Study, Wave, config_hash, tokenizer_name


def columns_of(
    study: Study, wave: Wave, corpus: Corpus, built: Built
) -> Callable[[PlannedRun], dict[str, Any]]:
    """Returns columns by name of any run of a wave."""
    count, most = built.model.count(), study.unique_tokens
    epochs = epoch_tokens(study, corpus, built)
    unique = {f"unique_{d}": min(most.get(d, math.inf), n) for d, n in epochs.items()}
    decides = (built.settings, study.optimizer(wave.tokens), study.batch, study.length)
    origin = study.start_from
    begun: dict[str, Any] = {}
    if origin is not None:
        begun = {"start_from": f"{origin.run}-{origin.hash}", "tokens_before": origin.tokens}

    def of(run: PlannedRun) -> dict[str, Any]:
        varies = [*begun.values(), *([run.stages] if run.stages else [])]
        return {
            "n_params": count.n_params,
            "n_params_total": count.n_params_total,
            **{f"w_{d}": w for d, w in run.weights.items()},
            **unique,
            "family": study.family.name,
            "preset": wave.preset,
            "mixture": run.mixture,
            "schedule": _schedule(study, run),
            "tokenizer": tokenizer_name(corpus),
            "config_hash": config_hash(*decides, corpus.hash, run.learning_rate, *varies),
            **begun,
            **({"stages": len(run.stages)} if run.stages else {}),
        }

    return of


def _schedule(study: Study, run: PlannedRun) -> str:
    """The column by which rows that a law must not pool are told apart.

    Losses of continued runs depend on where they began, those of staged runs on the order of their
    weights; a table with several schedules is refused unless it is asked for.
    """
    origin = study.start_from
    begun = [] if origin is None else [f"from {origin.run}-{origin.hash}"]
    return "; ".join([study.schedule, *(["staged"] if run.stages else []), *begun])
