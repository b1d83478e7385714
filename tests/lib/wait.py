"""Waiting for conditions with deadlines; the only place where tests sleep to poll."""
import time


class Deadline(AssertionError):
    """A condition did not come true in time."""


def until(what, condition, timeout_s=10.0, every_s=0.02):
    """Polls condition() until it gives something true and returns that. Exceptions of the kind
    that a starting or dying peer causes (OSError) count as 'not yet'."""
    end = time.monotonic() + timeout_s
    last = None
    while True:
        try:
            value = condition()
            if value:
                return value
            last = value
        except OSError as e:
            last = e
        if time.monotonic() >= end:
            raise Deadline(f"not within {timeout_s} s: {what} (last: {last!r})")
        time.sleep(every_s)
