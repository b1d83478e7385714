#!/usr/bin/python3
"""A capacity run: N dual-channel calls at once, every packet looked for in the recordings.

Starts a recorder with directories and ports of its own, runs `slr-load` against it, ends it. Prints
slr-load's JSON lines; exit status is the worst verdict (0: every packet that was sent is at its place
in a recording, nothing else is; 1: not so; 2: could not be tried).

  bench/capacity.py [--bin DIR] [--calls 500] [--seconds 60] [--churn N] [--capture uring|shared|xdp|socket|packet]
                    [--setup sip|seam|none] [--net auto|netns|loopback] [--steer sender|recorder|both]
                    [--send auto|udp|raw|live|live-in] [--streams N] [--realtime] [--stall SECONDS]
                    [--keep]
                    [-- more options of slr-load]
  bench/capacity.py --measure-sender [--send ...]  how many packets a second the generator's core makes

With `--capture packet` the recorder only watches: the calls are between others, on the link that joins the
namespaces; the seam tells it their addresses, or, with `--setup none`, nobody tells it anything.

Recorder and generator run on a core each. As root they get a network namespace each, joined by a veth
pair (all of it removed at the end), and the kernel's receive work is done where --steer says: on the
generator's core, where it falls by itself, or on the recorder's (receive packet steering); `both` makes
one run of each. On loopback it falls on the generator's core and is in no figure of `slr`.

With --stall the recordings lie on a file system of their own in memory (loop device, root), which is
frozen for so long after a third of the run: no write to it comes back. A further row says what the
engine had left.
"""
import argparse
import contextlib
import json
import os
import shutil
import signal
import stalling
import subprocess
import sys
import tempfile
import time

# ETHTOOL_SGRO (0x2c) by SIOCETHTOOL (0x8946), as `ethtool -K DEVICE gro on` does it
GRO_ON = """
import array, fcntl, socket, struct, sys
value = array.array("I", [0x2c, 1])
request = struct.pack("16sP16x", sys.argv[1].encode(), value.buffer_info()[0])
fcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x8946, request)
"""
SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def wait_for(what, check, timeout_s):
    end = time.monotonic() + timeout_s
    while time.monotonic() < end:
        value = check()
        if value:
            return value
        time.sleep(0.05)
    sys.exit(f"capacity: {what} did not happen in {timeout_s} s")


def ports_of(data):
    try:
        with open(os.path.join(data, "core", "ports.json"), encoding="utf-8") as f:
            return json.load(f)
    except (OSError, ValueError):
        return None


def stop(process):
    if process and process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


class Loopback:
    """Both sides on 127.0.0.1."""
    name, recorder_ip, ports = "loopback", "127.0.0.1", "20000-59999"

    def recorder(self, argv):
        return argv

    def generator(self, argv):
        return argv

    def send(self, how):
        """Options of slr-load."""
        if how not in ("auto", "udp"):
            sys.exit("capacity: frames can be sent in namespaces only")
        return []

    def steer(self, cpu):
        """Where the kernel receives: only the sender's core can be had."""
        return cpu is None

    def steer_xdp(self, cpu):
        return cpu is None

    def close(self):
        pass


