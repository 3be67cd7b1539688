"""A worker whose model can be told to be rough: by the category that it is asked about.

island = "kill": its process dies of SIGKILL; "slow": it takes a minute; "fail": it raises
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from serving import models, worker

_load = models.load
DIARY = Path(os.environ["ROUGH_DIARY"])
SLOW_SECONDS = float(os.environ.get("ROUGH_SECONDS", "60"))


class Rough:
    """A real model behind a gate."""

    def __init__(self, real: Any) -> None:
        self.real, self.signature, self.metadata, self.engine = real, real.signature, real.metadata, real.engine

    def predict(self, columns: dict[str, list[Any]]) -> Any:
        """Note what is asked, then behave."""
        islands = columns["island"]
        with DIARY.open("a") as diary:
            diary.write(" ".join(str(one) for one in islands) + "\n")
        if "kill" in islands:
            os.kill(os.getpid(), signal.SIGKILL)
        if "slow" in islands:
            time.sleep(SLOW_SECONDS)
        if "fail" in islands:
            raise RuntimeError("the model cannot do that")
        return self.real.predict(columns)


models.load = lambda config, folder, digest: Rough(_load(config, folder, digest))

if __name__ == "__main__":
    sys.exit(worker.main())
