"""Seeded simulation: random calls with random impairments as a capture file through the whole
engine; every sample and every ledger figure is compared with the truth. SLR_SEED repeats one."""
import os
import random

import pytest

from lib import ledger, passive, pcap, rtp, wav

T0 = 1_700_000_000_000_000_000
COUNT = int(os.environ.get("SLR_SEEDS", "20"))
SEEDS = [int(os.environ["SLR_SEED"])] if os.environ.get("SLR_SEED") else list(range(100, 100 + COUNT))


def random_call(rng, n):
    """(plans, items): one or two directions between two addresses of their own."""
    law = rng.choice([rtp.PCMA, rtp.PCMU])
    a, b = (f"10.{n}.0.1", 2000 + 2 * rng.randrange(1000)), (f"10.{n}.0.2", 6000 + 2 * rng.randrange(1000))
    start = T0 + int(rng.uniform(0, 5) * 1e9)
    plans, items = [], []
    for k in range(rng.choice([1, 2, 2, 2])):
        count = rng.randrange(60, 500)
        gap = rng.randrange(20, count - 20)
        p = rtp.plan(f"sim{n}/{k}/{rng.random()}", packets=count, pt=law, per_packet=rng.choice([80, 160, 160, 240, 480]),
                     rng=random.Random(rng.random()), loss=rng.choice([0, 0, 0.01, 0.05]),
                     reorder=rng.choice([0, 0.05]), duplicate=rng.choice([0, 0.02]), jitter_s=rng.choice([0, 0.03, 0.1]),
                     start_s=0.0 if k == 0 else rng.uniform(0, 1.0), gaps=rng.choice([(), ((gap, gap + 10),)]))
        plans.append(p)
        items += pcap.plan_items(p, *((a, b) if k == 0 else (b, a)), start)
    return plans, items


def verify(plan, recordings):
    found = [(r, leg) for r in recordings for leg in r.ledger.legs if plan.ssrc in leg.ssrcs]
    assert len(found) == 1, f"stream {plan.stream_id} is in {len(found)} legs"
    r, leg = found[0]
    got = plan.received()
    first = plan.sent[got[0]].ts
    media, leg = ledger.undone(r.wav, leg)
    v = wav.compare(media, leg.channel, [(ts - first, x) for ts, x in plan.truth()],
                    wav.ALAW if plan.law == rtp.PCMA else wav.ULAW)
    assert v.ok, (plan.stream_id, v)
    at = v.offset - first
    assert leg.count("packets") == len(plan.schedule)
    assert leg.count("placed") == len(got) and leg.count("late") == 0
    assert leg.count("duplicate") == plan.duplicates() and leg.count("reordered") == plan.reordered()
    assert leg.count("lost") == len(plan.lost_inside())
    assert ledger.received_mask(leg) == ledger.ranges_of(plan, got, at)
    assert sum(s.info for s in leg.of("lost-network")) == len(plan.lost_inside())


@pytest.mark.parametrize("seed", SEEDS)
def test_random_calls(tmp_path, seed):
    rng = random.Random(seed)
    calls = [random_call(rng, n + 1) for n in range(rng.randrange(1, 6))]
    path = tmp_path / "sim.pcap"
    pcap.write(path, [i for _, items in calls for i in items], rng.choice([pcap.ETHERNET, pcap.SLL, pcap.RAW]))
    result = passive.alone(path)
    for plans, _ in calls:
        for p in plans:
            verify(p, result.recordings)
    assert sum(r.ledger.packets for r in result.recordings) == sum(len(p.schedule) for ps, _ in calls for p in ps)
