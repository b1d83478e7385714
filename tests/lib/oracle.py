"""Independent decoders: payloads of a stream through ffmpeg, and how near two sounds are.

Each payload goes in by the simplest file format that holds it; no RTP is involved, so that nothing
of our own reading of packets is shared. `-flags +bitexact` and no resampling: what the decoder says.
"""
import array
import math
import shutil
import struct
import subprocess

import pytest

from . import amr


def decode(name, payloads, clock=8000, channels=1, decoder=None):
    """Samples (interleaved, int16) of payloads in order, at the codec's own rate."""
    if not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg is not installed")
    blob, form = _FORMS[name](payloads, clock, channels)
    if decoder:
        form = ["-c:a", decoder, *form]
    run = subprocess.run(["ffmpeg", "-v", "error", *form, "-i", "-", "-flags", "+bitexact", "-f", "s16le", "-c:a",
                          "pcm_s16le", "-"], input=blob, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    assert run.returncode == 0, run.stderr.decode()
    out = array.array("h")
    out.frombytes(run.stdout[: len(run.stdout) & ~1])
    return out


def _g722(payloads, _clock, _channels):
    return b"".join(payloads), ["-f", "g722"]


def _gsm(payloads, _clock, _channels):
    return b"".join(payloads), ["-f", "gsm"]


def _g729(payloads, _clock, _channels):
    return b"".join(payloads), ["-f", "g729"]


def _l16(payloads, clock, channels):
    return b"".join(payloads), ["-f", "s16be", "-ar", str(clock), "-ac", str(channels)]


def _amr(payloads, _clock, _channels):
    """Bandwidth-efficient payloads of one frame each (RFC 4867) become the storage format."""
    out = [b"#!AMR\n"]
    sizes = [95, 103, 118, 134, 148, 159, 204, 244, 39]
    for p in payloads:
        bits = int.from_bytes(p, "big")
        total = len(p) * 8
        head = bits >> (total - 10) & 0x3F
        assert head >> 5 == 0, "one frame a payload"
        kind = head >> 1 & 15
        n = sizes[kind] if kind < len(sizes) else 0
        body = (bits >> (total - 10 - n)) & ((1 << n) - 1)
        octets = (n + 7) // 8
        out.append(bytes([kind << 3 | (head & 1) << 2]) + (body << (octets * 8 - n)).to_bytes(octets, "big"))
    return b"".join(out), ["-f", "amr"]


def _ogg_crc(data):
    crc = 0
    for byte in data:
        crc = ((crc << 8) & 0xFFFFFFFF) ^ _OGG_TABLE[(crc >> 24) ^ byte]
    return crc


def _ogg_table():
    table = []
    for i in range(256):
        r = i << 24
        for _ in range(8):
            r = ((r << 1) ^ 0x04C11DB7 if r & 0x80000000 else r << 1) & 0xFFFFFFFF
        table.append(r)
    return table


_OGG_TABLE = _ogg_table()


def opus_samples(packet):
    """Duration of an Opus packet in samples of 48 kHz (RFC 6716 section 3.1)."""
    config, code = packet[0] >> 3, packet[0] & 3
    if config < 12:
        one = (480, 960, 1920, 2880)[config & 3]
    elif config < 16:
        one = (480, 960)[config & 1]
    else:
        one = (120, 240, 480, 960)[config & 3]
    return one * ((1, 2, 2)[code] if code < 3 else packet[1] & 63)


def _ogg_opus(payloads, _clock, _channels):
    """One packet a page, mono, no pre-skip."""
    head = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, 0, 48000, 0, 0)
    tags = b"OpusTags" + struct.pack("<I", 4) + b"test" + struct.pack("<I", 0)
    out, granule = [], 0
    for number, packet in enumerate([head, tags, *payloads]):
        if number >= 2:
            granule += opus_samples(packet)
        flags = 2 if number == 0 else 4 if number == len(payloads) + 1 else 0
        lacing = bytes([255] * (len(packet) // 255) + [len(packet) % 255])
        page = b"OggS" + struct.pack("<BBqIIIB", 0, flags, granule, 1, number, 0, len(lacing)) + lacing + packet
        out.append(page[:22] + struct.pack("<I", _ogg_crc(page)) + page[26:])
    return b"".join(out), ["-f", "ogg"]


def _stored_amr(frames, _clock, _channels):
    """What lib/amr.py encoded."""
    return amr.stored("AMR", frames), ["-f", "amr"]


def _stored_amr_wb(frames, _clock, _channels):
    return amr.stored("AMR-WB", frames), ["-f", "amr"]


_FORMS = {"G722": _g722, "GSM": _gsm, "G729": _g729, "L16": _l16, "AMR": _amr, "OPUS": _ogg_opus,
          "AMR frames": _stored_amr, "AMR-WB frames": _stored_amr_wb}


def mono(samples, channels):
    """The channels' mean, as a recorder's channel is one party."""
    if channels == 1:
        return samples
    return array.array("h", [int((samples[i] + samples[i + 1]) / 2) for i in range(0, len(samples) - 1, 2)])


def segmental_snr_db(truth, heard, frame=160, floor=30.0):
    """Mean of each frame's signal to error ratio, of the frames whose rms is above `floor`; each is
    bounded at -10 and 80 dB. None: no such frame."""
    values = []
    for at in range(0, min(len(truth), len(heard)) - frame + 1, frame):
        power = sum(float(v) * v for v in truth[at : at + frame])
        if power < floor * floor * frame:
            continue
        error = sum(float(a - b) * (a - b) for a, b in zip(truth[at : at + frame], heard[at : at + frame]))
        values.append(80.0 if error == 0 else max(-10.0, min(80.0, 10 * math.log10(power / error))))
    return sum(values) / len(values) if values else None
