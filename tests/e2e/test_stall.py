"""The engine stands still (a host that is overbooked, a virtual machine that is moved) and calls end meanwhile."""
import os
import signal

import pytest

from lib import rtp
from lib.call import Call

CALLS, PACKETS = 6, 50


@pytest.mark.parametrize("capture", ["socket", "uring"])
def test_what_came_before_bye_is_recorded(rigs, capture):
    """RTP and then BYE arrive in a stall. After it the engine finds commands and packets at once:
    closing a leg must not throw away what lies in its socket."""
    rig = rigs(capture=capture).start()
    calls = [Call(rig).invite_all() for _ in range(CALLS)]
    legs = [(c, i) for c in calls for i in (0, 1)]
    for c, i in legs:
        c.plans[i] = rtp.plan(f"{c.name}/{i}", packets=PACKETS)
    os.kill(rig.engine.pid, signal.SIGSTOP)
    for n in range(PACKETS):
        for c, i in legs:
            c.sender.socks[c.sources[i]].sendto(c.plans[i].sent[n].raw, c.media[i])
    byes = [c.dialogs[i].start("BYE") for c, i in legs]
    os.kill(rig.engine.pid, signal.SIGCONT)
    assert all(t.final(10).status == 200 for t in byes)
    for c in calls:
        _, w, led = c.result()
        for i in (0, 1):
            assert led.leg(dn=c.dns[i]).count("placed") == PACKETS
            c.verify(i, w, led)
        c.close()
