"""Where everything of one installation lives: `$ANNEAL_HOME`, by default `~/.anneal`. Two homes never meet."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


class HomeUnusable(OSError):
    """The folders cannot be made where they are wanted."""


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of one installation. Making one touches nothing; `prepare` does."""

    root: Path

    @classmethod
    def from_env(cls) -> Home:
        """`$ANNEAL_HOME`, else `~/.anneal`."""
        return cls(Path(os.environ.get("ANNEAL_HOME") or Path.home() / ".anneal").expanduser().absolute())

    @property
    def kubeconfig(self) -> Path:
        """For kubectl, for the command line, for any client. Mode 0600: it holds the token."""
        return self.root / "kubeconfig"

    @property
    def database(self) -> Path:
        """The embedded API server's SQLite file."""
        return self.root / "anneal.db"

    @property
    def logs(self) -> Path:
        """daemon.log, and one file per local process."""
        return self.root / "logs"

    @property
    def run(self) -> Path:
        """daemon.pid, daemon.lock, server.json (the chosen port), units."""
        return self.root / "run"

    @property
    def pki(self) -> Path:
        """The generated CA, the server's certificate, the token, the key that encrypts Secrets."""
        return self.root / "pki"

    @property
    def models(self) -> Path:
        """The model store."""
        return self.root / "models"

    @property
    def data(self) -> Path:
        """Tables by their digest."""
        return self.root / "data"

    @property
    def runs(self) -> Path:
        """One folder per run of an Experiment."""
        return self.root / "runs"

    @property
    def units(self) -> Path:
        """One folder per local process that outlives the daemon."""
        return self.root / "units"

    @property
    def serving(self) -> Path:
        """One folder per ModelDeployment."""
        return self.root / "serving"

    @property
    def ray(self) -> Path:
        """One folder per local RayCluster: its token."""
        return self.root / "ray"

    @property
    def pidfile(self) -> Path:
        """The daemon's pid, written once it answers."""
        return self.run / "daemon.pid"

    @property
    def lockfile(self) -> Path:
        """Held by the one daemon of this home."""
        return self.run / "daemon.lock"

    @property
    def server_record(self) -> Path:
        """JSON: host and port that this home's API server was given, kept over restarts."""
        return self.run / "server.json"

    def prepare(self) -> None:
        """Make the folders, readable by their owner only. HomeUnusable if that cannot be."""
        folders = (self.logs, self.run, self.pki, self.models, self.data, self.runs, self.units, self.serving, self.ray)
        for folder in (self.root, *folders):
            try:
                folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                why = os.strerror(error.errno or 0).lower()
                message = f"cannot make the folder {folder}: {why}; set ANNEAL_HOME or --home to one that you may write to"
                raise HomeUnusable(message) from error
