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


def test_header_extension_csrc_and_padding_are_no_audio(tmp_path):
    items, rng = [], random.Random(3)
    for n in range(100):
        raw = rtp.packet(8, n, n * 160, 99, rtp.mark("hdr", n * 160, 160), csrc=tuple(range(rng.randrange(4))),
                         ext=rng.choice([None, b"", b"\x10\xff\0\0"]), padding=rng.choice([0, 4, 200]))
        items.append((T0 + n * 20_000_000, A, B, raw))
    path = tmp_path / "c.pcap"
    pcap.write(path, items)
    assert one(passive.alone(path)).wav.channel(0) == rtp.mark("hdr", 0, 16000)


def test_faster_than_real_time_is_placed_by_rtp_time(tmp_path):
    """A sender at double speed: no sample is dropped or moved, and the ledger says `clock`."""
    p = rtp.plan("fast", seconds=20)
    p.schedule = [(t / 2, i) for t, i in p.schedule]
    path = tmp_path / "c.pcap"
    pcap.write(path, pcap.plan_items(p, A, B, T0))
    r = one(passive.alone(path))
    assert wav.compare(r.wav, 0, p.truth()).ok
    assert "clock" in str(r.ledger.raw)


@pytest.mark.parametrize("ppm", [-300, 300])
def test_skew_in_speech_is_corrected_by_single_samples(tmp_path, ppm):
    """Legs whose clocks differ by 300 ppm, and no silence: single samples, far apart, keep the error below 10 ms,
    and taken back they leave what was sent."""
    a, b = rtp.plan("sk/a", seconds=60), rtp.plan("sk/b", seconds=60, start_s=0.5)
    b.schedule = [(t * (1 + ppm / 1e6), i) for t, i in b.schedule]
    path = tmp_path / "c.pcap"
    pcap.write(path, pcap.plan_items(a, A, B, T0) + pcap.plan_items(b, B, A, T0))
    r = one(passive.alone(path))
    for n, p in enumerate((a, b)):
        leg = r.ledger.leg(channel=n)
        media, before = ledger.undone(r.wav, leg)
        assert wav.compare(media, 0, p.truth()).ok
        assert before.of("corrected") == [] and sum(s.length for s in before.of("received")) == ledger.ticks(480000)
    assert ledger.corrected(r.ledger.leg(channel=0)) == (0, 0)
    found = r.ledger.leg(channel=1).of("corrected")
    assert len(found) > 50 and all(max(s.length // 1764, len(s.removed)) == 1 for s in found)
    assert all(y.start - x.start >= ledger.ticks(80) for x, y in zip(found, found[1:]))
    moved, _ = ledger.corrected(r.ledger.leg(channel=1))
    assert abs(moved * 0.125 - 60 * ppm / 1000) < 10.0, moved


def test_too_late_is_counted_and_never_moves_anything(tmp_path):
    p = rtp.plan("late", seconds=40)
    p.schedule = sorted((t + 30 if i == 100 else t, i) for t, i in p.schedule)
    path = tmp_path / "c.pcap"
    pcap.write(path, pcap.plan_items(p, A, B, T0))
    r = one(passive.alone(path))
    got = [s.index for s in p.sent if s.index != 100]
    assert wav.compare(r.wav, 0, p.truth(got)).ok
    leg = r.ledger.leg(channel=0)
    assert leg.count("late") + leg.count("rejected") == 1 and leg.count("placed") == len(got)
    assert leg.at(ledger.ticks(100 * 160 + 80)).kind == "lost-network"


def test_comfort_noise_and_dtx_are_no_loss(tmp_path):
    """Silence announced by CN packets: span `comfort`, the timeline goes on."""
    p = rtp.plan("cn", seconds=8, gaps=((100, 250),))
    base = rtp.parse(p.sent[99].raw)
    items = []
    for s in p.sent:
        h = rtp.parse(s.raw)
        shift = 1 if s.index >= 100 else 0
        items.append((T0 + round(s.due_s * 1e6) * 1000, A, B, rtp.packet(8, h.seq + shift, h.ts, h.ssrc, s.payload)))
    items.append((T0 + 2_000_000_000, A, B, rtp.packet(rtp.CN, base.seq + 1, base.ts + 160, base.ssrc, b"\x40")))
    path = tmp_path / "c.pcap"
    pcap.write(path, items)
    r = one(passive.alone(path))
    v = wav.compare(r.wav, 0, p.truth(), ignore=[(100 * 160, 250 * 160)])
    assert v.ok and v.offset == 0, v
    leg = r.ledger.leg(channel=0)
    assert leg.total("comfort") >= ledger.ticks(140 * 160) and leg.count("lost") == 0


def test_noise_is_not_taken_for_a_call(tmp_path):
    """DNS, random bytes and short datagrams are counted, never recorded."""
    rng, items = random.Random(9), []
    for n in range(300):
        body = bytes(rng.randrange(256) for _ in range(rng.randrange(60)))
        items.append((T0 + n * 7_000_000, ("10.7.0.1", 3000 + n % 7), ("10.7.0.2", rng.choice([53, 123, 4444])), body))
    path = tmp_path / "c.pcap"
    pcap.write(path, items)
    assert not passive.alone(path).recordings


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
