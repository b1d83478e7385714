"""The engine stands still (a host that is overbooked, a virtual machine that is moved) and calls end meanwhile."""
import os
import signal
import time

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


@pytest.mark.parametrize("capture", ["socket", "uring", "shared", "xdp"])
def test_a_long_stall_takes_nothing_from_those_who_talk_on(rigs, capture):
    """The engine stands still for longer than its window while both parties talk: all of it lies in
    the sockets, with the kernel's word when it came, and nothing is late for the engine's own absence."""
    rig = rigs(capture=capture).start()
    calls = [Call(rig).invite_all() for _ in range(4)]
    for c in calls:
        c.play(0, seconds=6)
        c.play(1, seconds=6)
        c.start()
    time.sleep(1.5)  # speech goes by in real time
    os.kill(rig.engine.pid, signal.SIGSTOP)
    time.sleep(2.5)
    os.kill(rig.engine.pid, signal.SIGCONT)
    for c in calls:
        c.join()
        c.bye(0, 1)
    for c in calls:
        _, w, led = c.result()
        offsets = [c.verify(i, w, led) for i in (0, 1)]
        for i in (0, 1):
            leg = led.leg(dn=c.dns[i])
            assert leg.count("placed") == 300
            assert leg.count("late") == 0
        assert abs(offsets[0] - offsets[1]) <= 8 * 20, "the legs stand where they were said"
        c.close()
