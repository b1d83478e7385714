"""Captures made here, with exact truth, through the engine alone. These always run."""
import random

import pytest

from lib import ledger, passive, pcap, rtp, wav

T0 = 1_700_000_000_000_000_000
A, B = ("10.1.0.1", 4000), ("10.1.0.2", 5000)
A6, B6 = ("fd00::1", 4000), ("fd00::2", 5000)


def one(result):
    assert len(result.recordings) == 1, [r.path for r in result.recordings]
    return result.recordings[0]


@pytest.mark.parametrize("ext,linktype,options", [
    ("pcap", pcap.ETHERNET, {}), ("pcap", pcap.ETHERNET, {"vlan": (100,)}),
    ("pcap", pcap.ETHERNET, {"vlan": (100, 200)}), ("pcap", pcap.SLL, {}), ("pcap", pcap.SLL2, {}),
    ("pcap", pcap.RAW, {}), ("pcap", pcap.NULL, {}), ("pcapng", pcap.ETHERNET, {}), ("pcapng", pcap.SLL2, {})])
@pytest.mark.parametrize("ends", [(A, B), (A6, B6)], ids=["ipv4", "ipv6"])
def test_link_types(tmp_path, ext, linktype, options, ends):
    p = rtp.plan("link", seconds=3)
    path = tmp_path / f"c.{ext}"
    pcap.write(path, pcap.plan_items(p, *ends, T0, **options), linktype)
    r = one(passive.alone(path))
    assert r.wav.channel(0) == b"".join(s.payload for s in p.sent)


@pytest.mark.parametrize("ends", [(A, B), (A6, B6)], ids=["ipv4", "ipv6"])
def test_fragments_in_any_order(tmp_path, ends):
    p = rtp.plan("frag", packets=60, per_packet=1600)
    path = tmp_path / "c.pcap"
    pcap.write(path, pcap.plan_items(p, *ends, T0, mtu=600, shuffle=[2, 0, 3, 1]))
    r = one(passive.alone(path))
    assert r.wav.channel(0) == b"".join(s.payload for s in p.sent)


def test_two_directions_are_one_stereo_recording(tmp_path):
    a, b = rtp.plan("left", seconds=5), rtp.plan("right", seconds=4, start_s=0.5)
    path = tmp_path / "c.pcap"
    pcap.write(path, pcap.plan_items(a, A, B, T0) + pcap.plan_items(b, B, A, T0))
    r = one(passive.alone(path))
    assert r.wav.channels == 2
    va, vb = wav.compare(r.wav, 0, a.truth()), wav.compare(r.wav, 1, b.truth())
    assert va.ok and vb.ok, (va, vb)
    assert vb.offset - va.offset == 4000  # half a second, exactly as captured


@pytest.mark.parametrize("law", [rtp.PCMA, rtp.PCMU])
def test_impairments_every_sample_in_place(tmp_path, law):
    p = rtp.plan(f"imp{law}", seconds=20, pt=law, loss=0.01, reorder=0.05, duplicate=0.02, jitter_s=0.1,
                 start_s=0.0, rng=random.Random(42 + law))
    path = tmp_path / "c.pcap"
    pcap.write(path, pcap.plan_items(p, A, B, T0))
    r = one(passive.alone(path))
    tag = wav.ALAW if law == rtp.PCMA else wav.ULAW
    got = p.received()
    rows = [(ts - p.sent[got[0]].ts, x) for ts, x in p.truth()]
    v = wav.compare(r.wav, 0, rows, tag)
    assert v.ok, v
    leg = r.ledger.leg(channel=0)
    assert leg.count("packets") == len(p.schedule) and leg.count("placed") == len(got)
    assert leg.count("duplicate") == p.duplicates() and leg.count("late") == 0
    assert leg.count("lost") == len(p.lost_inside()) and leg.count("reordered") == p.reordered()
    offset = v.offset - p.sent[got[0]].ts
    assert ledger.received_mask(leg) == ledger.ranges_of(p, got, offset)
    lost = sum(s.info for s in leg.of("lost-network"))
    assert lost == len(p.lost_inside())


def test_wraps_of_sequence_and_timestamp(tmp_path):
    p = rtp.plan("wrap", seconds=6, seq0=65500, ts0=2**32 - 8000)
    path = tmp_path / "c.pcap"
    pcap.write(path, pcap.plan_items(p, A, B, T0))
    r = one(passive.alone(path))
    assert r.wav.channel(0) == b"".join(s.payload for s in p.sent)


def test_silence_suppression_keeps_the_timeline(tmp_path):
    p = rtp.plan("dtx", seconds=8, gaps=((100, 250),))
    path = tmp_path / "c.pcap"
    pcap.write(path, pcap.plan_items(p, A, B, T0))
    r = one(passive.alone(path))
    v = wav.compare(r.wav, 0, p.truth())
    assert v.ok, v
    leg = r.ledger.leg(channel=0)
    assert leg.count("lost") == 0 and leg.total("lost-network") == 0


def test_packet_time_may_change_at_any_packet(tmp_path):
    """20 ms, then 10 ms, then 60 ms packets of one stream."""
    items, rows, ts, seq = [], [], 0, 7
    for per, count in ((160, 50), (80, 100), (480, 20)):
        for _ in range(count):
            body = rtp.mark("ptime", ts, per)
            items.append((T0 + ts * 125_000, A, B, rtp.packet(8, seq, 1000 + ts, 77, body)))
            rows.append((ts, body))
            ts, seq = ts + per, seq + 1
    path = tmp_path / "c.pcap"
    pcap.write(path, items)
    r = one(passive.alone(path))
    assert r.wav.channel(0) == rtp.mark("ptime", 0, ts)


def test_damaged_files_give_a_clear_error_and_no_crash(tmp_path):
    p = rtp.plan("cut", seconds=2)
    path = tmp_path / "c.pcap"
    pcap.write(path, pcap.plan_items(p, A, B, T0))
    whole = path.read_bytes()
    rng = random.Random(5)
    from lib import procs
    if procs.missing("slr"):
        pytest.skip("slr is not built")
    variants = [b"", whole[:10], whole[:24], whole[: len(whole) // 2 + 7], bytes(1000)]
    for _ in range(5):
        blob = bytearray(whole)
        for _ in range(200):
            blob[rng.randrange(24, len(blob))] = rng.randrange(256)
        variants.append(bytes(blob))
    for n, blob in enumerate(variants):
        bad = tmp_path / f"bad{n}.pcap"
        bad.write_bytes(blob)
        r = procs.run([procs.binary("slr"), "--capture", f"pcapfile:{bad}", "--data", str(tmp_path / f"d{n}"),
                       "--state", str(tmp_path / f"s{n}"), "-w", "0"], 30, ok=None)
        assert 0 <= r.returncode < 50, (n, r.returncode, r.stderr[-2000:])
        if n in (0, 1, 4):
            assert r.returncode != 0 and r.stderr.strip()
