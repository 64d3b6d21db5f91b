"""Running a plan wave by wave; it may be stopped, run twice, and shared among machines."""

import dataclasses
import functools
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from jaxmix.claims import LEASE, Claim, Taken, claimed, say, take
from jaxmix.data import Corpus, MixtureSource, Records, batches, pool
from jaxmix.errors import JaxmixError
from jaxmix.studies.families import Built
from jaxmix.studies.finished import origin_params, read_before
from jaxmix.studies.plan import (
    Plan,
    PlannedRun,
    Wave,
    build,
    config_hash,
    tokenizer_name,
    wave_folder,
)
from jaxmix.studies.study import Study, epoch_tokens, targets_of
from jaxmix.studies.tasks import scored_tasks
from jaxmix.training import (
    NO_LOGS,
    USUAL,
    Feed,
    Fleet,
    Layout,
    Logs,
    Member,
    Outcome,
    Saving,
    Snapshot,
    default_parts,
    fleet_layout,
    train,
)

WaveProgress = Callable[[Wave, Snapshot], None]


def run_plan(
    plan: Plan,
    folder: Path,
    *,
    shard: tuple[int, int] = (1, 1),
    progress: WaveProgress | None = None,
    corpus: Corpus | None = None,
    keep_final: bool = False,
    passed: Callable[[Wave, str], None] | None = None,
    saving: Saving = USUAL,
    logs: Logs = NO_LOGS,
) -> list[Outcome]:
    """Trains the waves of a plan that are not done.

    Args:
        plan: the plan.
        folder: folder of the results, with a subfolder for every wave. Machines that share a file
            system may share it.
        shard: (i, n): this is machine i of n, from 1, and trains every n-th wave.
        progress: called with the wave and a snapshot.
        corpus: the plan's corpus, if it is open already.
        keep_final: leave the final parameters of every run, for `finished_run`.
        passed: called with every wave that another process is training, and the name of that
            process.
        saving: when checkpoints are saved, and when to stop.
        logs: where metrics go besides the rows.

    Returns:
        Outcomes of the waves of this shard, except those that another process is training.

    Raises:
        Stopped: `saving` asked for it; the state is saved.
        JaxmixError: the data are not those of the plan, a domain is too small and its repetition
            is forbidden, or the folder cannot be written.
    """
    corpus = corpus_of(plan, corpus)
    index, count = shard
    outcomes = []
    for wave, claim in _claims(plan.waves[index - 1 :: count], folder, passed):
        with claim:
            tell = None if progress is None else functools.partial(progress, wave)
            job = _job(plan.study, wave, corpus, folder, None, keep_final, saving, logs)
            outcomes.append(job(progress=_watched(claim, tell)))
            here = wave_folder(folder, wave)
            if keep_final and not (here / "final").is_dir():
                say(f"{here}: was done without its parameters; delete it to train it again")
    return outcomes


def corpus_of(plan: Plan, corpus: Corpus | None = None) -> Corpus:
    """The data of a plan, opened unless they are given.

    Raises:
        JaxmixError: they are not those that it was made with.
    """
    corpus = corpus or plan.study.corpus.open()
    if corpus.hash != plan.corpus_hash:
        raise JaxmixError(
            f"{corpus.name} is not the data of this plan ({corpus.hash[:12]}, planned with "
            f"{plan.corpus_hash[:12]}); plan again, or prepare the same data"
        )
    return corpus


def _claims(
    waves: Sequence[Wave], folder: Path, passed: Callable[[Wave, str], None] | None
) -> Iterator[tuple[Wave, Claim]]:
    """Claims one wave after the other; passes over those whose holders are known to be alive.

    Holders on other machines are known to be alive once they are seen to renew their claims.
    """
    found: dict[str, Taken] = {}
    for attempt in itertools.count():
        doubtful = []
        for wave in waves:
            answer = take(_lock(folder, wave), found.get(wave.name))
            if isinstance(answer, Claim):
                yield wave, answer
            elif not answer.certain:
                found[wave.name] = answer
                doubtful.append(wave)
            elif passed:
                passed(wave, answer.holder)
        if not doubtful:
            return
        if attempt == 1:
            named = ", ".join(f"{found[wave.name].holder} ({wave.name})" for wave in doubtful[:4])
            say(f"waiting up to {LEASE:.0f} seconds to see whether {named} is still at work")
        waves = doubtful
        time.sleep(0.5)


def _lock(folder: Path, wave: Wave) -> Path:
    return wave_folder(folder, wave) / ".lock"


def run_wave(
    study: Study,
    wave: Wave,
    corpus: Corpus,
    folder: Path,
    progress: Callable[[Snapshot], None] | None = None,
    layout: Layout | None = None,
    keep_final: bool = False,
    saving: Saving = USUAL,
    logs: Logs = NO_LOGS,
) -> Outcome:
    """Trains one wave to its end, from where it was stopped.

    Args:
        study: the study.
        wave: the wave.
        corpus: the data.
        folder: folder of the study's results.
        progress: called about twice a second.
        layout: how arrays lie on devices; None for a fleet over this process's devices.
        keep_final: leave the final parameters in the wave's folder.
        saving: when checkpoints are saved, and when to stop.
        logs: where metrics go besides the rows.

    Raises:
        Stopped: `saving` asked for it; the state is saved.
        JaxmixError: another process trains the wave; or as `run_plan`.
    """
    job = _job(study, wave, corpus, folder, layout, keep_final, saving, logs)
    if layout is not None and layout.host[0] > 0:  # the first process of the group has the claim
        return job(progress=progress)
    with claimed(_lock(folder, wave), "wait for it or stop it, or name another folder") as claim:
        return job(progress=_watched(claim, progress))


