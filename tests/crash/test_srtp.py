"""kill -9 with secure media: the engine right before and after a rollover of the sequence numbers, the
core in a call whose keys it never wrote down."""
import time

import pytest

from lib import sip, srtp, wait
from lib.call import Call
from lib.crash import Supervisor, verify_call

ROLLOVER_S = 2.5


@pytest.fixture
def rig(rigs):
    return rigs(capture="uring").start()


def offer(c, i, keys):
    return sip.offer([sip.M(c.sources[i][1], proto="RTP/SAVP", extra=(keys.line(),))],
                     version=c._versions[i], session=5000 + i)


def at(call, s):
    wait.until(f"{s} s of media", lambda: time.monotonic() >= call.sender.start_mono + s, s + 5, 0.002)


def check(c, sup):
    """All that was not under way when the engine died was decrypted, and is at its place."""
    _, w, led = c.result()
    for i in (0, 1):
        leg = led.leg(dn=c.dns[i])
        s = leg.raw["srtp"]
        assert not any(s["failed"].values()), s
        gone = [t for t, sid, _ in c.sender.log if sid == c.plans[i].stream_id
                and any(a - 0.02 < t < b + 0.05 for a, b in sup.engine_downs())]
        assert len(c.plans[i].sent) - len(gone) <= s["packets"] <= len(c.plans[i].sent), (s, len(gone))
    verify_call(c, sup, w, led)
    return led


@pytest.mark.parametrize("suite", ["AES_CM_128_HMAC_SHA1_80", "AEAD_AES_256_GCM"])
@pytest.mark.parametrize("kills", [(-0.06,), (0.01,), (-0.3, 0.2)], ids=["before", "after", "both"])
def test_engine_dies_around_a_rollover(rig, suite, kills):
    sup = Supervisor(rig)
    with Call(rig) as c:
        keys = [srtp.Keys(suite) for _ in range(2)]
        for i in range(2):
            c.invite(i, body=offer(c, i, keys[i]))
            srtp.protect(c.play(i, 5, seq0=65536 - int(ROLLOVER_S * 50)), keys[i])
        c.start()
        for k in kills:
            at(c, ROLLOVER_S + k)
            sup.kill_engine()
        c.join()
        c.bye()
        check(c, sup)


def test_core_dies_and_takes_a_new_key_afterwards(rig):
    """Our own key is not stored either: the answer after the restart has one, of the same suite."""
    sup = Supervisor(rig)
    with Call(rig) as c:
        keys, new = [srtp.Keys() for _ in range(2)], srtp.Keys()
        for i in range(2):
            c.invite(i, body=offer(c, i, keys[i]))
            p = srtp.protect(c.play(i, 6), keys[i], 0, 200 if i == 0 else None)
            srtp.protect(p, new, 200 if i == 0 else len(p.sent))
        c.start()
        at(c, 1)
        sup.kill_core()
        r = c.dialogs[1].reinvite(offer(c, 1, keys[1]), retransmit=True)
        (tag, suite, key), = srtp.lines(r.sdp().media[0])
        assert r.status == 200 and (tag, suite) == (1, keys[1].suite) and len(key) > 40
        c._versions[0] += 1
        assert c.dialogs[0].reinvite(offer(c, 0, new), retransmit=True).status == 200
        c.join()
        c.bye()
        check(c, sup)
