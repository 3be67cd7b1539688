"""`python -m training.job --run DIR`: one run of an Experiment, from a table to a model in the store.

Reads DIR/spec.json: {"experiment": <spec>, "dataset": {"path", "digest", "target", "types"},
"ray": {"address", "token_file"} | null, "store": url, "uid", "name", "finished": <trials known to be over>}.
Writes DIR/progress.json, DIR/trials.jsonl (a line per finished trial), DIR/log, and at the end DIR/result.json:
{"modelDigest", "metrics", "heldout", "features", …} or {"error": {"reason", "message"}}.

It may be killed at any moment. Started again it goes on: finished trials and the screening are read, everything else is made
anew, which gives the same. An error of reason RayUnreachable or Interrupted asks for that; the others wait for another table or
spec. Without "ray" trials run in this process, one after the other.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported: processes share the cores, threads would fight for them


def main(argv: list[str] | None = None) -> int:
    """Make the run; 0: result.json tells of a model, 1: of an error, 75: of one that another attempt may mend."""
    parser = argparse.ArgumentParser(prog="python -m training.job", description="Make one run of an Experiment.")
    parser.add_argument("--run", type=Path, required=True, metavar="DIR")
    folder = parser.parse_args(argv).run
    from training.run import Run

    return Run(folder).go()


if __name__ == "__main__":
    sys.exit(main())
