"""Real peers: sipp, kamailio, rtpengine, sngrep. Each test skips plainly when one is missing."""
import os
import re
import signal
import shutil
import socket
import subprocess

import pytest

from . import wait

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def need(program):
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin")
    if not path:
        pytest.skip(f"{program} is not installed")
    return path


def sipp(scenario, remote, *, calls, rate=10, transport="udp", inf=None, cwd, extra=(), timeout_s=60):
    """Runs a scenario of e2e/sipp to its end; fails on any failed call or retransmission over TCP.
    Returns sipp's last statistics as a dict."""
    program = need("sipp")
    argv = [program, f"{remote[0]}:{remote[1]}", "-sf", os.path.join(HERE, "e2e", "sipp", scenario), "-m", str(calls),
            "-r", str(rate), "-l", str(calls), "-t", "t1" if transport == "tcp" else "u1", "-i", "127.0.0.1",
            "-nostdin", "-trace_stat", "-stf", os.path.join(cwd, "stat.csv"), "-trace_err", "-error_file",
            os.path.join(cwd, "err.log"), "-timeout", f"{timeout_s}s", "-timeout_error", *extra]
    if inf:
        argv += ["-inf", inf]
    r = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=cwd, timeout=timeout_s + 20,
                       check=False)
    err = os.path.join(cwd, "err.log")
    text = open(err, encoding="utf-8", errors="replace").read() if os.path.exists(err) else ""
    assert r.returncode == 0, f"sipp {scenario} ended with {r.returncode}\n{text[-4000:]}\n{r.stdout[-3000:].decode()}"
    with open(os.path.join(cwd, "stat.csv"), encoding="utf-8") as f:
        rows = [x.rstrip("\n").split(";") for x in f if x.strip()]
    stat = dict(zip(rows[0], rows[-1]))
    assert stat["FailedCall(C)"] == "0" and stat["SuccessfulCall(C)"] == str(calls), stat
    assert stat["Retransmissions(C)"] == "0", stat
    return stat


def bencode(v):
    if isinstance(v, dict):
        return b"d" + b"".join(bencode(k) + bencode(v[k]) for k in sorted(v)) + b"e"
    if isinstance(v, (list, tuple)):
        return b"l" + b"".join(bencode(x) for x in v) + b"e"
    if isinstance(v, int):
        return b"i%de" % v
    v = v.encode() if isinstance(v, str) else v
    return b"%d:%s" % (len(v), v)


def bdecode(raw, at=0):
    """(value, end)."""
    c = raw[at : at + 1]
    if c == b"i":
        end = raw.index(b"e", at)
        return int(raw[at + 1 : end]), end + 1
    if c in b"ld":
        items, at = [], at + 1
        while raw[at : at + 1] != b"e":
            v, at = bdecode(raw, at)
            items.append(v)
        return (items if c == b"l" else dict(zip(items[::2], items[1::2]))), at + 1
    colon = raw.index(b":", at)
    n = int(raw[at:colon])
    return raw[colon + 1 : colon + 1 + n].decode("utf-8", "replace"), colon + 1 + n


class RtpEngine:
    """rtpengine in userspace, driven over its ng protocol."""

    def __init__(self, folder, ports=(50000, 50999)):
        program = need("rtpengine")
        self.log = open(os.path.join(folder, "rtpengine.log"), "wb")
        self.addr = ("127.0.0.1", 2223)
        self.child = subprocess.Popen(
            [program, "--table=-1", "--interface=127.0.0.1", "--listen-ng=127.0.0.1:2223", "--foreground",
             "--log-stderr", f"--port-min={ports[0]}", f"--port-max={ports[1]}", f"--pidfile={folder}/rtpengine.pid",
             "--no-fallback", "--config-file=none"],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.connect(self.addr)
        self.n = 0
        wait.until("rtpengine answers", lambda: self.ask(command="ping", timeout_s=0.3)["result"] == "pong", 10)

    def ask(self, timeout_s=3.0, **command):
        self.n += 1
        cookie = b"c%d" % self.n
        self.sock.settimeout(timeout_s)
        self.sock.send(cookie + b" " + bencode({k.replace("_", "-"): v for k, v in command.items()}))
        while True:
            raw = self.sock.recv(65536)
            got, _, body = raw.partition(b" ")
            if got == cookie:
                return bdecode(body)[0]

    def close(self):
        self.child.terminate()
        try:
            self.child.wait(5)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait(5)
        self.sock.close()
        self.log.close()


class Tmux:
    """A program with a terminal of its own; its screen can be read."""

    def __init__(self, folder, command, size=(200, 50)):
        self.base = [need("tmux"), "-S", os.path.join(folder, "tmux.sock"), "-f", "/dev/null"]
        subprocess.run([*self.base, "new-session", "-d", "-x", str(size[0]), "-y", str(size[1]), command], check=True,
                       env=dict(os.environ, TERM="xterm", HOME=folder))
        r = subprocess.run([*self.base, "list-panes", "-F", "#{pane_pid}"], stdout=subprocess.PIPE, check=True, text=True)
        self.pid = int(r.stdout.split()[0])

    def screen(self):
        r = subprocess.run([*self.base, "capture-pane", "-p"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                           check=False, text=True)
        return r.stdout

    def keys(self, *keys):
        subprocess.run([*self.base, "send-keys", *keys], check=False, stderr=subprocess.DEVNULL)

    def close(self):
        """Ends the program, too: sngrep outlives its terminal and then spins."""
        try:
            os.kill(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        subprocess.run([*self.base, "kill-server"], check=False, stderr=subprocess.DEVNULL)


def template(name, folder, **values):
    """Fills @NAME@ in a file of e2e/ and writes it to folder."""
    with open(os.path.join(HERE, "e2e", name), encoding="utf-8") as f:
        text = re.sub(r"@([A-Z0-9_]+)@", lambda m: str(values[m.group(1)]), f.read())
    path = os.path.join(folder, os.path.basename(name))
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path
