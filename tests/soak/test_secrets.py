"""What a process still has in memory when a call is over and SIP transactions are done (make soak: over
UDP they take 32 s)."""
import base64
import os
import re
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


def is_read(local, remote):
    """Has the process at the other end of a TCP connection of this host read what was sent?"""
    name = lambda address: ":%04X" % address[1]
    with open("/proc/net/tcp", encoding="ascii") as f:
        rows = [line.split() for line in f][1:]
    ends = {r[1][-5:]: r[4] for r in rows if {r[1][-5:], r[2][-5:]} == {name(local), name(remote)}}
    return ends[name(local)].split(":")[0] == ends[name(remote)].split(":")[1] == "00000000"


def in_pieces(ua):
    """From now on a request goes out cut in the middle of its key, each piece when the last was read."""
    whole = ua.send_raw

    def send(raw):
        cut = raw.find(b"inline:") + 20
        for piece in (raw[:cut], raw[cut:cut + 10], raw[cut + 10:]) if cut > 20 else (raw,):
            whole(piece)
            wait.until("the piece was read", lambda: is_read(ua.local, ua.remote), 5)

    ua.send_raw = send


@pytest.mark.parametrize("transport", ["udp", "tcp", "tcp in pieces"])
def test_the_core_forgets_the_keys_of_calls(rigs, transport):
    """Those of its peers, and its own ones in the answers."""
    if os.environ.get("SLR_SANITIZED") == "1":
        pytest.skip("a sanitizer keeps freed memory for a while")
    rig = rigs(capture="uring").start()
    ua = sip.Ua(rig.sip, transport[:3])
    if "pieces" in transport:
        in_pieces(ua)
    keys = [srtp.Keys("AES_256_CM_HMAC_SHA1_80") for _ in range(8)]
    own = []
    try:
        for k in keys:
            with Call(rig, legs=1, ua=ua) as c:
                c.invite(0, body=offer(c, k))
                own += [srtp.Keys(suite, base64.b64decode(re.match(r"inline:([^|\s]+)", rest).group(1)))
                        for _, suite, rest in srtp.lines(c.answers[0].media[0])]
                if k is keys[-1]:
                    assert any(k.text.encode() in b for b in memory(rig.core.pid)) or transport != "udp"
                srtp.protect(c.play(0, 0.2), k)
                c.run()
                c.bye()
                c.entry()
        assert len(own) == len(keys)
        left = lambda: [k for k in keys + own
                        if any(k.text.encode() in b or k.secret[:32] in b for b in memory(rig.core.pid))]
        end = time.monotonic() + 45
        while left() and time.monotonic() < end:
            wait.until("a while", lambda t=time.monotonic() + 1: time.monotonic() > t, 5)
        assert not left(), f"{len(left())} of {len(keys + own)} keys are in the core's memory"
    finally:
        ua.close()
