"""Every format we write, decoded by strangers: first and last 50 ms, all in between, channels, length,
and the table of docs/formats.md."""
import array
import glob
import json
import math
import os
import re
import subprocess
import xml.etree.ElementTree as ET

import pytest

from lib import formats, ledger, procs, wav

EDGE_S = 0.05


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    if procs.missing("slr"):
        pytest.skip(f"slr is not built in {procs.bin_dir()}")
    return {m.name: m for m in formats.make(str(tmp_path_factory.mktemp("formats")))}


def decoded(path, channels, rate):
    """By ffmpeg, at that rate; one array for each channel."""
    raw = subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-i", path, "-f", "s16le", "-ar", str(rate), "-"],
                         stdout=subprocess.PIPE, check=True).stdout
    a = array.array("h")
    a.frombytes(raw)
    assert len(a) % channels == 0
    return [a[c::channels] for c in range(channels)]


def snr_db(want, got):
    signal = sum(x * x for x in want)
    noise = sum((x - y) ** 2 for x, y in zip(want, got))
    return 10 * math.log10(signal / noise) if noise else math.inf


def at_rate(m, channel, rate, mix):
    """The truth at another rate: the signal itself, which the law made a little noisy."""
    n = round(formats.FRAMES * rate / formats.HZ)
    tracks = [[formats.sound(c, i / rate) for i in range(n)] for c in ((0, 1) if mix else (channel,))]
    return [max(-32768, min(32767, sum(s))) for s in zip(*tracks)]


def edges(n, rate):
    e = int(EDGE_S * rate)
    return {"first 50 ms": (0, e), "last 50 ms": (n - e, n), "whole": (0, n)}


EXACT = ["WAV, A-law as received", "WAV, mu-law as received", "WAV, PCM16", "FLAC, two channels",
         "WAV, A-law, a file a leg", "FLAC, a file a leg", *formats.LONG]


@pytest.mark.parametrize("name", EXACT)
def test_exact(made, name):
    m = made[name]
    got = [t for f in m.files for t in decoded(f, m.channels, formats.HZ)]
    assert len(got) == 2
    for c in (0, 1):
        assert len(got[c]) == formats.FRAMES
        for what, (a, b) in edges(formats.FRAMES, formats.HZ).items():
            assert got[c][a:b] == m.pcm[c][a:b], (what, c)


def test_law_is_kept_byte_for_byte(made):
    for name in EXACT[:2]:
        m = made[name]
        w = wav.load(m.files[0])
        assert [w.channel(c) for c in (0, 1)] == m.media


def test_mix_in_a_law(made):
    """The limited sum, to a step of the law: 16 at the least, then a sixteenth."""
    m = made["WAV, A-law, mono mix"]
    (got,) = decoded(m.files[0], 1, formats.HZ)
    assert len(got) == formats.FRAMES
    for a, b in zip(m.mixed(), got):
        assert abs(b - a) <= max(16, abs(a) / 16), (a, b)


# name, rate it is compared at, least SNR in dB of the edges and of the whole. What the law's noise
# leaves is about 37 dB; a resampler's filter reaches beyond the ends of an abrupt signal; Opus at 8 kHz
# and 16 kbit/s models the voice and not its waveform, so that alignment says more than SNR there.
NEAR = [
    ("WAV, PCM16, 48 kHz", 48000, 22, 30),
    ("FLAC, mono mix, 16 kHz", 16000, 22, 30),
    ("WAV, GSM 6.10, mono mix", 8000, 3, 8),
    ("WAV, GSM 6.10, a file a leg", 8000, 6, 12),
    ("Ogg Opus, two channels", 8000, 2, 4),
    ("Ogg Opus, two channels, 48 kHz", 8000, 3, 8),
    ("Ogg Opus, mono mix", 8000, 2, 4),
    ("Ogg Opus, a file a leg", 8000, 2, 4),
]


def test_no_row_of_the_table_is_left_out():
    assert {*EXACT, *(n[0] for n in NEAR), "WAV, A-law, mono mix"} == set(formats.NAMES)


def check_near(want, got, rate, edge_db, whole_db):
    for what, (a, b) in edges(len(want), rate).items():
        least = whole_db if what == "whole" else edge_db
        db = snr_db(want[a:b], got[a:b])
        assert db >= least, f"{what}: {db:.1f} dB, expected {least}"
        # aligned: moved by a sample or more to either side it fits less
        far = range(5, 40, 5)
        worse = [snr_db(want[a + 40 : b - 40], got[a + 40 + k : b - 40 + k]) for d in far for k in (-d, d)]
        assert snr_db(want[a + 40 : b - 40], got[a + 40 : b - 40]) > max(worse), what


@pytest.mark.parametrize("name,rate,edge_db,whole_db", NEAR, ids=[n[0] for n in NEAR])
def test_near(made, name, rate, edge_db, whole_db):
    m = made[name]
    mix = m.channels == 1 and len(m.files) == 1
    tracks = [t for f in m.files for t in decoded(f, m.channels, rate)]
    assert len(tracks) == (1 if mix else 2)
    for c, got in enumerate(tracks):
        want = at_rate(m, c, rate, mix)
        # GSM fills its last block; all else has its length to the sample
        most = 320 if "GSM" in name else 0
        assert 0 <= len(got) - len(want) <= most, (len(got), len(want))
        check_near(want, got, rate, edge_db, whole_db)


