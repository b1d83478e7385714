"""200 random kills (make soak). SLR_SEED repeats a run."""
import os
import random
import sys

import pytest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "crash"))
from test_kill import random_kills  # noqa: E402


@pytest.mark.parametrize("backend", ["socket", "uring"])
@pytest.mark.parametrize("round_", range(10))
def test_two_hundred_random_kills(rigs, round_, backend):
    seed = int(os.environ.get("SLR_SEED") or random.randrange(10**6)) + round_
    random_kills(rigs(capture=backend).start(), 10, seed, 16)
