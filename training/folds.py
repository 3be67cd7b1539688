"""The table as cross-validation sees it: prepared once per fold, so that a trial fits its estimator and nothing else.

Columns are prepared, and features chosen, from the training rows of each fold alone: nothing of the rows that judge leaks in.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import KFold, StratifiedKFold

from specs.experiment import ExperimentSpec
from training.data import Data
from training.features import preparation

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fold:
    """Features (rows × features) and target of the rows to learn from and of those to be judged by.

    The target of a classification is the label's place among the classes.
    """

    train_X: Floats
    train_y: NDArray[Any]
    test_X: Floats
    test_y: NDArray[Any]


def make(data: Data, spec: ExperimentSpec) -> list[Fold]:
    """Prepare all folds: spec.evaluation.folds of them, shuffled by the seed, classes in equal shares."""
    inputs = data.train.inputs
    target = data.train.target if data.classes is None else np.searchsorted(data.classes, data.train.target)
    kind = KFold if data.classes is None else StratifiedKFold
    splitter = kind(n_splits=spec.evaluation.folds, shuffle=True, random_state=spec.seed)
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer members than folds is in some folds only: so it is
        for train, test in splitter.split(inputs, target):
            pipeline = preparation(data, spec.features, spec.seed)
            train_X = np.ascontiguousarray(pipeline.fit_transform(inputs.iloc[train], data.train.target[train]))
            test_X = np.ascontiguousarray(pipeline.transform(inputs.iloc[test]))
            found.append(Fold(train_X, target[train], test_X, target[test]))
    return found


def save(folds: Sequence[Fold], folder: Path) -> None:
    """Write them as .npy files: processes that map them share the memory."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, fold in enumerate(folds):
        for name in Fold.__slots__:
            np.save(folder / f"{number}-{name}.npy", getattr(fold, name))


def load(folder: Path, count: int) -> list[Fold]:
    """Map the first `count` folds that `save` wrote, read-only."""
    return [
        Fold(*(np.load(folder / f"{number}-{name}.npy", mmap_mode="r") for name in Fold.__slots__)) for number in range(count)
    ]
