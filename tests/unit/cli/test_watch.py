"""What a follower of changes does with an interrupt."""

from __future__ import annotations

import signal
from typing import Any, cast

import pytest

from reconciler.cli.api import Api
from reconciler.cli.watch import Follower


class Leaving:
    """Ctrl-C is pressed at the worst of times: in a destructor, where Python drops exceptions."""

    def __del__(self) -> None:
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("before", [signal.default_int_handler, signal.SIG_IGN], ids=["a terminal", "a shell's background"])
def test_an_interrupt_is_never_lost(before: Any) -> None:
    """Whatever Python was doing when it came, it comes out as soon as the next change is asked for; a second one at once."""
    follower = Follower(cast(Api, None), [], None)
    outside = signal.signal(signal.SIGINT, before)
    try:
        with follower.interrupts():
            left: Any = Leaving()
            del left
            with pytest.raises(KeyboardInterrupt):
                follower.next(5)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is before
    finally:
        signal.signal(signal.SIGINT, outside)
