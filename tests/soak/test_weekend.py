"""Everything that people do to jobs, at once and for long, while daemons and runners die; judged from outside.

`bin/soak -k weekend --minutes 10 --seed 1` runs the long one. Both print their seed and a report.
"""

from __future__ import annotations

import pytest
from soak.test_kills import drive, seed_of


@pytest.mark.timeout(120)
def test_a_short_weekend(request: pytest.FixtureRequest) -> None:
    drive("--seconds", 3, "--apart", 1.0, *seed_of(request), module="soak.weekend")


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_weekend(request: pytest.FixtureRequest) -> None:
    drive("--seconds", 60 * request.config.option.minutes, *seed_of(request), module="soak.weekend")
