"""The next point by what is known of those before: Optuna's tree-structured Parzen estimator, as a function without memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from training.spaces import Space, Values
from training.trials import Outcome, Trial

optuna.logging.set_verbosity(optuna.logging.WARNING)

STARTUP = 10
"""Trials drawn by chance before anything is inferred."""


def suggest(
    number: int,
    spaces: Mapping[str, Space],
    known: Sequence[Outcome],
    out: Sequence[Trial],
    metric: str,
    maximize: bool,
    seed: int,
) -> tuple[str, Values]:
    """Candidate and parameters of trial `number`.

    known: outcomes to learn from. out: trials asked for that are still running: they are taken for bad, so that parallel trials
    differ. The sampler is made anew each time from seed and number: nothing has to be saved, nothing can get lost.
    """
    sampler = optuna.samplers.TPESampler(
        n_startup_trials=max(STARTUP, 2 * len(spaces)), constant_liar=True, seed=(seed * 1_000_003 + number) % 2**32
    )
    study = optuna.create_study(direction="maximize" if maximize else "minimize", sampler=sampler)
    study.add_trials([_told(outcome, spaces, metric) for outcome in known])
    study.add_trials([_running(trial, spaces) for trial in out])
    asked = study.ask()
    names = list(spaces)
    name = names[(number - 1) % len(names)] if len(known) < STARTUP else asked.suggest_categorical("candidate", names)
    return name, {
        parameter: dimension.suggest(asked, f"{name}.{parameter}") for parameter, dimension in spaces[name].dimensions.items()
    }


def _point(candidate: str, parameters: Values, spaces: Mapping[str, Space]) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
    distributions: dict[str, BaseDistribution] = {"candidate": CategoricalDistribution(tuple(spaces))}
    values: dict[str, Any] = {"candidate": candidate}
    for name, dimension in spaces[candidate].dimensions.items():
        distributions[f"{candidate}.{name}"] = dimension.distribution()
        values[f"{candidate}.{name}"] = parameters[name]
    return values, distributions


def _told(outcome: Outcome, spaces: Mapping[str, Space], metric: str) -> FrozenTrial:
    params, distributions = _point(outcome.candidate, outcome.parameters, spaces)
    match outcome.state:
        case "Succeeded":
            return create_trial(params=params, distributions=distributions, value=outcome.metrics[metric])
        case "EarlyStopped":
            seen = {len(outcome.folds): outcome.metrics[metric]}
            return create_trial(params=params, distributions=distributions, state=TrialState.PRUNED, intermediate_values=seen)
        case _:
            return create_trial(params=params, distributions=distributions, state=TrialState.FAIL)


def _running(trial: Trial, spaces: Mapping[str, Space]) -> FrozenTrial:
    params, distributions = _point(trial.candidate, trial.parameters, spaces)
    return create_trial(params=params, distributions=distributions, state=TrialState.RUNNING)
