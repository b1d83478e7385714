"""Four hours of calls whose clocks drift, through the whole engine in virtual time (make soak): the same
tests that run for 20 minutes among the unit tests. SLR_DRIFT_HOURS runs another length."""
import os
import subprocess

import pytest

from lib import procs

TESTS = os.path.join(os.path.dirname(os.path.realpath(os.environ.get("SLR_BIN_DIR") or
                                                      os.path.join(procs.SOURCE, "build", "release", "bin"))), "tests")
PROGRAM = os.path.join(TESTS, "engine_test_drift")


@pytest.mark.parametrize("name", ["two_clocks_and_jitter", "one_clock_for_both_legs", "a_single_leg_is_not_touched"])
def test_four_hours(name):
    if not os.access(PROGRAM, os.X_OK):
        pytest.skip(f"no unit tests in this build: {PROGRAM}")
    env = dict(os.environ, SLR_DRIFT_HOURS=os.environ.get("SLR_DRIFT_HOURS") or "4")
    r = subprocess.run([PROGRAM, "--filter", f"drift/{name}"], env=env, capture_output=True, text=True, timeout=1800)
    assert r.returncode == 0 and "Passing: 1" in r.stderr + r.stdout, r.stdout + r.stderr
