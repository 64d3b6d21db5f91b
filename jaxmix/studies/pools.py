"""How many tokens of every domain the runs of a size read before they read one again."""

import math

from jaxmix.data import Corpus
from jaxmix.errors import JaxmixError
from jaxmix.studies.families import Built
from jaxmix.studies.study import Study, epoch_tokens


def pool_tokens(study: Study, corpus: Corpus, built: Built, tokens: float) -> dict[str, int]:
    """Unique training tokens of every domain in the pools of a size, in whole records.

    A domain's stock is `Study.unique_tokens`, or all of the corpus. Its pool is the stock or, with
    `Study.match_epochs`, that share of it that `tokens` are of the large run's.

    Args:
        study: the study.
        corpus: its corpus.
        built: the model of the size.
        tokens: training tokens of a run of the size.

    Raises:
        JaxmixError: a pool has less than one record or more than the corpus holds, or the runs are
            longer than the large run.
    """
    held, target = epoch_tokens(study, corpus, built), study.match_epochs
    if target is None:
        share, whole, more = 1.0, math.floor, "raise --available {}"
    else:
        more = "give its size more tokens, or leave {} out"
        share, whole = tokens / target, round
    if share > 1:
        raise JaxmixError(
            f"--match-epochs {target:g}: a run of {tokens:g} tokens is longer than the run whose "
            "epochs it is to match; name the tokens of the large run"
        )

    def pool(domain: str, held: int) -> int:
        wanted = study.unique_tokens.get(domain, held) * share
        records, most = whole(wanted / study.length), held // study.length
        # The tokens behind the last whole record are no reason to refuse a stock of all tokens.
        if 0 < records <= most + 1:
            return min(records, most) * study.length
        remedy = f"lower --available {domain}, or prepare more of it" if records else more
        raise JaxmixError(
            f"corpus {corpus.name}: domain '{domain}' has {held} training tokens in records of "
            f"{study.length}, not a pool of {wanted:.0f}; {remedy.format(domain)}"
        )

    return {domain: pool(domain, n) for domain, n in held.items()}
