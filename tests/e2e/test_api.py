"""The HTTP API: listing, media with ranges, delete with audit, access rules, port 0."""
import json
import os
import re

import pytest

from lib import ledger, procs, wait, wav
from lib.call import Call


@pytest.fixture
def rig(rigs):
    return rigs(capture="uring").start()


def made(rig, seconds=0.5):
    with Call(rig) as c:
        c.invite_all()
        c.play(0, seconds), c.play(1, seconds)
        c.run()
        c.bye()
        return c, c.entry()


def test_status_calls_and_metrics(rig):
    s = wait.until("the engine's figures", lambda: (lambda x: x if "streams_used" in x["engine"] else None)(
        rig.api.status()), 5)
    assert s["version"] and s["engine"]["streams_used"] == 0
    with Call(rig) as c:
        c.invite_all()
        live = wait.until("the call is listed", c.live)
        assert live["state"] == "open" and live["paused"] is False and len(live["legs"]) == 2
        c.bye()
        c.entry()
        wait.until("no call is listed", lambda: not rig.api.calls())
    m = rig.api.metrics()
    assert m and all(k.startswith(("slr_", "process_")) for k in m)


def test_recordings_by_time_dn_and_id(rig):
    a, ea = made(rig)
    b, eb = made(rig)
    listing = rig.api.get("/v1/recordings").json()
    assert [r["id"] for r in listing["recordings"]] == [eb["id"], ea["id"]] and "next" in listing
    assert [r["id"] for r in rig.api.recordings(f"?dn={a.dns[1]}")] == [ea["id"]]
    assert [r["id"] for r in rig.api.recordings(f"?id={eb['id']}")] == [eb["id"]]
    assert rig.api.recordings("?dn=nobody") == []
    page = rig.api.get("/v1/recordings?limit=1").json()
    assert len(page["recordings"]) == 1 and page["next"]
    assert [r["id"] for r in rig.api.recordings("?limit=1")] == [eb["id"], ea["id"]]
    for bad in ("?limit=x", "?limit=-1", "?from=yesterday", "?cursor=%00%ff", "?nonsense=1"):
        rig.api.get("/v1/recordings" + bad, status=400)


def test_one_recording_with_ledger_and_media(rig):
    c, e = made(rig)
    full = rig.api.recording(e["id"])
    ledger.check(ledger.parse(full["ledger"]))
    whole = rig.api.get(f"/v1/recordings/{e['id']}/media")
    assert whole.headers["content-type"] == "audio/wav" and wav.parse(whole.body).channels == 2
    assert full["bytes"] == len(whole.body)
    path = os.path.join(rig.data, "rec", e["file"])
    with open(path, "rb") as f:
        assert f.read() == whole.body


@pytest.mark.parametrize("spec,want", [("bytes=0-3", slice(0, 4)), ("bytes=100-", slice(100, None)),
                                       ("bytes=-10", slice(-10, None)), ("bytes=8-8", slice(8, 9)),
                                       ("bytes=0-99999999", slice(0, None))])
def test_ranges(rig, spec, want):
    _, e = made(rig)
    path = f"/v1/recordings/{e['id']}/media"
    whole = rig.api.get(path).body
    part = rig.api.get(path, status=206, headers={"Range": spec})
    assert part.body == whole[want]
    assert part.headers["content-range"].endswith(f"/{len(whole)}")
    rig.api.get(path, status=416, headers={"Range": f"bytes={len(whole)}-"})


def test_delete_is_audited_and_only_for_finished_recordings(rig):
    with Call(rig) as c:
        c.invite_all()
        live = wait.until("the call is listed", c.live)
        rig.api.delete(f"/v1/recordings/{live['id']}", status=409)
        rig.api.get(f"/v1/recordings/{live['id']}/media", status=409)
        assert rig.api.recording(live["id"])["state"] == "open"
        c.play(0, 0.5)
        c.run()
        c.bye()
        e = c.entry()
    a = rig.api.request("DELETE", f"/v1/recordings/{e['id']}")
    assert a.status in (200, 204), a
    wait.until("the files are gone", lambda: not rig.rec_files(".wav"))
    assert not rig.rec_files(".json")
    gone = rig.api.request("GET", f"/v1/recordings/{e['id']}/media")
    assert gone.status in (404, 410)
    assert e["id"] not in [r["id"] for r in rig.api.recordings()]
    import sqlite3
    db = sqlite3.connect(f"file:{rig.data}/core/core.db?mode=ro", uri=True)
    rows = db.execute("select * from audit").fetchall()
    db.close()
    assert any(e["id"] in str(r) and "delete" in str(r).lower() for r in rows)
    assert rig.api.request("DELETE", f"/v1/recordings/{'0' * 32}").status == 404


def test_errors_are_problem_documents(rig):
    for method, path, status in (("GET", "/v1/nothing", 404), ("GET", "/v1/recordings/xyz", 404),
                                 ("PUT", "/v1/status", 405)):
        a = rig.api.request(method, path)
        assert a.status == status, a
        assert a.headers["content-type"].startswith("application/problem+json")
        assert a.json()["status"] == status and a.json()["title"]