def test_opus_keeps_the_parties_apart(tmp_path, made):
    """One party silent: nothing of the other is in its channel."""
    from lib import formats as f
    media = [f.companded(0, wav.ALAW), b"\xd5" * f.FRAMES]
    f.write_capture(f"{tmp_path}/x.pcap", wav.ALAW, media)
    procs.run([procs.binary("slr"), "--capture", f"pcapfile:{tmp_path}/x.pcap", "--data", f"{tmp_path}/d",
               "--state", f"{tmp_path}/s", "-w", "0", "--format", "opus"], 60)
    (path,) = tmp_path.glob("d/rec/*/*.opus")
    left, right = decoded(str(path), 2, 8000)
    assert max(map(abs, left)) > 5000
    assert max(map(abs, right)) <= 8


def test_ledger_says_what_the_files_are(made):
    for m in made.values():
        assert m.ledger["shape"]["channels"] == m.channels
        rate = m.ledger["shape"]["sample_hz"]
        assert m.ledger["frames"] == round(formats.FRAMES * rate / formats.HZ), m.name
        told = [x["media"] for x in m.ledger.get("files", [m.ledger])]
        for path, media in zip(m.files, told):
            with open(path, "rb") as f:
                blob = f.read()
            body = blob[media["offset"] : media["offset"] + media["len"]]
            assert ledger.media_hash(body) == media["hash"], m.name
            if m.ledger["container"] != "wav":
                assert body == blob, "the whole file"


@pytest.mark.parametrize("name", formats.NAMES)
def test_waveform_is_of_what_is_in_the_file(made, name):
    """`slr --render`: the columns are those of ffmpeg's reading of the same file."""
    m = made[name]
    lossy = "GSM" in name or "Opus" in name
    for path in m.files:
        run = procs.run([procs.binary("slr"), "--render", path, "--peaks", "151"], 30)
        peaks = json.loads(run.stdout)
        assert peaks["channels"] == m.channels and peaks["sample_hz"] == m.ledger["shape"]["sample_hz"]
        assert peaks["format"] == m.ledger["shape"]["format"]
        tracks = decoded(path, m.channels, peaks["sample_hz"])
        frames = peaks["frames"]
        # what ffmpeg makes of Opus at other rates than 48 kHz went through its resampler
        assert abs(frames - len(tracks[0])) <= (1 if lossy else 0)
        for c, track in enumerate(tracks):
            drawn = peaks["peaks"][c]
            assert len(drawn) == 3 * 151
            for i in range(151):
                a, b = frames * i // 151, frames * (i + 1) // 151
                low, high, rms = drawn[3 * i : 3 * i + 3]
                if not lossy:
                    part = track[a:b]
                    assert (low, high) == (min(part), max(part)), (c, i)
                    assert abs(rms - math.sqrt(sum(x * x for x in part) / len(part))) <= 1, (c, i)
                    continue
                # another decoder, another resampler: a sample earlier or later, and a little louder or softer
                wide, narrow = track[max(a - 2, 0) : b + 2], track[a + 2 : b - 2]
                slack = max(400, max(wide) / 20)
                assert min(wide) - slack <= low <= min(narrow) + slack, (c, i)
                assert max(narrow) - slack <= high <= max(wide) + slack, (c, i)


@pytest.mark.parametrize("name", formats.NAMES)
def test_picture_of_every_format(tmp_path, made, name):
    """All channels are drawn, a mix in a band of its own; each band's waveform has two shades."""
    m = made[name]
    (note,) = glob.glob(os.path.dirname(m.files[0]) + "/*.json")
    procs.run([procs.binary("slrctl"), "plot", note, "--svg", f"{tmp_path}/x.svg"], 30)
    said = procs.run([procs.binary("slrctl"), "explain", note], 30).stdout
    assert all(os.path.basename(f) in said for f in m.files)
    waves = list(ET.parse(f"{tmp_path}/x.svg").iter("{http://www.w3.org/2000/svg}path"))
    waves = [w for w in waves if w.get("d")]
    assert len(waves) == 2 * (1 if m.ledger["layout"] == "mix" else 2)
    for w in waves:
        ys = [float(y) for y in re.findall(r"[ V](\d+\.\d)", w.get("d"))]
        assert max(ys) - min(ys) > 10, "that is no sound"


TOOLS = {"ffprobe": formats.ffprobe, "soxi": formats.soxi, "opusinfo": formats.opusinfo}


@pytest.mark.parametrize("tool", TOOLS)
def test_strangers_agree_as_the_table_says(made, tool):
    if not formats.installed(tool):
        pytest.skip(f"{tool} is not installed")
    table = formats.in_docs()
    assert list(table) == list(made)
    for m in made.values():
        for path in m.files:
            seen = TOOLS[tool](path)
            assert table[m.name][tool] == formats.cell(seen), m.name
            if seen:
                assert seen[0] == m.channels


def test_all_that_open_it_agree(made):
    """On channels exactly, on the length within 10 ms; Chromium by what the table has of it."""
    for name, cells in formats.in_docs().items():
        opened = [c for c in cells.values() if c != "unsupported"]
        assert len(opened) >= 2, name
        channels = {c.split()[0] for c in opened}
        seconds = [float(c.split()[2]) for c in opened]
        assert channels == {str(made[name].channels)}, name
        assert max(seconds) - min(seconds) <= 0.010, name
