"""Given captures through the engine alone: `slr --capture pcapfile:FILE`, no core.

RTP without signalling is paired by address and time and becomes recordings by itself.
"""
import hashlib

import pytest

from lib import ledger, passive, pcap, wav

VERDICTS = {"taken", "probation", "event", "comfort", "late", "duplicate", "paused", "foreign_source",
            "foreign_ssrc", "malformed", "truncated", "unknown_payload_type", "bad_payload",
            "bad_sequence", "no_packet_memory", "session_closed", "rtcp", "rtcp_malformed", "sip",
            "not_rtp", "flow_table_full", "flow_unclaimed"}


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
        tag = wav.ALAW if law == 8 else wav.ULAW
        found = [(r, leg) for r in result.recordings for leg in r.ledger.legs if ssrc in leg.ssrcs]
        assert len(found) == 1, f"stream {stream['ssrc']} is in {len(found)} legs"
        r, leg = found[0]
        last = -1
        for rows in passive.segments(packets, ssrc, law):
            v = wav.compare(r.wav, leg.channel, rows, tag, ignore=[(0, r.wav.frames)])
            assert v.ok and v.offset > last, (stream["ssrc"], v.offset, v.wrong[:5], v.missing[:5])
            last = v.offset + rows[-1][0]


@pytest.mark.parametrize("name", ["d02", "d10", "d12", "d14", "d15", "d01", "d07", "d11"])
def test_no_crash_and_every_packet_is_counted(name):
    """Each datagram has exactly one verdict; what is in ledgers is a part of it."""
    path = passive.capture(name)
    packets = passive.rtp_packets(path)
    result = passive.alone(path)
    counted = {k: v for k, v in result.counters.items() if k in VERDICTS}
    assert counted, f"no counters at the end of the log\n{result.log[-2000:]}"
    everything = len(list(pcap.datagrams(path)))
    assert sum(counted.values()) >= everything, (everything, counted)
    of_rtp = sum(v for k, v in counted.items() if k not in ("sip", "not_rtp", "rtcp", "rtcp_malformed"))
    assert of_rtp >= len(packets), (len(packets), counted)
    assert sum(r.ledger.packets for r in result.recordings) <= of_rtp


def test_d12_has_no_rtp_and_makes_nothing():
    assert not passive.alone(passive.capture("d12")).recordings


def test_d14_duplicates_are_counted_once_in_the_audio():
    result = passive.alone(passive.capture("d14"), "--pt", "118=AMR/8000", "--pt", "113=AMR/8000")
    dup = sum(leg.count("duplicate") for r in result.recordings for leg in r.ledger.legs)
    assert dup == sum(s["dup"] for s in passive.truth("d14")) > 0


def test_twice_gives_identical_bytes():
    path = passive.capture("d01")
    a, b = passive.alone(path), passive.alone(path)
    strip = [sorted(r.raw for r in x.recordings) for x in (a, b)]
    assert strip[0] == strip[1] and len(a.recordings) >= 1