def test_browser_cross_site_calls_are_refused(rig):
    with Call(rig) as c:
        c.invite_all()
        live = wait.until("the call is listed", c.live)
        path = f"/v1/calls/{live['id']}/pause"
        assert rig.api.request("GET", "/v1/status", headers={"Host": "evil.example"}).status in (400, 403, 421)
        assert rig.api.request("POST", path, headers={"Origin": "http://evil.example"}).status == 403
        assert rig.api.request("POST", path, body="a=b", headers={
            "Content-Type": "application/x-www-form-urlencoded"}).status in (403, 415)
        assert c.live()["paused"] is False
        rig.api.post(path, body="{}", headers={"Content-Type": "application/json"})
        assert c.live()["paused"] is True
        c.bye()
        c.entry()


def test_other_than_loopback_is_refused_without_tls_and_token(rigs):
    rig = rigs()
    rig.start_engine()
    argv = list(rig.core.argv)
    argv[argv.index("--http") + 1] = "0.0.0.0:8999"
    r = procs.run(argv, 20, ok=None)
    assert r.returncode != 0 and r.stderr.strip()


def test_openapi_lists_every_route(rig):
    a = rig.api.request("GET", "/v1/openapi.json")
    assert a.status == 200, a
    paths = a.json()["paths"]
    for p in ("/v1/status", "/v1/calls", "/v1/recordings", "/v1/recordings/{id}", "/v1/recordings/{id}/media",
              "/v1/calls/{id}/pause", "/metrics"):
        assert p in paths


def test_port_0_and_ports_json(rigs):
    rig = rigs()
    rig.start_engine()
    argv = rig.core.argv
    for name in ("--sip-udp", "--sip-tcp", "--http"):
        argv[argv.index(name) + 1] = "127.0.0.1:0"
    rig.core.start()
    path = os.path.join(rig.data, "core", "ports.json")
    ports = wait.until("ports.json", lambda: os.path.exists(path) and os.path.getsize(path) and procs.load_json(path))
    assert set(ports) >= {"sip_udp", "sip_tcp", "http"} and all(ports[k] for k in ("sip_udp", "sip_tcp", "http"))
    rig.http, rig.sip = ("127.0.0.1", ports["http"]), ("127.0.0.1", ports["sip_udp"])
    rig.api.addr = rig.http
    rig.wait_core()
    made(rig)


def slrctl(rig, *args, ok=(0,)):
    if procs.missing("slrctl"):
        pytest.skip("slrctl is not built")
    return procs.run([procs.binary("slrctl"), *args, "--api", f"http://{rig.http[0]}:{rig.http[1]}"], 30, ok)


def test_get_fetches_the_file_of_every_channel(rigs, tmp_path):
    if procs.missing("slrctl"):
        pytest.skip("slrctl is not built")
    rig = rigs(core_args=("--compression", "flac", "--layout", "legs")).start()
    with Call(rig) as c:
        c.invite_all()
        c.play(0, 0.3), c.play(1, 0.3)
        c.run()
        c.bye()
        e = c.entry()
    names = [os.path.basename(f["file"]) for f in e["files"]]
    api = f"http://{rig.http[0]}:{rig.http[1]}"
    ask = lambda *a, **kw: procs.run([procs.binary("slrctl"), "get", e["id"], "--api", api, *a], 20,
                                     cwd=str(tmp_path), **kw).stdout
    assert ask().split() == names and sorted(os.listdir(tmp_path)) == names
    assert json.loads(ask("--json"))["saved"] == names
    assert ask("--channel", "1", "-o", "y.flac").split() == ["y.flac"]
    with open(tmp_path / "y.flac", "rb") as y, open(tmp_path / names[1], "rb") as of:
        assert y.read() == of.read()
    ask("-o", "x.flac", ok=(2,)), ask("--channel", "2", ok=(2,))
    assert not (tmp_path / "x.flac").exists()


def test_slrctl_verbs_with_json(rig, tmp_path):
    with Call(rig) as c:
        c.invite_all()
        live = wait.until("the call is listed", c.live)
        assert json.loads(slrctl(rig, "status", "--json").stdout)["version"]
        people = wait.until("the engine's figures", lambda: (lambda x: x if "engine.streams_used" in x else None)(
            slrctl(rig, "status").stdout), 5)
        assert "_total" not in people and len(people.splitlines()) < 40, people
        assert live["id"] in slrctl(rig, "calls").stdout
        assert json.loads(slrctl(rig, "calls", "--json").stdout)["calls"][0]["id"] == live["id"]
        slrctl(rig, "pause", live["id"])
        assert c.live()["paused"] is True
        slrctl(rig, "resume", live["id"])
        assert c.live()["paused"] is False
        c.play(0, 0.5)
        c.run()
        slrctl(rig, "stop", live["id"])
        e = c.entry()
    assert e["id"] in slrctl(rig, "recordings").stdout
    raw = rig.api.request("GET", f"/v1/recordings?id={e['id']}").body
    assert b'"mos":' in raw and not re.search(rb"[.]\d{12}", raw), raw
    out = tmp_path / "x.wav"
    slrctl(rig, "get", e["id"], "-o", str(out))
    assert wav.load(out).frames > 0
    assert "What went wrong" in slrctl(rig, "explain", e["id"]).stdout
    assert json.loads(slrctl(rig, "explain", e["id"], "--json").stdout)["recording"] == e["id"]
    slrctl(rig, "plot", e["id"], "--svg", str(tmp_path / "x.svg"))
    assert (tmp_path / "x.svg").read_text().endswith("</svg>\n")
    slrctl(rig, "explain", "0" * 32, ok=(4,))
    slrctl(rig, "delete", e["id"])
    assert e["id"] not in slrctl(rig, "recordings").stdout
    assert slrctl(rig, "nonsense", ok=None).returncode != 0
