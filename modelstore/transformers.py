"""The scikit-learn transformers that pipelines of anneal are made of. They live here because who loads a model must find them.

    Pipeline([("prepare", Prepare(signature.kinds(), task=…)), ("select", Select("fTest", 8, task=…)), ("model", estimator)])

takes the raw table, a pandas DataFrame or a dict of columns, and answers. What is fitted are plain arrays and lists: small in the
file, quick without pandas, and each has its own translation to ONNX (modelstore/converters.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.preprocessing import TargetEncoder
from sklearn.utils.validation import check_is_fitted

from modelstore import moments
from modelstore.columns import MISSING, Floats, Texts, length_of, values_of
from modelstore.selection import scores

__all__ = ["Prepare", "Select"]

OTHER: Final = "<other>"
ABSENT: Final = "<missing>"
WIDEST_STEP: Final = 5
"""Row numbers of which more than four in five were left out are not recognised any more."""


class Prepare(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A raw table to a matrix of float64, column by column, by what the column means.

    numeric, boolean   the median for what is missing, mean 0 and deviation 1; an indicator if anything was missing in training
    datetime           days since 1970, and the year, the week and the day as circles; then as numeric
    categorical        one column per category up to `max_categories` of them, the rare ones together; above that the mean of the
                       target per category (scikit-learn's TargetEncoder, cross-fitted on the training rows)

    Columns that say nothing are dropped: constant ones, texts that differ in nearly every row, whole numbers that just count up.

    columns: (name, kind) pairs, as `Signature.kinds()`.
    task: "classification" or "regression"; for the means of the target.
    max_categories: most categories that get columns of their own.
    min_frequency: share of the rows below which a category counts as rare.
    seed: of the cross-fitting.
    """

    def __init__(
        self,
        columns: Iterable[tuple[str, str]] = (),
        task: str = "classification",
        max_categories: int = 20,
        min_frequency: float = 0.005,
        seed: int = 0,
    ) -> None:
        self.columns = columns
        self.task = task
        self.max_categories = max_categories
        self.min_frequency = min_frequency
        self.seed = seed

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn from a table and its target."""
        self._fit(X, y)
        return self

    def fit_transform(self, X: Any, y: Any = None, **_: Any) -> Floats:
        """Learn, and answer the training rows with means of the target that do not know the row's own target."""
        block, tables = self._fit(X, y)
        return np.hstack([self._scaled(block), *tables]) if tables else self._scaled(block)

    def transform(self, X: Any) -> Floats:
        """Rows × features, float64, never NaN."""
        check_is_fitted(self, "fill_")
        block = self._scaled(self._block(X))
        codes = [self._rows(name, values_of(X, name, "categorical")) for name in self.categorical_]
        return np.hstack([block, *codes]) if codes else block

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names such as bill_length_mm, missingindicator_sex, island=Biscoe, island=<other>."""
        return np.array(self.features_, dtype=object)

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "fill_")

    def _fit(self, X: Any, y: Any) -> tuple[Floats, list[Floats]]:
        rows = length_of(X)
        if rows == 0:
            raise ValueError("cannot prepare an empty table: it has no rows; check what the Dataset reads")
        self.dropped_: dict[str, str] = {}
        self.numeric_: list[str] = []
        self.datetime_: list[str] = []
        self.categorical_: list[str] = []
        texts: dict[str, Texts] = {}
        for name, kind in self.columns:
            values = values_of(X, name, kind)
            if why := useless(values, kind):
                self.dropped_[name] = why
            elif kind == "categorical":
                self.categorical_.append(name)
                texts[name] = values
            else:
                (self.datetime_ if kind == "datetime" else self.numeric_).append(name)
        return self._fit_numbers(X), [self._fit_texts(name, texts[name], y) for name in self.categorical_]

    def _fit_numbers(self, X: Any) -> Floats:
        raw = self._numbers(X)
        known = np.isfinite(raw)
        self.gaps_ = np.flatnonzero(~known.all(axis=0))
        self.fill_ = np.array([np.median(column[ok]) if ok.any() else 0.0 for column, ok in zip(raw.T, known.T, strict=True)])
        block = self._block(X)
        self.mean_ = block.mean(axis=0)
        deviation = block.std(axis=0)
        self.scale_ = np.where(deviation > 1e-12 * np.maximum(1.0, np.abs(self.mean_)), deviation, 1.0)
        plain = [*self.numeric_, *self.datetime_]
        n = len(self.gaps_)
        self.mean_[len(self.mean_) - n :], self.scale_[len(self.scale_) - n :] = 0.0, 1.0  # indicators stay 0 and 1
        circles = [f"{name} {part}" for name in self.datetime_ for part in moments.PARTS]
        gaps = [plain[i] for i in self.gaps_]
        self.features_: list[str] = [*self.numeric_, *circles, *(f"missingindicator_{name}" for name in gaps)]
        self.sources_: list[str] = [*self.numeric_, *(name for name in self.datetime_ for _ in moments.PARTS), *gaps]
        self.categories_: dict[str, list[str]] = {}
        self.tables_: dict[str, Floats] = {}
        return block

    def _numbers(self, X: Any) -> Floats:
        kinds = dict(self.columns)
        read = [values_of(X, name, kinds[name]) for name in (*self.numeric_, *self.datetime_)]
        return np.column_stack(read) if read else np.empty((length_of(X), 0))

    def _block(self, X: Any) -> Floats:
        raw = self._numbers(X)
        missing = ~np.isfinite(raw)
        filled = np.where(missing, self.fill_, raw)
        split = len(self.numeric_)
        return np.hstack([filled[:, :split], moments.features(filled[:, split:]), missing[:, self.gaps_]])

    def _scaled(self, block: Floats) -> Floats:
        scaled: Floats = (block - self.mean_) / self.scale_
        return scaled

    def _fit_texts(self, name: str, values: Texts, y: Any) -> Floats:
        found, counts = np.unique(values, return_counts=True)
        if len(found) <= self.max_categories:
            return self._fit_few(name, values, found, counts)
        return self._fit_many(name, values, found, y)

    def _fit_few(self, name: str, values: Texts, found: Texts, counts: NDArray[np.int64]) -> Floats:
        rare = counts < self.min_frequency * len(values)
        kept = [str(category) for category in found[~rare]]
        width = len(kept) + bool(rare.any())
        table = np.zeros((len(found) + 1, width))
        table[np.flatnonzero(~rare), np.arange(len(kept))] = 1.0
        if rare.any():
            table[np.append(np.flatnonzero(rare), len(found)), width - 1] = 1.0  # what was never seen counts as rare
        labels = [*(ABSENT if category == MISSING else category for category in kept), *([OTHER] if rare.any() else [])]
        self._keep(name, found, table, [f"{name}={label}" for label in labels])
        return self._rows(name, values)

    def _fit_many(self, name: str, values: Texts, found: Texts, y: Any) -> Floats:
        if y is None:
            raise ValueError(f"cannot prepare column {name!r}: it has {len(found)} categories, whose means need the target")
        target, kind = np.asarray(y), "continuous"
        if self.task == "classification":
            classes, target = np.unique(target, return_inverse=True)
            kind = "binary" if len(classes) == 2 else "multiclass"
        encoder = TargetEncoder(target_type=kind, cv=_folds(target, self.task, self.seed))
        rows = np.asarray(encoder.fit_transform(values.reshape(-1, 1), target), dtype=np.float64)
        unseen = np.array([max(found, key=len) + "~"], dtype=object)
        table = np.asarray(encoder.transform(np.concatenate([found, unseen]).reshape(-1, 1)), dtype=np.float64)
        mean, deviation = rows.mean(axis=0), rows.std(axis=0)
        deviation = np.where(deviation > 0, deviation, 1.0)
        names = [f"{name}:mean"] if rows.shape[1] == 1 else [f"{name}:mean of {label}" for label in classes]
        self._keep(name, found, (table - mean) / deviation, names)
        means: Floats = (rows - mean) / deviation
        return means

    def _keep(self, name: str, found: Texts, table: Floats, features: list[str]) -> None:
        self.categories_[name] = [str(category) for category in found]
        self.tables_[name] = table
        self.features_.extend(features)
        self.sources_.extend([name] * len(features))

    def _rows(self, name: str, values: Texts) -> Floats:
        known = {category: code for code, category in enumerate(self.categories_[name])}
        unseen = len(known)
        codes = np.fromiter((known.get(value, unseen) for value in values), dtype=np.int64, count=len(values))
        return self.tables_[name][codes]


class Select(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Keep the features that say most about the target.

    method: mutualInformation, fTest, modelBased (impurity importances of extremely randomized trees), or none: keep all.
    max_features: how many to keep at most; None: all that score above zero (modelBased: above the mean).
    """

    def __init__(
        self, method: str = "none", max_features: int | None = None, task: str = "classification", seed: int = 0
    ) -> None:
        self.method = method
        self.max_features = max_features
        self.task = task
        self.seed = seed

    def fit(self, X: Floats, y: Any = None) -> Self:
        """Score the features and choose."""
        self.scores_ = scores(X, y, self.method, self.task, self.seed)
        self.n_features_in_ = X.shape[1]
        if self.method == "none":
            self.indices_ = np.arange(X.shape[1])
            return self
        order = np.argsort(-self.scores_, kind="stable")  # ties: the first column first, so that two runs choose the same
        floor = float(self.scores_.mean()) if self.method == "modelBased" and self.max_features is None else 0.0
        best = [i for i in order[: self.max_features] if self.scores_[i] > floor]
        self.indices_ = np.sort(np.array(best or order[:1], dtype=np.int64))
        return self

    def transform(self, X: Floats) -> Floats:
        """The chosen columns, in their order."""
        check_is_fitted(self, "indices_")
        return X[:, self.indices_]

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Names of the chosen features."""
        names = [f"x{i}" for i in range(self.n_features_in_)] if input_features is None else input_features
        return np.asarray(names, dtype=object)[self.indices_]


def _folds(target: Any, task: str, seed: int) -> Any:
    splits = min(5, len(target))
    if task == "classification" and int(np.unique(target, return_counts=True)[1].min()) >= splits:
        return StratifiedKFold(splits, shuffle=True, random_state=seed)
    return KFold(splits, shuffle=True, random_state=seed)


def useless(values: NDArray[Any], kind: str) -> str | None:
    """Why a column in canonical form says nothing about anything, or None."""
    texts = kind == "categorical"
    known = values[values != MISSING] if texts else values[np.isfinite(values)]
    different = len(np.unique(known))
    if different == 0:
        return "empty"
    if different == 1 and len(known) == len(values):
        return "constant"
    enough = len(known) >= 30
    if texts and enough and different > 0.95 * len(known):
        return "unique"
    return "unique" if kind == "numeric" and enough and len(known) == len(values) and counts_up(values) else None


def counts_up(values: Floats) -> bool:
    """Whether these are row numbers, up or down, perhaps with rows in between left out, as a held-out set and folds do."""
    steps = np.diff(values)
    ordered = bool((steps > 0).all() or (steps < 0).all())
    return ordered and abs(values[-1] - values[0]) < WIDEST_STEP * len(values) and np.array_equal(values, np.round(values))
