"""What holds for all tests: hypothesis gives the same examples each time, and a busy machine is no failure.

To search further: `HYPOTHESIS_PROFILE=search make test ARGS="-k laws"` takes other examples each time, and ten times as many.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

settings.register_profile("same", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", settings.get_profile("same"), derandomize=False, max_examples=1000, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))