class Namespaces:
    """A namespace each, joined by veth; names by this process's id."""
    name, ports = "netns", "2048-65533"

    def __init__(self):
        me = os.getpid()
        self.rec, self.gen = f"slr-rec-{me}", f"slr-gen-{me}"
        net = f"10.203.{me % 250}"
        self.recorder_ip = net + ".1"
        self.generator_ip = net + ".2"
        self.made = []
        self.inside = False  # the generator is in the recorder's namespace
        try:
            for name in (self.rec, self.gen):
                self._ip("netns", "add", name)
                self.made.append(name)
            self._ip("-n", self.rec, "link", "add", "slrrec", "type", "veth", "peer", "name", "slrgen",
                     "netns", self.gen)
            for name, link, ip in ((self.rec, "slrrec", net + ".1"), (self.gen, "slrgen", net + ".2")):
                self._ip("-n", name, "addr", "add", ip + "/30", "dev", link)
                for one in ("lo", link):
                    self._ip("-n", name, "link", "set", one, "up")
        except (OSError, subprocess.CalledProcessError):
            self.close()
            raise

    @staticmethod
    def _ip(*args):
        subprocess.run(["ip", *args], check=True, stderr=subprocess.DEVNULL)

    def recorder(self, argv):
        return ["ip", "netns", "exec", self.rec, *argv]

    def generator(self, argv):
        return ["ip", "netns", "exec", self.rec if self.inside else self.gen, *argv]

    def send(self, how):
        if how == "live":  # a veth takes XDP frames where its peer has GRO
            subprocess.run(self.recorder([sys.executable, "-c", GRO_ON, "slrrec"]), check=True)
        self.inside = how == "live-in"
        return {"udp": [], "live": ["--send", "live:slrgen"],
                "live-in": ["--send", "live-in:slrrec", "--local-ip", self.generator_ip],
                }.get(how, ["--send", "raw:slrgen"])

    def steer_xdp(self, cpu):
        """What an XDP program does is done by the device's own thread, which is given that core, before
        all else there, as a card's interrupts are: a veth holds 256 frames. To be called when the program
        is attached."""
        if cpu is None:
            return True
        threaded = "/sys/class/net/slrrec/threaded"
        r = subprocess.run(self.recorder(["sh", "-c", f"echo 1 > {threaded}"]), check=False, stderr=subprocess.DEVNULL)
        for pid in [p for p in os.listdir("/proc") if r.returncode == 0 and p.isdigit()]:
            with contextlib.suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8") as f:
                if f.read().startswith("napi/slrrec"):
                    os.sched_setaffinity(int(pid), {cpu})
                    os.sched_setscheduler(int(pid), os.SCHED_RR, os.sched_param(2))
                    self.napi = int(pid)
        return r.returncode == 0

    def napi_ms(self):
        """CPU time of the device's thread, which is no softirq's."""
        with open(f"/proc/{self.napi}/stat", encoding="utf-8") as f:
            ticks = f.read().rsplit(")", 1)[1].split()[11:13]
        return sum(map(int, ticks)) * 1000 / os.sysconf("SC_CLK_TCK")

    def steer(self, cpu):
        """None: where packets come from; else that core. False: this kernel can't."""
        mask = f"{0 if cpu is None else 1 << cpu:x}"
        where = "/sys/class/net/slrrec/queues/rx-0/rps_cpus"
        r = subprocess.run(self.recorder(["sh", "-c", f"echo {mask} > {where}"]), check=False, stderr=subprocess.DEVNULL)
        return r.returncode == 0

    def close(self):
        for name in self.made:
            subprocess.run(["ip", "netns", "del", name], check=False, stderr=subprocess.DEVNULL)
        self.made = []


def network(kind):
    if kind == "loopback":
        return Loopback()
    try:
        return Namespaces()
    except (OSError, subprocess.CalledProcessError) as e:
        if kind == "netns":
            sys.exit(f"capacity: no network namespaces: {e}")
        return Loopback()


def pinned(argv, cpu):
    return argv if cpu is None else ["taskset", "-c", str(cpu), *argv]


def cores():
    """Recorder's and generator's; None: there is but one."""
    have = sorted(os.sched_getaffinity(0))
    return (have[0], have[-1]) if len(have) > 1 else (None, None)


class Recorder:
    """slr, and slr-core where calls come through SIP, on the recorder's core. It takes all calls that come: how many are
    too many is what is looked for."""

    def __init__(self, args, net, base, state):
        self.args, self.net, self.state = args, net, state
        self.passive = args.capture.split(",")[0] == "packet"
        self.seam = os.path.join(base, "seam")
        self.disk = stalling.disk(args.disk_mb) if args.stall else None
        if args.stall and not self.disk:
            sys.exit("capacity: --stall needs root and a loop device")
        self.data = os.path.join(self.disk.path if self.disk else base, "data")
        self.log = open(os.path.join(base, "log"), "a", encoding="utf-8")
        self.slr = self.core = None

    def _start(self, argv, cpu):
        argv = ["chrt", "-r", "1", *argv] if self.args.realtime else argv
        return subprocess.Popen(self.net.recorder(pinned(argv, cpu)), stdout=self.log, stderr=self.log)

    def start(self):
        args = self.args
        streams = args.streams or args.calls * 2 + args.churn * 4 + 64
        capture = args.capture.replace("packet", "packet:slrrec", 1) if self.passive else args.capture
        self.slr = self._start([f"{args.bin}/slr", "--control", self.seam, "--data", self.data, "--state", self.state,
                                "-S", str(streams), "-w", "0", "--media-ip", self.net.recorder_ip, "--media-ports",
                                self.net.ports, "--admission", "streams", "--capture", capture,
                                # unsignalled calls are over when they are silent
                                *(["-t", "3"] if args.setup == "none" else []), *args.slr_arg], cores()[0])
        wait_for("the engine's socket", lambda: os.path.exists(self.seam), 20)
        where = ["--passive", "--stats", self.seam] if args.setup == "none" else ["--seam", self.seam]
        where += ["--passive"] if self.passive and args.setup == "seam" else []
        pids = [self.slr.pid]
        if args.setup == "sip":
            ip = self.net.recorder_ip
            self.core = self._start([f"{args.bin}/slr-core", "--engine", self.seam, "--data", self.data, "--sip-udp",
                                     f"{ip}:0", "--sip-tcp", f"{ip}:0", "--sip-allow", f"{ip}/30", "--http", "127.0.0.1:0"],
                                    cores()[0])
            ports = wait_for("the core's start", lambda: ports_of(self.data), 20)
            time.sleep(0.5)  # the seam connects within 200 ms; a 503 would end the run
            where = ["--sip", f"{ip}:{ports['sip_udp']}", "--stats", self.seam]
            pids.append(self.core.pid)
        return where + ["--data", self.data, "--state", self.state] + [x for p in pids for x in ("--pid", str(p))]

    def stop(self):
        stop(self.core)
        stop(self.slr)
        self.log.close()
        if self.disk:
            self.disk.close()


