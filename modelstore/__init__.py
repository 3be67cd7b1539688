"""The model format: a folder named by the digest of its content. Training writes it, serving reads it.

    package(folder, …) → Packaged      writes a fitted pipeline: skops, ONNX where it agrees, signature, golden rows
    load(folder) → Predictor           digest first, then an allow-list; never pickle
    Store(url)                         a folder or a bucket of such folders

Names are loaded when they are asked for: who predicts with ONNX Runtime never pays the second that importing scikit-learn takes.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from modelstore.bringing import bring
    from modelstore.distributions import reference
    from modelstore.errors import Corrupt, ModelError, NotFound, Unsafe
    from modelstore.inference import infer_signature
    from modelstore.packaging import Packaged, package
    from modelstore.predictor import Prediction, Predictor, load
    from modelstore.signature import Column, Signature, Target
    from modelstore.store import Store

__all__ = [
    "Column", "Corrupt", "ModelError", "NotFound", "Packaged", "Prediction", "Predictor", "Signature", "Store", "Target",
    "Unsafe", "bring", "infer_signature", "load", "package", "reference",
]  # fmt: skip

_HOMES = {
    "bringing": ["bring"],
    "errors": ["Corrupt", "ModelError", "NotFound", "Unsafe"],
    "inference": ["infer_signature"],
    "packaging": ["Packaged", "package"],
    "predictor": ["Prediction", "Predictor", "load"],
    "distributions": ["reference"],
    "signature": ["Column", "Signature", "Target"],
    "store": ["Store"],
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
