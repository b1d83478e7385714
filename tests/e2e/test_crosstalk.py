"""A storm of starts and stops on re-used ports with watermarked streams, strays and spoofed
packets: nothing leaks into another recording."""
import random
import socket
import threading
import time

import pytest

from lib import rtp, sip, wait, wav
from lib.call import Call, fetch

CALLS, PARALLEL, PAIRS = 48, 4, 40


class Spoofer:
    """Sends valid RTP of its own marks from another address to media ports in use."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.66", 0))
        self.targets = {}
        self.sent = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while not self._stop.wait(0.005):
            for target, n in list(self.targets.items()):
                raw = rtp.packet(8, n, n * 160, 0xBAD0000 + target[1], rtp.mark("spoof", n * 160, 160))
                self.sock.sendto(raw, target)
                self.targets[target] = n + 1
                self.sent += 1

    def close(self):
        self._stop.set()
        self._thread.join(5)
        self.sock.close()


def one_call(rig, rng, spoofer, done, errors):
    """A short call; its senders go on for 300 ms after the BYE (strays)."""
    try:
        with Call(rig, ua=None) as c:
            c.invite_all(rng.choice([(0, 1), (1, 0)]))
            seconds = rng.uniform(0.3, 0.8)
            c.play(0, seconds + 0.3), c.play(1, seconds + 0.3)
            for m in c.media:  # the stranger comes first; it must not become the leg's source
                spoofer.targets[m] = 0
            wait.until("the stranger has sent", lambda: all(spoofer.targets[m] > 3 for m in c.media))
            c.start()
            wait.until("the call has lasted", lambda: time.monotonic() > c.sender.start_mono + seconds, 5)
            bye = time.monotonic()
            c.bye()
            for m in c.media:
                spoofer.targets.pop(m, None)
            c.join()
            done.append((c, bye))
    except BaseException as e:  # a thread's failure must fail the test
        errors.append(e)


@pytest.mark.parametrize("backend", ["socket", "uring", "shared", "xdp"])
def test_storm(rigs, backend):
    rig = rigs(capture=backend, ports=(40000, 40000 + 2 * PAIRS - 1)).start()
    seed = random.randrange(10**6)
    print("seed", seed)
    rng = random.Random(seed)
    spoofer, done, errors = Spoofer(), [], []
    try:
        for _ in range(CALLS // PARALLEL):
            threads = [threading.Thread(target=one_call, args=(rig, random.Random(rng.random()), spoofer, done, errors))
                       for _ in range(PARALLEL)]
            for t in threads:
                t.start()
            for t in threads:
                t.join(30)
    finally:
        spoofer.close()
    assert not errors, errors[:3]
    assert len(done) == CALLS and spoofer.sent > 500
    ports = [m[1] for c, _ in done for m in c.media]
    assert len(set(ports)) < len(ports), "no port was used twice: the storm proves nothing"
    indexes = {}
    for c, bye in done:
        entry, w, led = c.result(timeout_s=20)
        for i in (0, 1):
            channel = w.channel(led.leg(dn=c.dns[i]).channel)
            indexes[(c.name, i)] = wav.windows(channel)
            sent = [n for t, sid, n in c.sender.log if sid == c.plans[i].stream_id and t < bye - 0.05]
            c.verify(i, w, led, indices=sent, ignore=[(0, w.frames)])
    for c, _ in done:
        for i in (0, 1):
            pieces = [s.payload[k : k + 12] for s in c.plans[i].sent for k in (0, 60, 148)]
            for (name, j), index in indexes.items():
                if (name, j) != (c.name, i):
                    assert not any(p in index for p in pieces), f"{c.name}/{i} leaked into {name}/{j}"
    spoof = [rtp.mark("spoof", n * 160, 160)[:12] for n in range(max(spoofer.sent // 2, 400))]
    for key, index in indexes.items():
        assert not any(p in index for p in spoof), f"spoofed packets in {key}"


def test_forty_calls_at_once_each_with_its_own_samples(rigs):
    rig = rigs(capture="uring").start()
    ua = sip.Ua(rig.sip)
    calls = [Call(rig, ua=ua) for _ in range(40)]
    sender = rtp.Sender()
    try:
        for c in calls:
            c.invite_all()
            for i in (0, 1):
                c.plans[i] = rtp.plan(f"{c.name}/{i}", 2, start_s=0.1)
                sender.socks[c.sources[i]] = c.sender.socks.pop(c.sources[i])
                sender.add(c.plans[i], c.media[i], c.sources[i])
        sender.start().join()
        for c in calls:
            c.bye()
        for c in calls:
            _, w, led = c.result()
            for i in (0, 1):
                c.verify(i, w, led)
                leg = led.leg(dn=c.dns[i])
                assert leg.count("packets") == 100 and leg.count("lost") == 0
    finally:
        for c in calls:
            c.close()
        sender.close()
        ua.close()


def test_another_source_is_taken_after_500_ms_when_the_leg_hears_nothing(rigs):
    """The offer's address never sends, another one does: taken with an event, nothing before lost
    is pretended."""
    rig = rigs().start()
    with Call(rig) as c:
        c.invite_all()
        other = c.sender.bind("127.0.0.9")
        p = c.play(0, 3, source=other)
        c.play(1, 3)
        c.run()
        c.bye()
        _, w, led = c.result()
        taken = [n for n in range(len(p.sent)) if p.sent[n].payload in w.channel(led.leg(dn=c.dns[0]).channel)]
        assert taken and taken[0] <= 30 and taken == list(range(taken[0], len(p.sent)))
        c.verify(1, w, led)


@pytest.mark.parametrize("policy,other,taken", [("strict", "127.0.0.1", False), ("host", "127.0.0.77", False),
                                                ("host", "127.0.0.1", True), ("any", "127.0.0.77", True)])
def test_media_source_policies(rigs, policy, other, taken):
    """A stranger sends for 300 ms, then the signalled peer: who is the leg's source?"""
    rig = rigs(engine_args=("--media-source", policy)).start()
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 2)
        stranger = rtp.plan(f"stranger/{policy}", 0.3)
        c.sender.add(stranger, lambda: c.media[1], c.sender.bind(other))
        own = c.play(1, 1.5, start_s=0.4)
        c.run()
        c.bye()
        _, w, led = c.result()
        c.verify(0, w, led)
        channel = w.channel(led.leg(dn=c.dns[1]).channel)
        assert (stranger.sent[5].payload in channel) == taken
        if not taken:
            c.verify(1, w, led)
            assert led.leg(dn=c.dns[1]).count("packets") == len(own.sent)
            wait.until("the stranger's packets are counted", lambda: led.leg(dn=c.dns[1]).raw["foreign"] + rig.api.metrics()
                       .get("slr_probation_packets_dropped_total", 0) >= len(stranger.sent), 5, 0.2)


def test_foreign_packets_are_counted_once_latched(rigs):
    rig = rigs().start()
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 2), c.play(1, 2)
        q = rtp.plan("foreign", 1, start_s=0.5)
        c.sender.add(q, lambda: c.media[0], c.sender.bind("127.0.0.8"))
        c.run()
        c.bye()
        _, w, led = c.result()
        c.verify(0, w, led), c.verify(1, w, led)
        assert led.leg(dn=c.dns[0]).raw["foreign"] == len(q.sent)
