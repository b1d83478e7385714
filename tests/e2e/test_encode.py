"""Record now, encode later: recordings that are put off under load, what of them can be had meanwhile, that
deaths at any moment lose none and make none twice, and that what comes of them holds the very same sound."""
import os
import random
import subprocess

import pytest

from lib import oracle, procs, wait, wav
from lib.call import Call, fetch

LATER = ("--encode-load", "0")
ROOM = ("--encode-load", "100")


def later(rigs, *args, core_args=()):
    return rigs(engine_args=("--format", "flac", *LATER, *args), core_args=core_args).start()


def give_room(rig):
    at = rig.engine.argv.index("--encode-load")
    rig.engine.argv[at : at + 2] = ROOM


def record(rig, calls=1, seconds=0.4):
    """(id, WAV as it is fetched while it waits) of each."""
    made = []
    for _ in range(calls):
        with Call(rig) as c:
            c.invite_all()
            c.play(0, seconds), c.play(1, seconds)
            c.run()
            c.bye()
            entry, w, led = c.result()
            c.verify(0, w, led), c.verify(1, w, led)
            assert entry["state"] == "sealed" and entry["encoding"] == "pending" and entry["format"] == "alaw"
            assert entry["file"] == f"encode/{entry['id']}.wav" and entry["ledger"]["encoding"]["state"] == "pending"
            made.append((entry["id"], w))
    return made


def waiting(rig):
    """Names in the folder, which are the backlog."""
    return [n for n in os.listdir(os.path.join(rig.data, "rec", "encode")) if n.endswith(".wav")]


def done(rig, rid):
    entry = rig.api.recordings(f"?id={rid}")[0]
    return entry if entry.get("encoding") == "done" else None


def check_flac(rig, rid, was):
    """The final file, sample by sample what the WAV held."""
    entry = wait.until("its final format", lambda: done(rig, rid), 20)
    assert entry["file"].endswith(f"{rid}.flac") and entry["container"] == entry["format"] == "flac"
    led = rig.api.recording(rid)["ledger"]
    assert "encoding" not in led and led["file"] == entry["file"] and led["frames"] == was.frames
    assert led["media"]["hash"] == entry["media_hash"]
    blob = rig.api.media(rid)
    with open(os.path.join(rig.data, "rec", entry["file"]), "rb") as f:
        assert f.read() == blob
    if not oracle.shutil.which("ffmpeg"):
        pytest.skip("ffmpeg is not installed")
    raw = subprocess.run(["ffmpeg", "-v", "error", "-i", "-", "-f", "s16le", "-"], input=blob, check=True,
                         stdout=subprocess.PIPE).stdout
    both = wav.Wav(wav.PCM, 2, 8000, 2, raw)
    assert both.frames == was.frames
    for i in (0, 1):
        assert both.pcm(i) == was.pcm(i)


def check_all(rig, made):
    for rid, was in made:
        check_flac(rig, rid, was)
    assert os.listdir(os.path.join(rig.data, "rec", "encode")) == []
    assert sorted(r["id"] for r in rig.api.recordings()) == sorted(rid for rid, _ in made)
    finals = [os.path.basename(p).split(".")[0] for p in rig.rec_files(".flac")]
    assert sorted(finals) == sorted(rid for rid, _ in made) and rig.rec_files(".wav") == rig.rec_files(".part") == []


def test_where_there_is_room_it_is_encoded_before_it_is_sealed(rigs):
    rig = rigs(engine_args=("--format", "flac", *ROOM)).start()
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 0.4), c.play(1, 0.4)
        c.run()
        c.bye()
        entry = c.entry()
    assert entry["format"] == "flac" and "encoding" not in entry and waiting(rig) == []
    m = wait.until("counted", lambda: (lambda x: x if x.get("slr_recordings_encoded_total") else None)(rig.api.metrics()))
    assert m["slr_recordings_encoded_total"] == 1 and m["slr_recordings_put_off_total"] == 0


