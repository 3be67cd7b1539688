"""Serving images that are bad in one way each: the good one, with a few lines more in its worker."""

from __future__ import annotations

import io
import tarfile
import time

from tests.support.daemon import ROOT
from tests.support.swarmlab import SwarmLab

WORKER = ROOT / "serving" / "worker.py"
MAIN = 'if __name__ == "__main__":'
NEVER_HEALTHY = "Keeper._hear = lambda self, line: None  # nobody hears that the model is loaded"
CRASHES = """\
_run = consuming.run

def _run_for_a_while(*args):
    import threading
    threading.Timer(20, lambda: os.kill(os.getpid(), signal.SIGSEGV)).start()
    return _run(*args)

consuming.run = _run_for_a_while
"""
ERRS = """\
from serving import predicting

_predict, _count = predicting.Worker._predict, iter(range(10**9))

def _now_and_then(self, columns):
    if next(_count) % 2:
        raise ArithmeticError("every other time")
    return _predict(self, columns)

predicting.Worker._predict = _now_and_then
"""
DAWDLES = """\
from serving import predicting

_predict = predicting.Worker._predict

def _late(self, columns):
    time.sleep(2)
    return _predict(self, columns)

predicting.Worker._predict = _late
"""
BAD = {"never-healthy": NEVER_HEALTHY, "crashes": CRASHES, "errs": ERRS, "dawdles": DAWDLES}


def bad_image(lab: SwarmLab, name: str) -> str:
    """Make it and push it to the Swarm's registry; its reference by digest. Its preflight is that of the good one: it passes."""
    api = lab.api(seconds=120)
    head, main, rest = WORKER.read_text().partition(MAIN)
    made = api.create_container(lab.images["serving"], command=["true"])["Id"]
    try:
        api.put_archive(made, "/app/serving", _tar("worker.py", f"{head}{BAD[name]}\n\n{main}{rest}".encode()))
        repository = lab.images["serving"].partition("@")[0] + f"-{name}"
        api.commit(made, repository, "bad")
    finally:
        api.remove_container(made)
    for line in api.push(repository, "bad", stream=True, decode=True):
        assert "error" not in line, line
        if digest := (line.get("aux") or {}).get("Digest"):
            return f"{repository}@{digest}"
    raise AssertionError(f"{repository} was pushed without a digest")


def _tar(name: str, data: bytes) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size, info.mode, info.mtime = len(data), 0o644, int(time.time())
        tar.addfile(info, io.BytesIO(data))
    return out.getvalue()
