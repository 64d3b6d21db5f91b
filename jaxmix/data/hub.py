"""Data sets that the `datasets` package reads, as domains: of the hub, or files of one's own.

A domain is named as ``hf:NAME[:SPLIT][:COLUMN]``. NAME is a file or folder of Parquet, JSONL, CSV
or Arrow, or OWNER/DATASET of the hub, then perhaps /CONFIG and @REVISION.
"""

import contextlib
import dataclasses
import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxmix.errors import JaxmixError
from jaxmix.quantities import amount

from .errors import DataError, clip, hint
from .skips import Skips, Unusable, unicode_text

PREFIX = "hf:"
_BUILDERS = {
    **{".parquet": "parquet", ".pq": "parquet", ".arrow": "arrow", ".csv": "csv", ".txt": "text"},
    **{".json": "json", ".jsonl": "json", ".ndjson": "json", ".tsv": "csv"},
}
_ON_HUB = re.compile(r"([\w.-]+(?:/[\w.-]+)?)(?:/([\w.+-]+))?(?:@([\w./-]+))?")
_SAVED = ("state.json", "dataset_dict.json")  # what Dataset.save_to_disk leaves
_MOST = 4e9  # bytes of a data set that is read whole, as everything read stays in memory


@dataclass(frozen=True)
class HubDataset:
    """One column of one split of a data set.

    Attributes:
        name: path of a file or folder, or a name on the hub.
        split: name of the split.
        column: name of the column that holds the text.
        local: whether `name` is a path.
        config: configuration of a data set on the hub; None for its only one.
        revision: commit, branch or tag on the hub; None for the newest.
        license: its license as the hub has it.
    """

    name: str
    split: str
    column: str
    local: bool
    config: str | None = None
    revision: str | None = None
    license: str = ""

    def __str__(self) -> str:
        config = f"/{self.config}" if self.config else ""
        revision = f"@{self.revision}" if self.revision else ""
        return f"{PREFIX}{self.name}{config}{revision}:{self.split}:{self.column}"

    @property
    def provenance(self) -> dict[str, Any]:
        """What the manifest says of it."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in ("local", "license")}

    def texts(self, skips: Skips, is_cut: bool = True) -> Iterator[str]:
        """Its texts, streamed.

        Args:
            skips: counts rows without text.
            is_cut: whether the caller stops at some size; if not, a very large one is refused.

        Raises:
            DataError: the package is missing, there is no such split or column, or it holds no
                text.
            JaxmixError: the hub does not answer.
        """
        rows = _rows(self)
        size = getattr(rows.info, "dataset_size", None) or 0
        if not is_cut and size > _MOST:
            raise DataError(f"{self}: holds {amount(size)} bytes; cut it with --max-bytes")
        missing = Unusable(f"has no text in column '{self.column}'")
        with _explained(self):
            for row, held in enumerate(rows, 1):
                text = held[self.column]
                try:
                    if not isinstance(text, str):
                        raise missing
                    usable = unicode_text(text)
                except Unusable as why:
                    skips.add(f"{self}, row {row}", why)
                    continue
                yield usable


def find_dataset(given: str, column: str) -> HubDataset:
    """The data set that ``hf:NAME[:SPLIT][:COLUMN]`` names; of the hub its newest revision.

    Args:
        given: the text, with its prefix.
        column: the column if none is named; the split is "train".

    Raises:
        DataError: there is no such file or data set.
        JaxmixError: the hub does not answer.
    """
    parts = given.removeprefix(PREFIX).split(":")
    for n in range(len(parts), 0, -1):
        path = Path(":".join(parts[:n])).expanduser()
        if path.exists():
            return HubDataset(str(path), *_behind(given, parts[n:], column), local=True)
    name, *rest = parts
    if name.startswith((".", "/", "~")) or Path(name).suffix in _BUILDERS:
        beside = Path(name).expanduser().parent
        there = [path.name for path in beside.iterdir()] if beside.is_dir() else []
        raise DataError(f"{name}: no such file or folder; {hint(Path(name).name, sorted(there))}")
    split, column = _behind(given, rest, column)
    found = _ON_HUB.fullmatch(name)
    if not found:
        raise DataError(f"'{given}' is not hf:NAME[:SPLIT][:COLUMN]; write hf:allenai/c4/en:train")
    return _newest(HubDataset(found[1], split, column, False, found[2], found[3]))


def _behind(given: str, parts: list[str], column: str) -> tuple[str, str]:
    """Split and column, from what stands behind the name."""
    if len(parts) > 2:
        raise DataError(f"'{given}' has too many parts; write hf:NAME[:SPLIT][:COLUMN]")
    split, named = (*parts, "", "")[:2]
    return split or "train", named or column


def _newest(dataset: HubDataset) -> HubDataset:
    """The data set at the commit that its revision means today, with its license.

    The hub is not asked if the revision is a commit, so that a corpus that is there opens offline.
    """
    if re.fullmatch("[0-9a-f]{40}", dataset.revision or ""):
        return dataset
    _package(dataset)  # whose absence explains more than that of the hub's
    hub = importlib.import_module("huggingface_hub")
    with _explained(dataset):
        info = hub.HfApi().dataset_info(dataset.name, revision=dataset.revision)
    terms = (info.card_data or {}).get("license") or ""
    license = ", ".join(terms) if isinstance(terms, list) else str(terms)
    return dataclasses.replace(dataset, revision=info.sha, license=license)


def _package(dataset: HubDataset) -> Any:
    try:
        return importlib.import_module("datasets")
    except ImportError:
        raise DataError(
            f"{dataset}: is read by the package datasets, which is not installed: "
            "pip install datasets"
        ) from None


def _rows(dataset: HubDataset) -> Any:
    """The rows of the split, with the column alone."""
    package = _package(dataset)
    with _explained(dataset), _quiet(package):
        splits = _splits(package, dataset)
        if isinstance(splits, Mapping):
            if dataset.split not in splits:
                near = hint(dataset.split, splits)
                raise DataError(f"{dataset}: no split '{dataset.split}'; {near}")
            rows = splits[dataset.split]
        else:
            rows = splits
        features = rows.features or next(iter(rows), {})
        if dataset.column not in features:
            near = hint(dataset.column, features)
            raise DataError(f"{dataset}: no column '{dataset.column}'; {near}")
        _check_text(dataset, features)
        return rows.select_columns([dataset.column])


def _check_text(dataset: HubDataset, features: Mapping[str, Any]) -> None:
    """Refuses a column that does not hold text; of CSV and JSONL only a first row is known."""

    def kind(name: str) -> str:
        return getattr(features[name], "dtype", None) or type(features[name]).__name__

    texts = ("string", "large_string", "str", "null", "NoneType")
    if kind(dataset.column) not in texts:
        others = ", ".join(name for name in features if kind(name) in texts) or "none"
        raise DataError(
            f"{dataset}: column '{dataset.column}' holds {kind(dataset.column).lower()}, not text; "
            f"columns of text: {others}"
        )


def _splits(package: Any, dataset: HubDataset) -> Any:
    """A data set by split; one that was saved to disk may be a single split."""
    if not dataset.local:
        named = (dataset.name, dataset.config)
        return package.load_dataset(*named, revision=dataset.revision, streaming=True)
    path = Path(dataset.name)
    if any((path / name).is_file() for name in _SAVED):
        saved = package.load_from_disk(str(path))
        splits = saved if isinstance(saved, Mapping) else {dataset.split: saved}
        return {name: split.to_iterable_dataset() for name, split in splits.items()}
    if path.is_dir():
        return package.load_dataset(str(path.resolve()), streaming=True)
    builder = _BUILDERS.get(path.suffix.lower())
    if builder is None:
        raise DataError(f"{path}: is none of {', '.join(_BUILDERS)}; convert it")
    more = {"sep": "\t"} if path.suffix == ".tsv" else {}
    return package.load_dataset(builder, data_files=str(path), streaming=True, **more)


@contextlib.contextmanager
def _quiet(package: Any) -> Iterator[None]:
    """Keeps the package from writing what its error says again."""
    before = package.logging.get_verbosity()
    package.logging.set_verbosity(package.logging.CRITICAL)
    try:
        yield
    finally:
        package.logging.set_verbosity(before)


@contextlib.contextmanager
def _explained(dataset: HubDataset) -> Iterator[None]:
    """Names the data set in errors of the packages, which raise classes of every kind."""
    try:
        yield
    except (JaxmixError, GeneratorExit):
        raise
    except Exception as error:
        said = clip(error, 160)
        if dataset.local:
            raise DataError(f"{dataset.name}: cannot be read ({said}); replace it") from None
        if "configs: [" in str(error) or "Available: [" in str(error):
            known = str(error).rpartition("[")[2].partition("]")[0].replace("'", "")
            write = f"write {PREFIX}{dataset.name}/CONFIG with one of {clip(known, 200)}"
            raise DataError(f"{dataset}: {write}") from None
        raise JaxmixError(
            f"{dataset}: cannot be read from the hub ({said}); check the name and the network, or "
            "log in with hf auth login"
        ) from None
