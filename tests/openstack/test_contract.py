"""The suite that every driver passes, over the real services; without the tests that no harness here can bring about."""

from tests.contract.test_change import *  # noqa: F403
from tests.contract.test_observe import *  # noqa: F403
from tests.openstack.harness import HARNESSES

for _name, _test in list(globals().items()):
    if _name.startswith("test_") and all(harness.cannot.keys() & set(getattr(_test, "needs", ())) for harness in HARNESSES):
        del globals()[_name]