def _job(
    study: Study,
    wave: Wave,
    corpus: Corpus,
    folder: Path,
    layout: Layout | None,
    keep_final: bool,
    saving: Saving,
    logs: Logs,
) -> Callable[..., Outcome]:
    """Checks what a wave needs and returns the call of `train` that is left to make."""
    family = study.family
    built = build(study, wave.preset, corpus)
    sources = sources_of(study, wave, corpus, (0, 1) if layout is None else layout.host)
    steps = study.record_at(wave.tokens)
    for source in sources:
        source.check(steps[-1])
    columns = _columns_of(study, wave, corpus, built)
    members = tuple(Member(run.run, run.seed, run.learning_rate, columns(run)) for run in wave.runs)
    layout = layout or fleet_layout(len(members))
    parts = study.accumulate or default_parts(layout, study.batch, study.length)
    optimizer = dataclasses.replace(study.optimizer(wave.tokens), accumulate=parts)
    fleet = Fleet(members, steps, study.tokens_per_step, optimizer)

    def consumed(member: int, step: int) -> dict[str, float]:
        source, found = sources[member], {}
        if wave.runs[member].stages:  # the weights of the tokens so far
            found = {f"w_{domain}": value for domain, value in source.nominal(step).items()}
        epochs = source.consumed(step).epochs
        return found | {f"epochs_{domain}": value for domain, value in epochs.items()}

    feed = Feed(
        lambda start: batches(sources, start=start),
        {
            target: family.heldout(built, corpus, target, study.length, study.held_windows)
            for target in targets_of(study, corpus)
        },
        consumed,
        scored_tasks(study, corpus, built),
    )
    start = origin_params(study.start_from, built) if study.start_from else None

    here = wave_folder(folder, wave)
    kept = {"layout": layout, "keep_final": keep_final, "start": start, "saving": saving}
    kept["logs"] = logs if logs.folder else dataclasses.replace(logs, folder=str(folder))
    return functools.partial(train, built.model, fleet, feed, here, **kept)


def _watched(claim: Claim, progress: Callable[[Snapshot], None] | None) -> Callable[..., None]:
    """A progress callback that also stops a run whose claim was lost, before it writes rows."""

    def tell(snapshot: Snapshot) -> None:
        claim.check()
        if progress:
            progress(snapshot)

    return tell


def _columns_of(
    study: Study, wave: Wave, corpus: Corpus, built: Built
) -> Callable[[PlannedRun], dict[str, Any]]:
    """Returns a function of a run of a wave to the columns of its rows, besides losses."""
    count, origin = built.model.count(), study.start_from
    pools = epoch_tokens(study, corpus, built) | dict(wave.unique)
    unique = {f"unique_{d}": n for d, n in pools.items()}
    settings = dataclasses.asdict(built.config)
    shared = (settings, study.optimizer(wave.tokens), study.batch, study.length, corpus.hash)
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
            "config_hash": config_hash(*shared, run.learning_rate, *varies),
            **begun,
            **({"stages": len(run.stages)} if run.stages else {}),
        }

    return of


def _schedule(study: Study, run: PlannedRun) -> str:
    """The column that tells rows apart that a law must not pool.

    Losses of continued runs depend on their start, and those of staged runs on the order of their
    weights; a table with several schedules is refused unless pooling is asked for.
    """
    origin = study.start_from
    begun = [] if origin is None else [f"from {origin.run}-{origin.hash}"]
    return "; ".join([study.schedule, *(["staged"] if run.stages else []), *begun])


def sources_of(
    study: Study, wave: Wave, corpus: Corpus, host: tuple[int, int] = (0, 1)
) -> list[MixtureSource]:
    """The mixture of every run of a wave; `host` is (index, count) of processes that share it."""
    built = build(study, wave.preset, corpus)
    named = dict.fromkeys(domain for run in wave.runs for domain in run.weights)
    records = {d: study.family.records(built, corpus, d, study.length) for d in named}
    index, count = host
    steps, before = study.record_at(wave.tokens)[-1], read_before(study, wave, corpus)
    after, begun = None, {}  # a continued run goes on with the pools of its start
    if before is not None:
        theirs, earlier = before
        (source,) = sources_of(theirs, earlier, corpus)
        after, begun = (source, theirs.record_at(earlier.tokens)[-1]), source.records

    def records_of(domain: str, seed: int) -> Records:
        if domain in begun:
            return begun[domain]
        whole = records[domain]
        count = wave.unique.get(domain, len(whole) * study.length) // study.length
        return pool(whole, domain, count, seed)

    return [
        MixtureSource(
            {d: records_of(d, run.seed) for d in run.weights},
            _weights(run, steps),
            run.seed,
            study.batch,
            forbid_repeat=study.forbid_repeat,
            host=index,
            hosts=count,
            after=after,
        )
        for run in wave.runs
    ]


def _weights(run: PlannedRun, steps: int) -> Any:
    """The weights of a run's source: one mixture, or stages by their first steps."""
    pairs = zip(run.stage_starts(steps), run.stages, strict=True) if run.stages else ()
    return [(start, stage.weights) for start, stage in pairs] or run.weights