def test_under_load_it_is_put_off_and_waits_through_a_death(rigs):
    rig = later(rigs)
    made = record(rig, 3)
    s = wait.until("the backlog is shown", lambda: (lambda x: x if x["engine"].get("encode", {}).get("waiting") == 3
                                                    else None)(rig.api.status()))
    assert s["engine"]["encode"]["put_off"] is True and s["engine"]["encode"]["encoded"] == 0
    m = rig.api.metrics()
    assert m["slr_encode_backlog_recordings"] == 3 and m["slr_encode_put_off"] == 1
    assert m["slr_encode_backlog_seconds"] >= 1 and m["slr_recordings_put_off_total"] == 3
    assert sorted(waiting(rig)) == sorted(f"{rid}.wav" for rid, _ in made)
    ledgers = rig.rec_files(".json")
    for n, path in enumerate(ledgers):
        procs.run([procs.binary("slrctl"), "plot", path, "--svg", f"{rig.dir}/{n}.svg"], 20)
    assert len(ledgers) == 3
    rig.engine.kill9()
    rig.start_engine()
    wait.until("it is found again", lambda: rig.api.status()["engine"].get("encode", {}).get("waiting") == 3)
    rig.engine.kill9()
    give_room(rig)
    rig.start_engine()
    check_all(rig, made)
    m = wait.until("it is gone", lambda: (lambda x: x if x.get("slr_encode_backlog_recordings") == 0 else None)(
        rig.api.metrics()))
    assert m["slr_encode_oldest_seconds"] == 0 and m["slr_encode_failures_total"] == 0


def test_deaths_while_the_backlog_is_encoded(rigs):
    """Killed again and again when a file is just being made, or at any moment."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    r = random.Random(seed)
    rig = later(rigs, "--rate", "48000", "--encoders", "1")
    made = record(rig, 5, 1.0)
    rig.engine.kill9()
    give_room(rig)
    folder = os.path.join(rig.data, "rec", "encode")
    for _ in range(8):
        rig.engine.start()
        before, looks = len(waiting(rig)), r.randrange(1, 200)
        for _ in range(looks):
            names = os.listdir(folder)
            if any(n.endswith(".part") for n in names) and r.random() < 0.3 or len(waiting(rig)) < before:
                break
        rig.engine.kill9()
        assert {n.split(".")[0] for n in waiting(rig)} | {os.path.basename(p).split(".")[0] for p in
                rig.rec_files(".flac")} == {rid for rid, _ in made}, "each is there as one or the other"
    rig.start_engine()
    for rid, was in made:
        entry = wait.until("its final format", lambda rid=rid: done(rig, rid), 20)
        assert entry["sample_hz"] == 48000 and entry["frames"] == was.frames * 6
        assert len(rig.api.media(rid)) == entry["bytes"]
    assert os.listdir(folder) == [] and rig.rec_files(".wav") == []
    assert len(rig.rec_files(".flac")) == len(rig.rec_files(".json")) == len(made)


def test_what_waits_too_long_is_encoded_under_load_with_an_alarm(rigs):
    rig = later(rigs, "--encode-within", "1")
    made = record(rig, 2)
    check_all(rig, made)
    assert "encode-backlog" in rig.core.log()
    wait.until("counted", lambda: rig.api.metrics().get("slr_recordings_encoded_total") == 2)
    assert rig.api.metrics()["slr_encode_put_off"] == 1, "there is no room still"


def test_deleted_while_it_waits(rigs):
    rig = later(rigs)
    (gone, _), kept = record(rig, 2)
    rig.api.delete(f"/v1/recordings/{gone}")
    wait.until("its files are gone", lambda: waiting(rig) == [f"{kept[0]}.wav"])
    rig.engine.kill9()
    give_room(rig)
    rig.start_engine()
    check_flac(rig, *kept)
    rig.api.get(f"/v1/recordings/{gone}", status=404)
    assert [p for p in rig.rec_files() if gone in p] == []


def test_a_failure_keeps_the_wav_and_holds_up_no_other(rigs):
    rig = later(rigs)
    first, second = record(rig, 2)
    rig.engine.kill9()
    rid = first[0]
    day = os.path.dirname(next(p for p in rig.rec_files(".json") if rid in p))
    os.mkdir(f"{day}/{rid}.flac")  # where the file is to go
    give_room(rig)
    rig.start_engine()
    check_flac(rig, *second)
    wait.until("told", lambda: rig.api.recordings(f"?id={rid}")[0]["encoding"] == "failed")
    entry, w, _ = fetch(rig, rid)
    assert w.data == first[1].data and entry["format"] == "alaw"
    wait.until("counted", lambda: rig.api.metrics().get("slr_encode_failures_total", 0) >= 1)
    os.rmdir(f"{day}/{rid}.flac")
    check_flac(rig, *first)  # tried again after 10 s
