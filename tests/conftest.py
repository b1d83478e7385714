"""Shared set-up of the Python tests: own network namespace, skips for what is missing, logs."""
import os
import sys

import pytest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from lib import netns, procs  # noqa: E402

netns.enter()


def pytest_report_header():
    return [f"binaries: {procs.bin_dir()}", f"captures: {procs.captures_dir()}",
            f"own network namespace: {netns.private()}"]


@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    setattr(item, "report_" + report.when, report)


@pytest.fixture
def rigs(request):
    """Factory of procs.Rig; stops them in order at the end, prints their logs on failure."""
    if procs.missing("slr", "slr-core"):
        pytest.skip(f"not built: {procs.missing('slr', 'slr-core')} in {procs.bin_dir()}")
    made = []

    def make(**kw):
        rig = procs.Rig(**kw)
        made.append(rig)
        return rig

    yield make
    call = getattr(request.node, "report_call", None)
    failed = call is None or call.failed
    error = None
    for rig in reversed(made):
        try:
            if not failed:
                rig.stop()
        except AssertionError as e:
            error = error or e
        finally:
            rig.close(failed=failed or error is not None)
    if error:
        raise error
