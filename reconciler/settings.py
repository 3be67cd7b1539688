"""What can be tuned, each by an environment variable `ANNEAL_<NAME>`; the defaults are for production."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Settings:
    """All durations in seconds."""

    workers: int = 16
    """Objects reconciled at once."""
    resync_seconds: float = 1800.0
    """Every object is looked at again this often, whatever was or was not heard."""
    poll_seconds: float = 60.0
    """One list call per driver this often; what changed outside is looked at."""
    audit_seconds: float = 15.0
    """The informer compares what it heard with a list of versions this often; two mismatches in a row mean that it is blind."""
    pass_seconds: float = 120.0
    """A pass that takes longer is cut off and tried again."""
    backoff_base_seconds: float = 0.5
    """The first pause after a failure; each further one doubles."""
    backoff_cap_seconds: float = 300.0
    """The longest pause."""
    lease_seconds: float = 15.0
    """How long a silent leader stays leader."""
    breaker_count: int = 10
    """The breaker opens when more parts of one account than this would be replaced at once."""
    breaker_share: float = 0.4
    """… or more than this share of them, from three on."""
    simulated_settle_seconds: float = 45.0
    """How long a create at the simulated cloud may stay invisible."""
    openstack_settle_seconds: float = 60.0
    """How long a create at an OpenStack cloud may stay invisible."""
    call_seconds: float = 30.0
    """Time limit of one call to a provider."""
    data_roots: str = ""
    """Folders, separated by colons, that absolute file URIs of Datasets may lead into, beside the folder of their spec."""
    model_store: str = ""
    """Where models are kept: a folder, or a URL such as s3://bucket/models that other machines reach too; empty: in the home."""
    retry_scale: float = 1.0
    """Stretches the pauses after a provider's refusals: a minute after a quota, two after a policy, five seconds otherwise."""

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None) -> Settings:
        """Read the variables; ValueError names the one that is no number."""
        given: dict[str, float | str] = {}
        for setting in fields(cls):
            text = (os.environ if env is None else env).get(f"ANNEAL_{setting.name.upper()}")
            if text is None:
                continue
            if setting.type == "str":
                given[setting.name] = text
                continue
            try:
                value = float(text)
            except ValueError as error:
                raise ValueError(f"ANNEAL_{setting.name.upper()}: expected a number, not {text!r}") from error
            if not 0 < value < 1e9:
                raise ValueError(f"ANNEAL_{setting.name.upper()}: expected a number above 0, not {text!r}")
            given[setting.name] = int(value) if setting.type == "int" else value
        return cls(**given)  # type: ignore[arg-type]
