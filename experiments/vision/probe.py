"""A linear probe on an encoder's features: what it tells apart after training, and before.

    python -m experiments.vision.probe [--work FOLDER]

Trains one encoder on all six domains alike (it resumes where it was stopped). Ridge regression from
features to classes is fitted on training pictures and scored on held-out ones, the penalty chosen
on a fifth of the training pictures. Features are means over patches, of the trained encoder and of
the same one before training; the pixels themselves are there for comparison. Writes
results/probe.csv and results/contact-sheet.png, which shows what the model sees and writes.
"""

import argparse
import pathlib
from dataclasses import replace

import jax
import numpy as np

from experiments import harness, stages
from experiments.vision.config import STUDY
from jaxmix.data import patches_of
from jaxmix.models import features
from jaxmix.report import plot_contact_sheet
from jaxmix.studies import Design, Size, caption_pictures, finished_run

DOMAINS = ("emoji", "icons", "brands", "digits", "paths", "glyphs")
TRAINED = replace(
    STUDY.ladder,
    sizes=(Size("lvm-tiny-64", 4_000_000),),
    designs=(Design("uniform"),),
    domains=DOMAINS,
    checkpoints=8,
)
PENALTIES = 10.0 ** np.arange(-3, 5)


def main(work: pathlib.Path) -> None:
    stages.trained(TRAINED, work, keep_final=True)
    found = finished_run(work)
    fresh = jax.tree.map(np.asarray, found.built.model.init(jax.random.key(found.study.seeds[0])))
    rows = []
    for task, domain, label in (("digit", "digits", str), ("kind of emoji", "emoji", kind)):
        train, test = (labelled(found, domain, side, label) for side in ("train", "heldout"))
        views = {
            "trained encoder": lambda patches: pooled(found, found.params, patches),
            "untrained encoder": lambda patches: pooled(found, fresh, patches),
            "pixels": lambda patches: patches.reshape(len(patches), -1) / 255.0,
        }
        for name, view in views.items():
            right = accuracy(view(train[0]), train[1], view(test[0]), test[1])
            rows.append(
                {
                    "task": task,
                    "classes": len(set(train[1])),
                    "features": name,
                    "train_pictures": len(train[1]),
                    "heldout_pictures": len(test[1]),
                    "commonest_class": f"{100 * commonest(test[1]):.1f}",
                    "accuracy": f"{100 * right:.1f}",
                    "standard_error": f"{100 * np.sqrt(right * (1 - right) / len(test[1])):.1f}",
                }
            )
            print(rows[-1], flush=True)
    out = pathlib.Path(__file__).parent / "results"
    harness.write_csv(out / "probe.csv", rows)
    title = f"{found.run} after {found.study.sizes[0].tokens:,.0f} positions: held-out pictures"
    plot_contact_sheet(caption_pictures(found, 8), out / "contact-sheet.png", title)


def kind(caption: str) -> str | None:
    """Of an emoji, by its name: flags, and who is shown with a skin tone or a hair style."""
    words = caption.split()
    for one in ("flag", "family", "kiss", "couple", "woman", "man", "person"):
        if one in words:
            return one
    return "thing"


def labelled(found, domain, side, label):
    """Patches of all pictures of one side, [n, K, P], and their classes."""
    documents = found.corpus.documents(domain, side)
    pairs = [documents[i] for i in range(len(documents))]
    patches = patches_of([picture for picture, _ in pairs], found.built.config.grid)
    return patches, np.array([label(found.corpus.tokenizer.decode(ids)) for _, ids in pairs])


def pooled(found, params, patches):
    """Mean features over patches, [n, D]."""
    parts = np.array_split(patches, max(1, len(patches) // 512))
    seen = [features(found.built.config, params, part).mean(1) for part in parts]
    return np.concatenate(seen).astype(np.float64)


def accuracy(train, classes, test, truth):
    """Share of right answers of the probe whose penalty is best on a fifth of the training data."""
    last = len(train) * 4 // 5
    penalty = max(
        PENALTIES,
        key=lambda p: np.mean(
            answers(train[:last], classes[:last], train[last:], p) == classes[last:]
        ),
    )
    return float(np.mean(answers(train, classes, test, penalty) == truth))


def answers(train, classes, test, penalty):
    names, which = np.unique(classes, return_inverse=True)
    mean, scale = train.mean(0), train.std(0) + 1e-6
    x, z = ((part - mean) / scale for part in (train, test))
    y = np.eye(len(names))[which] - np.bincount(which) / len(which)
    weights = np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y)
    return names[(z @ weights + np.bincount(which) / len(which)).argmax(1)]


def commonest(truth):
    return np.unique(truth, return_counts=True)[1].max() / len(truth)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--work", type=pathlib.Path, default=harness.CACHE / "studies" / "vision-probe"
    )
    main(parser.parse_args().work)
