"""Tables on a terminal and off it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.cli.table import columns, cut, render
from reconciler.cli.terminal import clean

HEADS = ["NAME", "READY", "MESSAGE"]
ROWS = [["a", "True", "all is well"], ["machine/long-name", "False", "the cloud says: " + "no " * 60]]


def test_off_a_terminal_nothing_is_cut_and_nothing_is_coloured() -> None:
    """A script reads whole messages."""
    lines = render(HEADS, ROWS)
    assert lines[0] == "NAME                READY   MESSAGE"
    assert lines[2].startswith("machine/long-name   False   the cloud says: no no")
    assert ROWS[1][2].strip() in lines[2]
    assert "\x1b" not in "".join(lines)


def test_on_a_terminal_the_message_is_cut_to_its_width() -> None:
    """No line is wider than the terminal; an ellipsis says that there is more."""
    lines = render(HEADS, ROWS, width=60)
    assert max(map(columns, lines)) <= 60
    assert lines[2].endswith("…")


@pytest.mark.parametrize(("status", "code"), [("True", "32"), ("False", "31"), ("Unknown", "33")])
def test_ready_is_coloured_and_still_aligned(status: str, code: str) -> None:
    """Green, red, yellow; the colour takes no column."""
    plain = render(HEADS, [["a", status, "m"]])[1]
    painted = render(HEADS, [["a", status, "m"]], colour=True)[1]
    assert f"\x1b[{code}m{status}\x1b[0m" in painted
    assert painted.replace(f"\x1b[{code}m", "").replace("\x1b[0m", "") == plain


def test_what_a_cloud_says_cannot_steer_the_terminal() -> None:
    """Escape sequences, newlines and carriage returns of foreign texts do not reach the terminal."""
    text = render(["MESSAGE"], [["red \x1b[31malert\x07\r\nsecond\tline\x9b2J"]])[1]
    assert clean(text) == text == "red [31malert second line2J"


@given(
    st.lists(st.tuples(st.text(max_size=20), st.sampled_from(["True", "False"]), st.text(max_size=80)), max_size=5),
    st.integers(30, 120),
)
def test_every_column_starts_in_one_place(rows: list[tuple[str, str, str]], width: int) -> None:
    """Whatever the cells hold (wide, combining, control characters), READY stands under READY and no line is too wide."""
    lines = render(HEADS, rows, width=width)
    size = max([4, *(columns(clean(name)) for name, _, _ in rows)])
    for line, (name, ready, _) in zip(lines[1:], rows, strict=True):
        assert line.startswith(clean(name) + " " * (size - columns(clean(name))) + "   " + ready)
    if size + 5 + 6 + 12 <= width:
        assert all(columns(line) <= width for line in lines)


@given(st.text(max_size=40), st.integers(1, 40))
def test_a_cut_fits(text: str, size: int) -> None:
    """A cut text never takes more room than asked for, and a text that fits stays whole."""
    assert columns(cut(text, size)) <= size or columns(text) <= size
    if columns(text) <= size:
        assert cut(text, size) == text
