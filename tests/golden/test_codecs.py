"""Given captures of every codec through `slrctl import`, against the decoders of ffmpeg.

What a codec's standard fixes bit by bit must be equal: G.722, GSM 06.10, L16, G.711. G.729, AMR and
Opus are compared by segmental SNR (20 ms, frames above -60 dBov): ffmpeg's own G.729 and AMR decoders
work in floating point, its own Opus decoder resamples in another way; against the same library Opus
is equal, too.
"""
import array
import math
from itertools import groupby

import pytest

from lib import amr, ledger, oracle, passive, pcap, procs, rtp, wav

T0 = 1_700_000_000_000_000_000


def imported(name, *extra):
    path = passive.capture(name)
    return passive.imported(path, *extra), passive.rtp_packets(path)


def leg_of(result, stream):
    ssrc = int(stream["ssrc"], 16)
    for r in result.recordings:
        for leg in r.ledger.legs:
            if ssrc in leg.ssrcs:
                return r, leg
    raise AssertionError(f"no recording of {stream['ssrc']}")


def heard(r, leg):
    """The leg's samples from its first packet on."""
    first = leg.of("received", "comfort", "event", "concealed")[0].start
    pcm = r.wav.pcm(leg.channel)
    return pcm[round(first * r.wav.rate / ledger.TICKS) :]


def stereo_to_mono(samples):
    """The mean of both channels, towards zero."""
    return array.array("h", [int((samples[i] + samples[i + 1]) / 2) for i in range(0, len(samples), 2)])


ONE_CODEC = [
    ("d03", 0, "G722", 9, 8000, 1, 16000),
    ("d04", 0, "G729", 18, 8000, 1, 8000),
    ("d05", 0, "GSM", 3, 8000, 1, 8000),
    ("d06", 0, "OPUS", 99, 48000, 1, 48000),
    ("d07", 0, "L16", 99, 8000, 2, 8000),
    ("d07", 1, "L16", 99, 16000, 2, 16000),
    ("d07", 2, "L16", 99, 11025, 1, 11025),
    ("d07", 3, "L16", 99, 48000, 1, 48000),
]
# What ffmpeg's decoder and ours may differ by, and which decoder it is where there are two.
SNR_DB = {("G729", None): 20, ("OPUS", "opus"): 12}
DECODERS = {"OPUS": ["libopus", "opus"]}


def needs_g729():
    text = procs.run([procs.binary("slr"), "--version"], 10).stdout
    if "with G.729" not in text:
        pytest.skip("this build has no G.729")


