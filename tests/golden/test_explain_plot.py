"""`slrctl explain` and `slrctl plot` of a recording whose faults are known: made from a generated capture."""
import os
import xml.etree.ElementTree as ET

import pytest

from lib import pcap, passive, procs, rtp

T0 = 1_700_000_000_000_000_000


def recorded(tmp_path, name):
    """Two streams of 10 s; of the first the packets 200 to 206 and 300 never left. Path of the ledger."""
    a, b = rtp.plan("explain-a", 10), rtp.plan("explain-b", 10, start_s=0.5, digits="7")
    a.schedule = [(t, i) for t, i in a.schedule if not 200 <= i < 207 and i != 300]
    items = pcap.plan_items(a, ("10.3.0.1", 4000), ("10.3.0.2", 5000), T0)
    items += pcap.plan_items(b, ("10.3.0.2", 5000), ("10.3.0.1", 4000), T0)
    pcap.write(tmp_path / f"{name}.pcap", items)
    result = passive.imported(tmp_path / f"{name}.pcap")
    assert len(result.recordings) == 1
    r = result.recordings[0]
    folder = tmp_path / name
    folder.mkdir()
    (folder / os.path.basename(r.ledger.raw["file"])).write_bytes(r.raw)
    (folder / "ledger.json").write_bytes(r.ledger_bytes)
    return folder / "ledger.json", r


def slrctl(*args, ok=(0,)):
    return procs.run([procs.binary("slrctl"), *map(str, args)], 30, ok)


def test_what_is_missing_is_said_where(tmp_path):
    path, r = recorded(tmp_path, "one")
    text = slrctl("explain", path).stdout
    channel = next(x.channel for x in r.ledger.legs if x.count("lost") == 8)
    who = f"channel {channel}"
    assert f"The network lost 8 packets from {who} at 2 places, 160 ms in all; the longest gap is 140 ms at 00:04.000." \
        in text, text
    assert "140 ms  lost in the network (7 packets)" in text, text
    assert "20 ms  lost in the network (1 packet)" in text, text
    assert "digits     1" in text and "1 key press" in text, text
    quality = r.ledger.leg(channel=channel).raw["quality"]
    assert quality["lost"] == 8 and quality["expected"] == 500 and quality["bursts"] == 1
    assert quality["mos"] < 4 and r.ledger.leg(channel=1 - channel).raw["quality"]["mos"] == 4.41


def test_picture_is_the_same_each_time_and_shows_the_gap(tmp_path):
    pictures = []
    for name in ("one", "two"):
        path, _ = recorded(tmp_path, name)
        out = slrctl("plot", path, "--svg", tmp_path / f"{name}.svg", "--png", tmp_path / f"{name}.png").stdout
        assert out.split() == [str(tmp_path / f"{name}.png"), str(tmp_path / f"{name}.svg")]
        pictures.append([(tmp_path / f"{name}.{kind}").read_bytes() for kind in ("svg", "png")])
    assert pictures[0] == pictures[1]
    svg, png = pictures[0]
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    tree = ET.fromstring(svg)
    lost = [x for x in tree.iter("{http://www.w3.org/2000/svg}rect") if x.get("fill") == "#e53935"]
    assert len(lost) == 3  # two gaps and the legend
    waves = [x for x in tree.iter("{http://www.w3.org/2000/svg}path")]
    assert len(waves) == 4 and all(len(x.get("d")) > 5000 for x in waves)


@pytest.mark.parametrize("what", ["missing", "no ledger", "no media"])
def test_what_cannot_be_drawn_is_said(tmp_path, what):
    path = tmp_path / "x.json"
    if what == "no ledger":
        path.write_text("[]")
    elif what == "no media":
        path.write_text('{"file":"a/x.wav","legs":[]}')
    run = slrctl("plot", path, "--svg", tmp_path / "x.svg", "--api", "http://127.0.0.1:1", ok=(1, 3))
    assert run.stderr.strip() and not (tmp_path / "x.svg").exists()
