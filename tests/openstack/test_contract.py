"""The suite that every driver passes, over the real services."""

from tests.contract.test_change import *  # noqa: F403
from tests.contract.test_observe import *  # noqa: F403
