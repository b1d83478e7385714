"""Given captures through the engine alone: `slr --capture pcapfile:FILE`, no core.

RTP without signalling is paired by address and time and becomes recordings by itself.
"""
import hashlib

import pytest

from lib import ledger, passive, wav


def test_d13_channel_is_exactly_the_payload():
    stream = passive.truth("d13")[0]
    result = passive.alone(passive.capture("d13"))
    assert len(result.recordings) == 1
    r = result.recordings[0]
    assert r.wav.tag == wav.ALAW and r.wav.rate == 8000
    body = r.wav.channel(0)
    assert len(body) == stream["payload_bytes"] == 885600
    assert hashlib.sha256(body).hexdigest() == stream["payload_sha256"]
    if r.wav.channels == 2:
        assert wav.is_silence(r.wav, r.wav.channel(1))
    leg = r.ledger.leg(channel=0)
    assert leg.total("received") == r.ledger.length == ledger.ticks(885600)
    assert [leg.count(x) for x in ("packets", "placed", "lost", "duplicate", "late")] == [5535, 5535, 0, 0, 0]


@pytest.mark.parametrize("name", ["d01", "d09", "d10"])
def test_payload_of_every_g711_stream_is_in_a_channel(name):
    """Both directions, holes included: each packet stands at its RTP distance from the first."""
    path = passive.capture(name)
    packets = passive.rtp_packets(path)
    result = passive.alone(path)
    for stream in passive.truth(name):
        ssrc, law = int(stream["ssrc"], 16), stream["main_pt"]
        rows = passive.unique_payload(packets, ssrc, law)
        first = rows[0][0]
        rows = [(ts - first, p) for ts, p in rows]
        tag = wav.ALAW if law == 8 else wav.ULAW
        best = None
        for r in result.recordings:
            for leg in r.ledger.legs:
                if ssrc in leg.ssrcs:
                    best = (r, leg)
        assert best, f"stream {stream['ssrc']} is in no recording"
        r, leg = best
        v = wav.compare(r.wav, leg.channel, rows, tag)
        assert v.offset >= 0 and not v.wrong and not v.missing, (stream["ssrc"], v.offset, v.wrong[:5], v.missing[:5])


@pytest.mark.parametrize("name", ["d02", "d10", "d12", "d14", "d15", "d01", "d07", "d11"])
def test_no_crash_and_every_packet_is_counted(name):
    path = passive.capture(name)
    packets = passive.rtp_packets(path)
    result = passive.alone(path)
    streams = {int(s["ssrc"], 16) for s in passive.truth(name)}
    known = [h for _, h in packets if h.ssrc in streams]
    in_ledgers = sum(r.ledger.packets for r in result.recordings)
    assert in_ledgers <= len(packets)
    counted = result.counters
    elsewhere = sum(counted.get(k, 0) for k in (
        "flow_unclaimed", "foreign_source", "foreign_ssrc", "malformed", "truncated", "flow_table_full",
        "not_rtp", "no_packet_memory", "session_closed", "bad_sequence"))
    assert in_ledgers + elsewhere >= len(known), (
        f"{len(known)} RTP packets, {in_ledgers} in ledgers, counters {counted}\n{result.log[-3000:]}")


def test_d12_has_no_rtp_and_makes_nothing():
    assert not passive.alone(passive.capture("d12")).recordings


def test_d14_duplicates_are_counted_once_in_the_audio():
    result = passive.alone(passive.capture("d14"))
    dup = sum(leg.count("duplicate") for r in result.recordings for leg in r.ledger.legs)
    assert dup == sum(s["dup"] for s in passive.truth("d14")) or not result.recordings


def test_twice_gives_identical_bytes():
    path = passive.capture("d01")
    a, b = passive.alone(path), passive.alone(path)
    strip = [sorted(r.raw for r in x.recordings) for x in (a, b)]
    assert strip[0] == strip[1] and len(a.recordings) >= 1
