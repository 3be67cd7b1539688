"""What can be wrong with a model package. Every text says what, why, and what to do."""

from __future__ import annotations


class ModelError(Exception):
    """A model cannot be written, read or used."""


class NotFound(ModelError):
    """The store does not hold it."""

    def __init__(self, digest: str, where: str) -> None:
        super().__init__(f"cannot find model {digest} in {where}: it is not there; train it again, or correct the digest")
        self.digest = digest


class Away(ModelError):
    """What would hold it does not answer, or not now. Nothing is known of what it holds."""


class Corrupt(ModelError):
    """A file of the package is not the one that was packaged: it is never loaded."""

    def __init__(self, file: str, cause: str) -> None:
        super().__init__(f"cannot use model file {file}: {cause}; restore it from a backup, or train the model again")
        self.file = file
        """Name of the file within the package."""
        self.cause = cause


class Unsafe(ModelError):
    """A model file holds what could run code or harm the process: it is refused before anything of it is constructed."""

    def __init__(self, file: str, cause: str) -> None:
        super().__init__(
            f"cannot load model file {file}: {cause}; save the model with skops, of scikit-learn's own types, or bring it as ONNX"
        )
        self.file = file
        self.cause = cause


class TooLarge(ModelError):
    """The model asks for more memory than this process may take."""

    def __init__(self, file: str) -> None:
        super().__init__(f"cannot load model file {file}: it asks for more memory than this process may take; allow it more")
        self.file = file


def one_line(error: BaseException, limit: int = 200) -> str:
    """What an error says, in one line that is not too long."""
    return " ".join(str(error).split())[:limit]
