"""What a process still has in memory when a call is over and SIP transactions are done (make soak: over
UDP they take 32 s)."""
import os
import time

import pytest

from lib import sip, srtp, wait
from lib.call import Call


def offer(call, keys):
    return sip.offer([sip.M(call.sources[0][1], proto="RTP/SAVP", extra=(keys.line(),))], session=5000)


def memory(pid):
    """Everything that a process can write to."""
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb") as mem:
        for line in maps:
            span, mode = line.split()[:2]
            a, b = (int(x, 16) for x in span.split("-"))
            try:
                if mode.startswith("rw") and "[v" not in line:
                    mem.seek(a)
                    yield mem.read(b - a)
            except OSError:
                continue


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_the_core_forgets_the_keys_of_calls(rigs, transport):
    if os.environ.get("SLR_SANITIZED") == "1":
        pytest.skip("a sanitizer keeps freed memory for a while")
    rig = rigs(capture="uring").start()
    ua = sip.Ua(rig.sip, transport)
    keys = [srtp.Keys("AES_256_CM_HMAC_SHA1_80") for _ in range(8)]
    try:
        for k in keys:
            with Call(rig, legs=1, ua=ua) as c:
                c.invite(0, body=offer(c, k))
                if k is keys[-1]:
                    assert any(k.text.encode() in b for b in memory(rig.core.pid)) or transport == "tcp"
                srtp.protect(c.play(0, 0.2), k)
                c.run()
                c.bye()
                c.entry()
        left = lambda: [k for k in keys if any(k.text.encode() in b or k.secret[:32] in b for b in memory(rig.core.pid))]
        end = time.monotonic() + 45
        while left() and time.monotonic() < end:
            wait.until("a while", lambda t=time.monotonic() + 1: time.monotonic() > t, 5)
        assert not left(), f"{len(left())} of {len(keys)} keys are in the core's memory"
    finally:
        ua.close()
