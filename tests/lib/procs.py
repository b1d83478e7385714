"""Starting, killing and restarting slr and slr-core, each test in directories of its own.

Readiness is waited for by conditions (control socket, HTTP), never by time. Logs are kept and
printed when a test fails. Only processes started here are ever signalled.
"""
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from . import api, wait

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_rigs = itertools.count()
BAD_LOG = re.compile(r"ERROR: AddressSanitizer|runtime error:|ERROR: LeakSanitizer|WARNING: ThreadSanitizer"
                     r"|Assertion .* failed|assertion failed")


def bin_dir():
    return os.environ.get("SLR_BIN_DIR") or os.path.join(SOURCE, "build", "release", "bin")


def binary(name):
    return os.path.join(bin_dir(), name)


def missing(*names):
    """Names of those programs that are not built (a test that needs them says so and skips)."""
    return [n for n in names if not os.access(binary(n), os.X_OK)]


def captures_dir():
    return os.environ.get("SLR_CAPTURES") or os.path.join(SOURCE, "..", "shared", "captures")


class Proc:
    """One started program with its log."""

    def __init__(self, name, argv, log_path, env=None):
        self.name, self.argv, self.log_path, self.env = name, argv, log_path, env
        self.child = None
        self.expected_exit = False
        self.starts = 0
        self.preexec = None  # runs in the child before the program

    def start(self):
        assert self.child is None or self.child.poll() is not None, f"{self.name} runs already"
        log = open(self.log_path, "ab")
        log.write(f"--- start {self.starts}: {' '.join(self.argv)}\n".encode())
        log.flush()
        self.expected_exit = False
        self.starts += 1
        env = dict(os.environ, **(self.env or {}))
        env.setdefault("ASAN_OPTIONS", "abort_on_error=0:detect_leaks=1:exitcode=99")
        env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
        self.child = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env,
                                      preexec_fn=self.preexec)
        log.close()
        return self

    @property
    def pid(self):
        return self.child.pid

    def alive(self):
        return self.child is not None and self.child.poll() is None

    def kill9(self):
        """SIGKILL; returns the monotonic time right after the process is gone."""
        self.expected_exit = True
        self.child.send_signal(signal.SIGKILL)
        self.child.wait(10)
        return time.monotonic()

    def terminate(self, timeout_s=30):
        """SIGTERM and wait for a clean exit."""
        if not self.alive():
            return self.child.returncode if self.child else 0
        self.expected_exit = True
        self.child.send_signal(signal.SIGTERM)
        try:
            code = self.child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.child.kill()
            self.child.wait(10)
            raise AssertionError(f"{self.name} did not end {timeout_s} s after SIGTERM\n{self.tail()}") from None
        assert code == 0, f"{self.name} ended with {code} after SIGTERM\n{self.tail()}"
        return code

    def log(self):
        try:
            with open(self.log_path, "r", encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def tail(self, lines=60):
        return "\n".join(self.log().splitlines()[-lines:])

    def check(self):
        """The program has not died by itself and no sanitizer has spoken."""
        if self.child is not None and not self.expected_exit and self.child.poll() is not None:
            raise AssertionError(f"{self.name} died by itself with {self.child.returncode}\n{self.tail()}")
        bad = BAD_LOG.search(self.log())
        if bad:
            raise AssertionError(f"{self.name}: {bad.group(0)}\n{self.tail(120)}")


def port_free(addr, kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as s:
        if kind == socket.SOCK_STREAM:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(addr)
            return True
        except OSError:
            return False


class Rig:
    """An engine and a core with their directories and ports."""

    def __init__(self, capture="socket", block_ms=200, data=None, engine_args=(), core_args=(),
                 media_ip="127.0.0.1", ports=None, sniffer=True, sip_ip="127.0.0.1"):
        n = next(_rigs) % 20
        self.dir = tempfile.mkdtemp(prefix="slr-test-")
        shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else self.dir
        self.state = tempfile.mkdtemp(prefix="slr-test-", dir=shm)
        self.data = data or os.path.join(self.dir, "data")
        os.makedirs(self.data, exist_ok=True)
        self.control = os.path.join(self.dir, "engine.sock")
        self.media = ports or (20000 + n * 1000, 20999 + n * 1000)
        self.media_ip = media_ip
        self.sip = (sip_ip, 5060 + n * 10)
        self.http = ("127.0.0.1", 8000 + n * 10)
        self.sniffer = ("127.0.0.1", 30350 + n * 10) if sniffer else None
        self.api = api.Api(self.http)
        self.block_ms = block_ms
        argv = [binary("slr"), "-w", str(self.sniffer[1] if sniffer else 0), "--control", self.control,
                "--media-ip", media_ip, "--media-ports", f"{self.media[0]}-{self.media[1]}",
                "--data", self.data, "--state", self.state, "--capture", capture,
                "--block", str(block_ms), *engine_args]
        self.engine = Proc("slr", argv, os.path.join(self.dir, "slr.log"))
        sip = f"[{sip_ip}]:{self.sip[1]}" if ":" in sip_ip else f"{sip_ip}:{self.sip[1]}"
        argv = [binary("slr-core"), "--engine", self.control, "--sip-udp", sip, "--sip-tcp", sip,
                "--http", f"{self.http[0]}:{self.http[1]}", "--data", self.data, *core_args]
        self.core = Proc("slr-core", argv, os.path.join(self.dir, "slr-core.log"))

    # life

    def start_engine(self, wait_ready=True, timeout_s=10):
        self.engine.start()
        if wait_ready:
            self.wait_engine(timeout_s)
        return self

    def wait_engine(self, timeout_s=10):
        from . import seam
        def ready():
            self.engine.check()
            seam.connect(self.control, 1).close()
            return True
        wait.until("slr listens on its control socket", ready, timeout_s)

    def start_core(self, wait_ready=True, timeout_s=10):
        self.core.start()
        if wait_ready:
            self.wait_core(timeout_s)
        return self

    def wait_core(self, timeout_s=10):
        def ready():
            self.core.check()
            status = self.api.status()
            return status if status["engine"].get("connected", True) else None
        wait.until("slr-core answers HTTP and is joined to the engine", ready, timeout_s)

    def start(self):
        self.start_engine()
        self.start_core()
        return self

    def stop(self):
        self.core.terminate()
        self.engine.terminate()
        self.check()

    def check(self):
        self.engine.check()
        self.core.check()

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.stop()
        finally:
            self.close(failed=kind is not None)

    def close(self, failed=False):
        for p in (self.core, self.engine):
            if p.alive():
                p.kill9()
        if failed or os.environ.get("SLR_TEST_LOGS"):
            self.dump()
        if os.environ.get("SLR_TEST_KEEP"):
            print("kept:", self.dir, self.state)
            return
        shutil.rmtree(self.dir, ignore_errors=True)
        shutil.rmtree(self.state, ignore_errors=True)

    def dump(self):
        for p in (self.engine, self.core):
            if p.starts:
                print(f"\n===== log of {p.name} =====\n{p.tail(150)}")

    # looking

    def rec_files(self, ending=""):
        out = []
        for root, _, names in os.walk(os.path.join(self.data, "rec")):
            out += [os.path.join(root, n) for n in names if n.endswith(ending)]
        return sorted(out)

    def ledgers(self):
        return [load_json(p) for p in self.rec_files(".json")]

    def wait_recording(self, match=None, timeout_s=15, states=("sealed", "partial", "orphan")):
        """The catalogue entry of the first recording for which match(entry) and that is done."""
        def find():
            self.check()
            for r in self.api.recordings():
                if r["state"] in states and (match is None or match(r)):
                    return r
            return None
        return wait.until("a sealed recording in the catalogue", find, timeout_s, 0.05)


def load_json(path):
    with open(path, "r", encoding="utf-8") as f:
        return json.load(f)


def run(argv, timeout_s=60, ok=(0,), **kw):
    """Runs a program to its end; returns CompletedProcess with text output."""
    r = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout_s, check=False,
                       text=True, **kw)
    if ok is not None and r.returncode not in ok:
        raise AssertionError(f"{' '.join(argv)} ended with {r.returncode}\n{r.stdout[-4000:]}\n{r.stderr[-6000:]}")
    assert not BAD_LOG.search(r.stderr), r.stderr[-8000:]
    return r
