"""What a source believes that the server holds, and which source holds what."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from reconciler.sources.claims import Claims
from reconciler.sources.ledger import Ledger
from reconciler.sources.objects import Key, Live, Wanted, manager
from specs.meta import SOURCE_LABEL

KEY = Key("Machine", "default", "a")
WANT = Wanted(KEY, "a.yaml", 1, b'{"spec":{"size":1}}')


def obj(version="1", uid="u", size=1, label="s-1", deleting=False):
    meta = {
        "name": "a",
        "namespace": "default",
        "uid": uid,
        "resourceVersion": version,
        "labels": {SOURCE_LABEL: label} if label else {},
        "managedFields": [{"manager": manager("s-1")}],
    }
    if deleting:
        meta["deletionTimestamp"] = "now"
    return {"metadata": meta, "spec": {"size": size, "theirs": 2}}


def ledger(version="1"):
    """One that knows the object as it was applied."""
    books = Ledger("s-1")
    books.applied(WANT, Live(KEY, "u", "s-1", "a.yaml", version))
    return books


@pytest.mark.parametrize(
    ("event", "deleted", "want", "means"),
    [
        pytest.param(obj("1"), False, WANT, "nothing", id="the echo of our own write"),
        pytest.param(obj("2"), False, WANT, "nothing", id="a field that is not ours"),
        pytest.param(obj("2", size=9), False, WANT, "drift", id="a field of ours"),
        pytest.param(obj("2", label=None), False, WANT, "vacant", id="the label was taken off"),
        pytest.param(obj("2"), False, None, "drift", id="no file holds it"),
        pytest.param(obj("2", deleting=True), False, None, "nothing", id="no file holds it, and it is going"),
        pytest.param(obj("2"), True, WANT, "vacant", id="deleted"),
        pytest.param({"metadata": {"name": "a", "uid": "u"}}, True, WANT, "vacant", id="deleted, and all we hear is its name"),
        pytest.param(obj("2", uid="another"), True, WANT, "nothing", id="another of that name was deleted, long ago"),
    ],
)
def test_what_an_event_means(event, deleted, want, means):
    """Only what is not as the files want it wakes a source."""
    assert ledger().hear(KEY, event, want, deleted) == means


def test_a_list_does_not_overwrite_what_was_heard_after_it():
    """An object that was deleted while the list was on its way stays deleted; one that came in stays known."""
    books = ledger()
    books.begin()
    listed = {KEY: Live(KEY, "u", "s-1", "a.yaml", "1"), Key("Machine", "default", "b"): Live(KEY, "v", "s-1", "b.yaml")}
    books.hear(KEY, obj("1"), WANT, deleted=True)
    books.listed(listed)
    assert set(books.objects) == {Key("Machine", "default", "b")}


def test_how_long_it_is_gone():
    """The clock starts when a key is first seen to be missing, and starts anew when it was back in between."""
    books = ledger()
    assert books.young({}, 10.0, 1.0) == {KEY}
    assert books.young({}, 10.5, 1.0) == {KEY}
    assert books.young({}, 11.0, 1.0) == set()
    assert books.young({KEY: WANT}, 12.0, 1.0) == set()
    assert books.young({}, 13.0, 1.0) == {KEY}


KEYS = st.sampled_from([Key("Machine", "default", name) for name in "abc"])
SOURCES = st.sampled_from(["s-1", "s-2", "s-3"])


class Claiming(RuleBasedStateMachine):
    """Sources take and let go in any order."""

    def __init__(self):
        super().__init__()
        self.claims, self.holders, self.wanted = Claims(), {}, {source: set() for source in ("s-1", "s-2", "s-3")}

    @rule(key=KEYS, source=SOURCES)
    def take(self, key, source):
        """Who came first holds it."""
        self.wanted[source].add(key)
        assert self.claims.take(key, source) == self.holders.setdefault(key, source)

    @rule(key=KEYS, source=SOURCES)
    def let_go(self, key, source):
        """Who wants it no more holds it no more."""
        self.wanted[source].discard(key)
        self.claims.keep(source, self.wanted[source])
        if self.holders.get(key) == source:
            del self.holders[key]

    @invariant()
    def nobody_waits_who_does_not_want(self):
        """An object is sought only by those whose files hold it."""
        for key in (Key("Machine", "default", name) for name in "abc"):
            holder = self.holders.get(key, "")
            others = [source for source, wanted in self.wanted.items() if key in wanted and source != holder]
            if self.claims.sought(key, holder):
                assert others


TestClaiming = Claiming.TestCase
