"""Every format we write in headless Chromium, against its column of docs/formats.md. With
SLR_WRITE_DOCS=1 the table is written instead."""
import os

import pytest

from lib import chromium, formats, procs


def rows(made, seen):
    at = 0
    for m in made:
        yield m, {"ffprobe": formats.ffprobe(m.files[0]), "soxi": formats.soxi(m.files[0]),
                  "opusinfo": formats.opusinfo(m.files[0]), formats.CHROMIUM: seen[at]}
        assert len({str(x) for x in seen[at : at + len(m.files)]}) == 1, m.name
        at += len(m.files)


def write(made, seen):
    with open(formats.DOCS) as f:
        text = f.read()
    head = text[: text.index("\n|")] if "\n|" in text else text.rstrip("\n") + "\n"
    lines = ["| format | " + " | ".join(formats.TOOLS) + " |", "|---" * (len(formats.TOOLS) + 1) + "|"]
    for m, cells in rows(made, seen):
        lines.append(f"| {m.name} | " + " | ".join(formats.cell(cells[t]) for t in formats.TOOLS) + " |")
    with open(formats.DOCS, "w") as f:
        f.write(head + "\n" + "\n".join(lines) + "\n")


def test_chromium_opens_what_the_table_says(tmp_path):
    if procs.missing("slr"):
        pytest.skip(f"slr is not built in {procs.bin_dir()}")
    if not chromium.installed():
        pytest.skip("chromium is not installed")
    made = formats.make(str(tmp_path))
    seen = formats.chromium([p for m in made for p in m.files])
    if os.environ.get("SLR_WRITE_DOCS"):
        write(made, seen)
    table = formats.in_docs()
    assert list(table) == formats.NAMES
    for m, cells in rows(made, seen):
        assert table[m.name][formats.CHROMIUM] == formats.cell(cells[formats.CHROMIUM]), m.name


def test_chromium_plays_what_is_longer_than_4_gib(tmp_path):
    """Nothing but the beginning is sound; the rest is a hole in the file."""
    if procs.missing("slr"):
        pytest.skip(f"slr is not built in {procs.bin_dir()}")
    if not chromium.installed():
        pytest.skip("chromium is not installed")
    made = {m.name: m for m in formats.make(str(tmp_path))}
    path, more = tmp_path / "long.wav", 5 << 30
    with open(made["WAV, PCM16"].files[0], "rb") as f:
        blob = f.read()
    path.write_bytes(formats.as_rf64(blob, more))
    os.truncate(path, len(blob) + more)
    (seen,) = chromium.open_all([(str(path), "audio/wav")], decode=False)
    seconds = 3.02 + more / 32000
    assert abs(seen["element_seconds"] - seconds) < 0.01
    for tool in (formats.ffprobe, formats.soxi):
        assert tool(str(path)) == (2, pytest.approx(seconds, abs=0.01))