def run(args, net, steer, base, state):
    recorder = Recorder(args, net, base, state)
    where = cores()[0] if steer == "recorder" else None
    if not net.steer(where):
        sys.exit(f"capacity: on {net.name} the kernel's receive work can't be steered to the {steer}'s core")
    print(json.dumps({"bench": "load/environment", "net": net.name, "receive_work": steer, "setup": args.setup,
                      "capture": args.capture, "recorder_cpu": cores()[0], "generator_cpu": cores()[1],
                      "realtime": args.realtime,
                      "load": os.getloadavg()[0],
                      "kernel": os.uname().release}), flush=True)
    try:
        load = [f"{args.bin}/slr-load", *recorder.start(), "--calls", str(args.calls), "--seconds", str(args.seconds),
                "--churn", str(args.churn), "--label", f"/receive={steer}", *net.send(args.send), *args.more]
        if args.capture.startswith("xdp") and not net.steer_xdp(where):
            sys.exit("capacity: the device's receiving has no thread of its own here")
        stall = None
        if args.stall:
            stall = stalling.Stall(recorder.disk, recorder.seam, args.calls / 200 + args.seconds / 3, args.stall)
            stall.start()
        status = subprocess.run(net.generator(pinned(load, cores()[1])), check=False).returncode
        if getattr(net, "napi", None):
            print(json.dumps({"bench": f"load/napi/calls={args.calls}/receive={steer}", "unit": "CPU ms",
                              "value": net.napi_ms()}), flush=True)
        if stall:
            print(json.dumps(stall.finish()), flush=True)
            status = max(status, 0 if stall.row["stalled_s"] >= args.stall else 2)
        return status
    finally:
        recorder.stop()


def measure_sender(args, net):
    argv = [f"{args.bin}/slr-load", "--measure-sender", "--seconds", str(args.seconds), *net.send(args.send), *args.more]
    return subprocess.run(net.generator(pinned(argv, cores()[1])), check=False).returncode


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--bin", default=os.path.join(SOURCE, "build", "release", "bin"))
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--churn", type=int, default=0)
    parser.add_argument("--streams", type=int, default=0, help="slr -S; by default what --calls needs")
    parser.add_argument("--capture", default="uring")
    parser.add_argument("--setup", choices=("sip", "seam", "none"), default="sip")
    parser.add_argument("--net", choices=("auto", "netns", "loopback"), default="auto")
    parser.add_argument("--steer", choices=("sender", "recorder", "both"), default="sender")
    parser.add_argument("--send", choices=("auto", "udp", "raw", "live", "live-in"), default="auto",
                        help="by a UDP socket, or (cheaper, in namespaces) as frames: raw (auto), live (by BPF, cheapest), "
                        "live-in (as if the recorder's device received them, on the seam only)")
    parser.add_argument("--measure-sender", action="store_true",
                        help="no recorder: how many packets a second the generator's core makes")
    parser.add_argument("--slr-arg", action="append", default=[], help="one more argument of slr, repeatable")
    parser.add_argument("--stall", type=int, default=0, help="the disk stands still for so many seconds")
    parser.add_argument("--disk-mb", type=int, default=8192, help="with --stall: size of the recordings' file system")
    parser.add_argument("--realtime", action="store_true",
                        help="the recorder goes before whatever else this machine does (as the generator always does)")
    parser.add_argument("--keep", action="store_true", help="leave recordings and log where they are")
    parser.add_argument("more", nargs="*", help="after --: options of slr-load")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(2))
    worst = 0
    with contextlib.closing(network(args.net)) as net:
        if args.measure_sender:
            return measure_sender(args, net)
        both = ("sender",) if net.name == "loopback" else ("sender", "recorder")
        for steer in both if args.steer == "both" else (args.steer,):
            base = tempfile.mkdtemp(prefix="slr-capacity-")
            state = tempfile.mkdtemp(prefix="slr-capacity-", dir="/dev/shm")
            try:
                status = run(args, net, steer, base, state)
                if status != 0:
                    with open(os.path.join(base, "log"), encoding="utf-8") as f:
                        sys.stderr.write(f.read()[-4000:])
                worst = max(worst, status)
            finally:
                if args.keep:
                    print(f"capacity: kept in {base}", file=sys.stderr)
                else:
                    shutil.rmtree(base, ignore_errors=True)
                shutil.rmtree(state, ignore_errors=True)
    return worst


if __name__ == "__main__":
    sys.exit(main())
