"""Given captures through `slrctl import`: the same engine and control plane as live traffic."""
import hashlib

import pytest

from lib import ledger, passive, wav

RTP_PER_MS = 8


def legs_by_ssrc(result):
    out = {}
    for r in result.recordings:
        for leg in r.ledger.legs:
            for ssrc in leg.ssrcs:
                out[ssrc] = (r, leg)
    return out


def test_d01_one_call_two_legs_digits_and_position():
    path = passive.capture("d01")
    result = passive.imported(path)
    assert len(result.recordings) == 1, "the refused INVITE or a second hop made a recording"
    assert len(result.lines) == 1
    r = result.recordings[0]
    assert len(r.ledger.legs) == 2 and r.wav.channels == 2
    packets = passive.rtp_packets(path)
    legs = legs_by_ssrc(result)
    offsets, first_time = {}, {}
    for stream in passive.truth("d01"):
        ssrc = int(stream["ssrc"], 16)
        rows = passive.unique_payload(packets, ssrc, 8)
        assert hashlib.sha256(b"".join(p for _, p in rows)).hexdigest() == stream["payload_sha256"]
        _, leg = legs[ssrc]
        v = wav.compare(r.wav, leg.channel, rows)
        assert v.ok, (stream["ssrc"], v)
        offsets[ssrc] = v.offset
        first_time[ssrc] = next(d.time_ns for d, h in packets if h.ssrc == ssrc)
        assert leg.count("packets") == stream["packets"] and leg.count("lost") == stream["lost"]
    (a, b) = offsets
    distance_ms = (offsets[a] - offsets[b]) / RTP_PER_MS
    arrival_ms = (first_time[a] - first_time[b]) / 1e6
    assert abs(distance_ms - arrival_ms) <= 60, (distance_ms, arrival_ms)
    assert r.ledger.digits == "6789123"
    assert {leg.channel for leg in r.ledger.legs} == {0, 1}


def test_d01_channel_0_is_what_the_sender_of_the_invite_says():
    """Matched by destination: it is what arrives at the address in the callee's SDP
    (192.168.105.110:4376), through a relay that no SDP names. The other leg is its reverse."""
    result = passive.imported(passive.capture("d01"))
    led = result.recordings[0].ledger
    assert [s["ssrc"] for s in led.leg(channel=0).streams] == ["0x5711bf84"]
    assert [s["ssrc"] for s in led.leg(channel=1).streams] == ["0x9a7b5382"]


def test_d10_several_hops_are_sensible():
    """The same call on several hops: no more than one recording for each stream pair, the hole of
    34 s is a gap on the timeline and not closed up."""
    path = passive.capture("d10")
    result = passive.imported(path)
    packets = passive.rtp_packets(path)
    legs = legs_by_ssrc(result)
    stream = next(s for s in passive.truth("d10") if s["lost"])
    ssrc = int(stream["ssrc"], 16)
    assert ssrc in legs
    r, leg = legs[ssrc]
    for rows in passive.segments(packets, ssrc, 8):
        assert wav.compare(r.wav, leg.channel, rows, ignore=[(0, r.wav.frames)]).ok
    assert leg.total("lost-network", "concealed", "absent") >= 30 * ledger.TICKS
    for s in passive.truth("d10"):
        r, leg = legs[int(s["ssrc"], 16)]
        assert leg.raw["quality"]["lost"] == s["lost"], "what is no audio may come out of order in time"
    assert 1 <= len(result.recordings) <= 2


@pytest.mark.parametrize("name", ["d02", "d12", "d15", "d14", "d13"])
def test_sensible_recordings_or_none(name):
    path = passive.capture(name)
    result = passive.imported(path)
    if name == "d12":
        assert all(r.ledger.packets == 0 for r in result.recordings)
    if name == "d13":
        assert len(result.recordings) == 1
        body = result.recordings[0].wav.channel(0)
        assert hashlib.sha256(body).hexdigest() == passive.truth("d13")[0]["payload_sha256"]
    for line in result.lines:
        assert isinstance(line, dict)


@pytest.mark.parametrize("name", ["d01", "d10"])
def test_import_twice_gives_identical_bytes(name):
    path = passive.capture(name)
    a, b = passive.imported(path), passive.imported(path)
    assert a.recordings and sorted(r.raw for r in a.recordings) == sorted(r.raw for r in b.recordings)
    assert sorted(r.ledger_bytes for r in a.recordings) == sorted(r.ledger_bytes for r in b.recordings)
    assert a.files == b.files


D08_KEY = "aSBrbm93IGFsbCB5b3VyIGxpdHRsZSBzZWNyZXRz"


@pytest.mark.parametrize("how", ["key", "key-of-ssrc", "suite", "file"])
def test_d08_decrypts_to_the_published_plaintext(how, tmp_path):
    key = {"key": D08_KEY, "key-of-ssrc": f"{D08_KEY}@0xdeadbeef",
           "suite": f"AES_CM_128_HMAC_SHA1_80:{D08_KEY}", "file": f"@{tmp_path}/keys"}[how]
    (tmp_path / "keys").write_text(f"# of somebody else\n{'A' * 40}@7\n\n{D08_KEY}\n")
    result = passive.imported(passive.capture("d08"), "--srtp-key", key)
    entry = passive.manifest("d08")
    assert len(result.recordings) == 1
    r = result.recordings[0]
    body = r.wav.channel(0)
    assert len(body) == entry["plain_bytes"]
    assert hashlib.sha256(body).hexdigest() == entry["plain_sha256"]
    leg = r.ledger.leg(channel=0)
    assert leg.raw["srtp"] == {"suite": "AES_CM_128_HMAC_SHA1_80", "packets": entry["auth_ok"], "rtcp": 0,
                               "failed": {"auth": 0, "replay": 0, "unknown_mki": 0, "short": 0, "no_key": 0}}
    assert D08_KEY not in result.log and all(D08_KEY.encode() not in x.ledger_bytes for x in result.recordings)


def test_d08_with_a_wrong_key_is_never_decoded():
    result = passive.imported(passive.capture("d08"), "--srtp-key", "A" * 40)
    assert not any(leg.total("received") for r in result.recordings for leg in r.ledger.legs)
    assert "nothing that a key which was given opens" in result.log
