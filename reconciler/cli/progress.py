"""How far an experiment is, for the live table: its stages, a bar of its trials, the best so far. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.text import Text

from reconciler.cli.conditions import condition, conditions
from reconciler.cli.table import cut
from reconciler.cli.terminal import clean, unicode_ok

Object = dict[str, Any]
BAR = 24
STAGE = "Done"
"""Ends the type of a stage's condition: TuningDone."""
FINISHED = {"Succeeded", "NotRequired"}


@dataclass(frozen=True, slots=True)
class Signs:
    """What progress is drawn with."""

    done: str
    now: str
    ahead: str
    failed: str
    full: str
    rest: str
    dot: str


PRETTY = Signs("✓", "▸", "·", "✗", "━", "─", "·")
PLAIN = Signs("x", ">", "-", "!", "#", ".", "-")


def is_training(obj: Object) -> bool:
    """Whether there is progress to show: its job has begun, and it is not over."""
    return condition(obj).get("reason") == "Training" and bool((obj.get("status") or {}).get("stage"))


def lines(obj: Object, name: str, width: int) -> list[Text]:
    """The stages in a line, and below the trials, or the candidates while these are screened."""
    signs = PRETTY if unicode_ok() else PLAIN
    return [_stages(obj, name, signs), *_counts(obj, signs, width)]


def _stages(obj: Object, name: str, signs: Signs) -> Text:
    line = Text.assemble((clean(name), "bold"), " ", no_wrap=True, overflow="ellipsis")
    current = (obj.get("status") or {}).get("stage")
    for each in conditions(obj):
        stage = str(each.get("type", "")).removesuffix(STAGE)
        if stage == each.get("type"):
            continue
        if each.get("reason") in FINISHED:
            line.append(f" {signs.done} {stage} ", "green")
        elif each.get("reason") == "TrainingFailed":
            line.append(f" {signs.failed} {stage} ", "red")
        elif stage == current:
            line.append(f" {signs.now} {stage} ", "bold cyan")
        else:
            line.append(f" {signs.ahead} {stage} ", "dim")
    return line


def _counts(obj: Object, signs: Signs, width: int) -> list[Text]:
    status, spec = obj.get("status") or {}, obj.get("spec") or {}
    stopped, failed, running = (int(status.get(f"trials{name}") or 0) for name in ("EarlyStopped", "Failed", "Running"))
    done, most = int(status.get("trialsSucceeded") or 0) + stopped + failed, int(spec.get("maxTrialCount") or 0)
    candidates = [one for one in status.get("candidates") or () if isinstance(one, dict)]
    over = sum(one.get("state") not in ("Pending", "Running") for one in candidates)
    if most and (done or running or over == len(candidates) > 0):
        others = ((running, "running"), (stopped, "stopped early"), (failed, "failed"))
        said = [f"{done}/{most} trials", *(f"{count} {what}" for count, what in others if count)]
        return [_bar(done / most, [*said, *_best(obj)], signs, width)]
    if candidates:
        scored = [one for one in candidates if one.get("score") not in (None, "")]
        ranking = [f"{one['name']} {_short(one['score'])}" for one in scored]
        return [_bar(over / len(candidates), [f"{over}/{len(candidates)} candidates", *ranking], signs, width)]
    return []


def _best(obj: Object) -> list[str]:
    best = (obj.get("status") or {}).get("currentOptimalTrial") or {}
    found = [f"{one['name']} {_short(one['latest'])}" for one in (best.get("observation") or {}).get("metrics") or ()]
    return [f"best {found[0]} ({best.get('bestTrialName')})"] if found else []


def _bar(share: float, said: list[str], signs: Signs, width: int) -> Text:
    full = round(BAR * min(1.0, share))
    text = cut(clean(f" {signs.dot} ".join(said)), max(10, width - BAR - 6))
    return Text.assemble("  ", (signs.full * full, "green"), (signs.rest * (BAR - full), "dim"), "  ", text, no_wrap=True)


def _short(value: object) -> str:
    try:
        return f"{float(str(value)):.4g}"
    except ValueError:
        return str(value)
