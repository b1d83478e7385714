"""Live calls in other codecs than G.711, sent by ffmpeg: its encoders and its RTP, not ours."""
import math
import shutil
import subprocess

import pytest

from lib import ledger, together
from lib.call import Call

SECONDS = 4
# Name -> payload type, rtpmap, lines of the offer, encoder's options, its rate.
CODECS = {
    "opus": (96, "opus/48000/2", ("a=fmtp:96 useinbandfec=1",),
             ["-c:a", "libopus", "-application", "voip", "-b:a", "32k", "-ac", "2", "-ar", "48000"], 48000),
    "g722": (9, "G722/8000", (), ["-c:a", "g722", "-ac", "1", "-ar", "16000"], 16000),
    # Some name its audio's rate; RTP's clock is 8000 all the same.
    "g722 by its rate": (9, "G722/16000", (), ["-c:a", "g722", "-ac", "1", "-ar", "16000"], 16000),
    "l16": (10, "L16/44100/2", (), ["-c:a", "pcm_s16be", "-ac", "2", "-ar", "44100"], 44100),
    "pcma": (8, "PCMA/8000", (), ["-c:a", "pcm_alaw", "-ac", "1", "-ar", "8000"], 8000),
}


def sender(codec, address, hz):
    pt, _, _, options, rate = CODECS[codec]
    return subprocess.Popen(
        ["ffmpeg", "-v", "error", "-nostdin", "-re", "-f", "lavfi", "-i",
         f"sine=frequency={hz}:sample_rate={rate}:duration={SECONDS}", "-af", "volume=2", *options,
         "-payload_type", str(pt), "-f", "rtp", f"rtp://{address[0]}:{address[1]}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


def share_of(samples, rate, hz):
    """How much of the power is at that frequency."""
    re = sum(v * math.cos(2 * math.pi * hz * i / rate) for i, v in enumerate(samples))
    im = sum(v * math.sin(2 * math.pi * hz * i / rate) for i, v in enumerate(samples))
    power = sum(float(v) * v for v in samples) / len(samples)
    return 2 * (re * re + im * im) / len(samples) ** 2 / max(power, 1e-9)


def test_legs_of_different_codecs(rigs):
    if not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg is not installed")
    rig = rigs(capture="uring").start()
    together.each([(("opus", "g722"), 48000), (("pcma", "l16"), 44100), (("g722 by its rate", "pcma"), 16000)],
                  lambda row: different_codecs(rig, *row))


def different_codecs(rig, codecs, rate):
    with Call(rig) as c:
        pitch = (500, 800)
        for i, codec in enumerate(codecs):
            pt, name, extra, _, _ = CODECS[codec]
            body = c.offer(i, codecs=((pt, name),))
            c.invite(i, body=body + "".join(x + "\r\n" for x in extra).encode())
            assert f"{pt} {name}" in [a.split(":", 1)[1] for a in c.answers[i].media[0].attrs if "rtpmap" in a]
            assert [x for x in extra if x[2:] in c.answers[i].media[0].attrs] == list(extra)
        running = [sender(codec, c.media[i], pitch[i]) for i, codec in enumerate(codecs)]
        for p in running:
            _, err = p.communicate(timeout=60)
            assert p.returncode == 0, err.decode()
        c.bye()
        _, w, led = c.result()
        assert w.rate == rate and w.channels == 2
        for i, codec in enumerate(codecs):
            leg = led.leg(dn=c.dns[i])
            received = leg.total("received")
            assert abs(received / ledger.TICKS - SECONDS) < 0.1, (codec, received / ledger.TICKS)
            assert leg.count("lost") == 0 and not leg.of("concealed")
            first = leg.of("received")[0].start * rate // ledger.TICKS
            middle = w.pcm(leg.channel)[first + rate : first + 3 * rate]
            assert share_of(middle, rate, pitch[i]) > 0.97, (codec, share_of(middle, rate, pitch[i]))
            level = math.sqrt(sum(float(v) * v for v in middle) / len(middle))
            # ffmpeg's sine has an amplitude of 1/8, doubled here; each of two channels gets half the power
            sent = 8192 / math.sqrt(2) / math.sqrt(2 if CODECS[codec][1].endswith("/2") else 1)
            assert abs(20 * math.log10(level / sent)) < 1, (codec, level)


def test_the_engines_option_limits_the_answer(rigs):
    """-A: static payload types beyond it are not answered; dynamic ones are the SDP's."""
    rig = rigs(capture="uring", engine_args=("-A", "8", "-A", "13")).start()
    with Call(rig, legs=1) as c:
        c.invite(0, body=c.offer(0, codecs=((9, "G722/8000"), (8, "PCMA/8000"), (96, "opus/48000/2"))))
        assert c.answers[0].media[0].pts == ["8", "96", "101"]
    with Call(rig, legs=1) as c:
        c.invite(0, expect=488, body=c.offer(0, codecs=((9, "G722/8000"), (0, "PCMU/8000"))))
