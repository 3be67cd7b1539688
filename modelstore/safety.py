"""Loading a skops file from whoever wrote it. Nothing of it is constructed before all of it was looked at.

1. the archive: a zip, plain names, nothing that swells beyond a limit
2. the schema: only kinds of nodes that estimators need (no bound methods, no partials, no operators, none of skops' old formats),
   only modules that models come from
3. skops' own audit, with an allow-list of types. What a file asks to be trusted is never asked for
4. trees: indices within bounds, since scikit-learn follows them without looking

There is no other way in: never pickle, never joblib.
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from typing import Any, Final

import skops.io
from skops.io.exceptions import UntrustedTypesFoundException

from modelstore import bounds
from modelstore.errors import TooLarge, Unsafe, one_line
from modelstore.skopsfile import SCHEMA

MAX_ENTRIES: Final = 200_000
MAX_BYTES: Final = 2 << 30
"""Of everything in the archive, unpacked."""
MAX_SCHEMA: Final = 256 << 20
MAX_RATIO: Final = 200
"""Unpacked to packed. What compresses better than that is a bomb, not a model."""
PROTOCOL: Final = 2
"""Of skops ≥ 0.10; earlier ones go through loaders that are no longer looked after."""

TRUSTED: Final = (
    "builtins.NoneType",
    "modelstore.transformers.Prepare",
    "modelstore.transformers.Select",
    "numpy.dtype",
    "sklearn._loss.loss.HalfTweedieLoss",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.feature_selection._mutual_info.mutual_info_classif",
    "sklearn.feature_selection._mutual_info.mutual_info_regression",
    "sklearn.feature_selection._univariate_selection.chi2",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.feature_selection._univariate_selection.f_regression",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.DotProduct",
    "sklearn.gaussian_process.kernels.Matern",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.gaussian_process.kernels.RationalQuadratic",
    "sklearn.gaussian_process.kernels.Sum",
    "sklearn.gaussian_process.kernels.WhiteKernel",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neighbors._kd_tree.KDTree64",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
)
"""Types that skops does not trust by itself and that models are made of. Each was looked at: none runs what it is given."""

BOOSTERS: Final = (
    "collections.OrderedDict",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRFClassifier",
    "xgboost.sklearn.XGBRFRegressor",
    "xgboost.sklearn.XGBRegressor",
)
"""Trees that the parser of another library reads: their contents cannot be looked at. For models that were trained here only."""

LOADERS: Final = frozenset({
    "BytearrayNode", "BytesNode", "DTypeNode", "DefaultDictNode", "DictNode", "FunctionNode", "JsonNode", "ListNode", "LossNode",
    "MaskedArrayNode", "NdArrayNode", "ObjectNode", "RandomGeneratorNode", "RandomStateNode", "SetNode", "SliceNode", "TreeNode",
    "TupleNode", "TypeNode",
})  # fmt: skip
ROOTS: Final = frozenset({"builtins", "collections", "modelstore", "numpy", "scipy", "sklearn", "_loss", "lightgbm", "xgboost"})
_PLAIN: Final = re.compile(r"[A-Za-z0-9_-]{1,128}\.(npy|bin|json)")


def loads(data: bytes, file: str = "model.skops", *, foreign: bool = False) -> Any:
    """Construct the estimator. Unsafe: it is refused, and nothing of it ran. `file` is what errors call it.

    foreign: somebody brought it, so that types whose contents cannot be looked at are refused too.
    """
    try:
        schema = _schema(data, file)
        _look_at(schema, file)
        model = skops.io.loads(data, trusted=TRUSTED if foreign else TRUSTED + BOOSTERS)
        bounds.check(model)
    except Unsafe:
        raise
    except UntrustedTypesFoundException as e:
        raise Unsafe(file, f"it holds types that are not on the allow-list ({str(e)[:300]})") from e
    except RecursionError as e:
        raise Unsafe(file, "it is nested too deeply") from e
    except MemoryError as e:
        raise TooLarge(file) from e
    except Exception as e:  # whatever a damaged file makes skops, numpy and scikit-learn raise
        raise Unsafe(file, f"it cannot be read: {type(e).__name__}: {one_line(e)}") from e
    return model


def _schema(data: bytes, file: str) -> Any:
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except zipfile.BadZipFile as e:
        raise Unsafe(file, "it is no skops file (a pickle or a joblib file, whatever its name, is never loaded)") from e
    with archive:
        entries = archive.infolist()
        _look_at_archive(entries, file)
        if archive.getinfo(SCHEMA).file_size > MAX_SCHEMA:
            raise Unsafe(file, f"its schema is larger than {MAX_SCHEMA >> 20} MiB")
        return json.loads(archive.read(SCHEMA))


def _look_at_archive(entries: list[zipfile.ZipInfo], file: str) -> None:
    names = [entry.filename for entry in entries]
    if SCHEMA not in names:
        raise Unsafe(file, f"it is a zip archive without {SCHEMA}: no skops file")
    if len(entries) > MAX_ENTRIES or len(set(names)) != len(names):
        raise Unsafe(file, "its archive has too many entries, or one name twice")
    for entry in entries:
        if not _PLAIN.fullmatch(entry.filename):
            raise Unsafe(file, f"its archive has an entry {entry.filename[:80]!r}")
        if entry.flag_bits & 1 or entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Unsafe(file, "its archive is encrypted, or packed in an unusual way")
    unpacked, packed = sum(entry.file_size for entry in entries), sum(entry.compress_size for entry in entries)
    if unpacked > MAX_BYTES or unpacked > MAX_RATIO * packed + (1 << 20):
        raise Unsafe(file, f"it would unpack to {unpacked >> 20} MiB")


def _look_at(schema: Any, file: str) -> None:
    if not isinstance(schema, dict) or schema.get("protocol") != PROTOCOL:
        raise Unsafe(file, f"it was not written in skops' protocol {PROTOCOL}; save it again with a current skops")
    for node in _nodes(schema):
        loader, module = node["__loader__"], node.get("__module__")
        if loader not in LOADERS:
            raise Unsafe(file, f"it holds a {str(loader)[:60]}, which no model needs")
        if not isinstance(module, str) or module.partition(".")[0] not in ROOTS:
            raise Unsafe(file, f"it holds {str(module)[:60]}.{str(node.get('__class__'))[:60]}, which is not on the allow-list")


def _nodes(schema: Any) -> Iterator[dict[str, Any]]:
    open_: list[Any] = [schema]
    while open_:
        item = open_.pop()
        if isinstance(item, dict):
            if "__loader__" in item:
                yield item
            open_.extend(item.values())
        elif isinstance(item, list):
            open_.extend(item)