@pytest.mark.parametrize("name,index,codec,pt,clock,channels,rate", ONE_CODEC)
def test_calls_of_one_codec(name, index, codec, pt, clock, channels, rate):
    if codec == "G729":
        needs_g729()
    result, packets = imported(name)
    stream = passive.truth(name)[index]
    r, leg = leg_of(result, stream)
    payloads = [p for _, p in passive.unique_payload(packets, int(stream["ssrc"], 16), pt)]
    assert r.wav.rate == rate and leg.count("lost") == 0 and leg.count("placed") == len(payloads)
    ours = heard(r, leg)
    for decoder in DECODERS.get(codec, [None]):
        truth = oracle.decode(codec, payloads, clock, channels, decoder)
        truth = stereo_to_mono(truth) if channels == 2 else truth
        received = leg.of("received")
        assert len(received) == 1 and received[0].length * rate == len(truth) * ledger.TICKS
        limit = SNR_DB.get((codec, decoder))
        if limit is None:
            assert ours[: len(truth)] == truth, (codec, decoder)
        else:
            snr = oracle.segmental_snr_db(truth, ours, rate // 50)
            assert snr >= limit, (codec, decoder, snr)
    assert not any(ours[len(truth) + rate // 50 :]), "something after the last packet"


def test_d09_law_is_kept_and_digits_are_silent():
    """Telephone events leave no sound; every other byte stands where its timestamp says."""
    result, packets = imported("d09")
    stream = passive.truth("d09")[0]
    (quality,) = [x.raw["quality"] for r in result.recordings for x in r.ledger.legs if x.raw["streams"]]
    assert (quality["expected"], quality["lost"], quality["mos"]) == (stream["packets"], 0, 4.41)
    assert quality["jitter_max_ms"] < 2, "its events, each end sent again behind audio, are no jitter"
    r, leg = leg_of(result, stream)
    rows = passive.unique_payload(packets, int(stream["ssrc"], 16), 0)
    verdict = wav.compare(r.wav, leg.channel, rows, law=wav.ULAW)
    assert verdict.ok and verdict.good == stream["payload_bytes"]
    assert leg.of("event")


def test_d11_every_gap_is_concealed_and_told():
    """G.729 with 321 of 565 packets missing in 43 gaps."""
    needs_g729()
    result, packets = imported("d11")
    stream = passive.truth("d11")[0]
    r, leg = leg_of(result, stream)
    gaps = leg.of("concealed")
    assert len(gaps) == 43 and {s.cause for s in gaps} == {"lost-network"}
    assert sum(s["packets"] for s in leg.raw["spans"] if s["kind"] == "concealed") == 321
    assert sum(s.length for s in gaps) == 321 * ledger.ticks(80)
    assert not leg.of("lost-network") and leg.total("received") == 244 * ledger.ticks(80)
    rows = passive.unique_payload(packets, int(stream["ssrc"], 16), 18)
    assert [s.start for s in gaps] == _gap_starts(rows)
    _concealed_is_sound(r, leg, gaps)
    # ffmpeg begins anew after each gap, so its decoder and ours agree where neither remembers it: in
    # the longest stretch, after its first 60 ms.
    ours, base = heard(r, leg), rows[0][0]
    stretch = max(_stretches(rows, 80), key=len)
    truth = oracle.decode("G729", [p for _, p in stretch])
    at = stretch[0][0] - base
    level = [math.sqrt(sum(v * v for v in x[480:]) / max(1, len(x[480:])))
             for x in (truth, ours[at : at + len(truth)])]
    assert len(truth) > 480 and abs(20 * math.log10(level[1] / level[0])) < 6, level


def _stretches(rows, samples):
    """Runs of packets of so many samples without a gap."""
    return [[row for _, row in group]
            for _, group in groupby(enumerate(rows), lambda x: x[1][0] - samples * x[0])]


def _gap_starts(rows):
    ends = [s[-1][0] + 80 - rows[0][0] for s in _stretches(rows, 80)]
    return [ledger.ticks(e) for e in ends[:-1]]


def _concealed_is_sound(r, leg, gaps):
    """After a loud packet the concealment is loud as well, and it does not go on for ever."""
    pcm, loud = r.wav.pcm(leg.channel), 0
    for gap in gaps:
        at, end = ledger.samples(gap.start), ledger.samples(gap.end)
        before = math.sqrt(sum(v * v for v in pcm[at - 80 : at]) / 80)
        begin = math.sqrt(sum(v * v for v in pcm[at : at + 80]) / 80)
        rest = math.sqrt(sum(v * v for v in pcm[end - 80 : end]) / 80)
        if before > 500:
            loud += 1
            assert begin > before / 8, (gap, before, begin)
            assert rest < 4 * before, (gap, before, rest)
    assert loud >= 5, "the capture has speech before some of its gaps"


def test_d14_doubled_packets_count_once():
    """A SPAN port gave each uplink packet twice; AMR, bandwidth efficient, without SDP."""
    result, packets = imported("d14", "--pt", "118=AMR/8000", "--pt", "113=AMR/8000")
    compared = 0
    for stream in passive.truth("d14"):
        r, leg = leg_of(result, stream)
        one = next(s for s in leg.streams if s["ssrc"] == stream["ssrc"])
        assert one["placed"] == stream["unique"] and one["duplicate"] == stream["dup"]
        assert one["lost"] == stream["lost"]
        rows = passive.unique_payload(packets, int(stream["ssrc"], 16), stream["main_pt"])
        spoken = sum(1 for _, p in rows if len(p) > 7)
        assert leg.total("received") == spoken * ledger.ticks(160)
        compared += _speech_as_ffmpeg_says(r, leg, rows)
    assert compared >= 3


def _speech_as_ffmpeg_says(r, leg, rows):
    """Number of stretches compared. ffmpeg's decoder knows no silence descriptors: stretches of speech
    are compared by their level, after the first 200 ms, where both have settled."""
    ours, base, compared = heard(r, leg), rows[0][0], 0
    for stretch in _stretches([row for row in rows if len(row[1]) > 7], 160):
        truth = oracle.decode("AMR", [p for _, p in stretch])[1600:]
        at = stretch[0][0] - base + 1600
        level = [math.sqrt(sum(v * v for v in x) / max(1, len(x))) for x in (truth, ours[at : at + len(truth)])]
        if len(truth) >= 3200 and level[0] > 100:
            assert abs(20 * math.log10(level[1] / level[0])) < 3, (stretch[0], level)
            compared += 1
    return compared


# Least segmental SNR of every mode against ffmpeg's own decoders, of a generated signal and of speech (in a
# capture): they work in floating point with post filters of their own, opencore's has the standard's fixed
# point. AMR-WB of 6.6 and 8.85 kbit/s differs most, since there the pulses are shaped anew.
AMR_DB = {("AMR", "generated"): 8, ("AMR", "speech"): 17, ("AMR-WB", "generated"): 18, ("AMR-WB", "speech"): 12}


def given_speech(rate):
    """What somebody said in d07, as many seconds as there are."""
    name = "d07"
    stream = passive.truth(name)[{8000: 0, 16000: 1}[rate]]
    packets = passive.rtp_packets(passive.capture(name))
    payloads = [p for _, p in passive.unique_payload(packets, int(stream["ssrc"], 16), 99)]
    return oracle.mono(oracle.decode("L16", payloads, rate, 2), 2)


def amr_capture(path, codec, frames, octet_align):
    step, items = amr.RATE[codec] // 50, []
    for n, frame in enumerate(frames):
        raw = rtp.packet(113, 7 + n, 5000 + n * step, 0xA3B, amr.payload(codec, frame, octet_align))
        items.append((T0 + 20_000_000 * n, ("10.3.0.1", 4000), ("10.3.0.2", 5000), raw))
    pcap.write(path, items)


@pytest.mark.parametrize("codec,source,octet_align", [(c, s, s == "generated") for c, s in AMR_DB])
def test_amr_of_every_mode_as_ffmpeg_decodes_it(tmp_path, codec, source, octet_align):
    """Some seconds in each mode, one mode after the other in one stream, encoded by somebody else."""
    rate, modes = amr.RATE[codec], range(len(amr.BITS[codec]))
    pcm = amr.speech(rate, 4) if source == "generated" else given_speech(rate)
    each = len(pcm) * 50 // rate
    frames = amr.encode(codec, [m for m in modes for _ in range(each)], pcm[: each * rate // 50] * len(modes))
    amr_capture(tmp_path / "x.pcap", codec, frames, octet_align)
    form = f"113={codec}/{rate}" + (";octet-align=1" if octet_align else "")
    result = passive.alone(tmp_path / "x.pcap", "--pt", form)
    (r,) = result.recordings
    (leg,) = [x for x in r.ledger.legs if x.streams]
    ours, truth = heard(r, leg), oracle.decode(f"{codec} frames", frames)
    assert r.wav.rate == rate and leg.count("placed") == len(frames)
    assert len(truth) == len(frames) * rate // 50 and leg.total("received") == ledger.ticks(len(truth), rate)
    for mode in modes:
        # what is remembered of the mode before is gone after some frames
        a, b = (mode * each + 10) * rate // 50, (mode + 1) * each * rate // 50
        snr = oracle.segmental_snr_db(truth[a:b], ours[a:b], rate // 50)
        print(codec, source, mode, round(snr, 1))
        assert snr >= AMR_DB[codec, source], (mode, snr)
