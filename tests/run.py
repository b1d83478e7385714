#!/usr/bin/python3
"""Runs the tests of the builds kind by kind, holds each kind to its time, and adds up the cases.

The budgets of docs/architecture.md are for the release build; the sanitized build gets twice as
much. Over budget is a failure, and so is a run without a single test. The last line says how many
cases passed, failed and were skipped (of unit programs and pytest files every case counts, of other
tests the program).
"""
import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

# name, labels, seconds in the release build
BUDGETS = [
    ("unit", ("unit",), 120),
    ("golden", ("golden",), 60),
    ("corpus", ("corpus",), 120),
    ("contract+simulation", ("contract", "simulation"), 240),
    ("e2e", ("e2e",), 360),
    ("crash", ("crash",), 180),
]
SOAK = [("soak", ("soak",), 6 * 3600)]
# Kills are timed against the clock on the wall, which sanitizers distort.
NOT_SANITIZED = {"crash"}
# They wait for media more than they compute: twice as many at once, where no sanitizer makes them compute.
WAITING = {"e2e"}
SANITIZED_SCALE = 2
CRITERION = re.compile(r"Synthesis: Tested: (\d+) \| Passing: (\d+) \| Failing: (\d+) \| "
                       r"Crashing: (\d+)")
PYTEST_END = re.compile(r"^=+ (.*\b(?:passed|failed|skipped|errors?|xfailed|xpassed|no tests ran)\b"
                        r".*) in [\d.]+s.*=+$", re.MULTILINE)
PYTEST_PART = re.compile(r"(\d+) (passed|failed|skipped|errors?|xfailed|xpassed)")
ANSI = re.compile(r"\x1b\[[0-9;]*m")


class Count:
    """Cases that passed, failed and were skipped."""

    def __init__(self, passed=0, failed=0, skipped=0):
        self.passed, self.failed, self.skipped = passed, failed, skipped

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped

    def total(self):
        return self.passed + self.failed + self.skipped

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


def count_output(output, ok):
    """Cases of one ctest test by what it printed; a test that failed counts one failure at least."""
    output = ANSI.sub("", output)
    count = Count()
    ends = PYTEST_END.findall(output)
    synthesis = CRITERION.findall(output)
    if ends:
        for number, word in PYTEST_PART.findall(ends[-1]):
            if word in ("passed", "xfailed"):
                count.passed += int(number)
            elif word == "skipped":
                count.skipped += int(number)
            else:
                count.failed += int(number)
    elif synthesis:
        for _, passing, failing, crashing in synthesis:
            count.add(Count(int(passing), int(failing) + int(crashing)))
    elif ok:
        count.passed = 1
    if not ok and count.failed == 0:
        count.failed = 1
    return count


def read_results(path):
    """(count, names of failed tests, reasons of skips) of a JUnit file of ctest."""
    total, failed, skips = Count(), [], []
    if not os.path.exists(path) or os.path.getsize(path) == 0:
        return total, failed, skips
    for case in ElementTree.parse(path).getroot().iter("testcase"):
        name, status = case.get("name"), case.get("status")
        output = "".join(case.find("system-out").itertext()) if case.find("system-out") is not None else ""
        if status == "disabled" or case.find("skipped") is not None and status != "notrun":
            total.add(Count(skipped=1))
            skips.append(f"{name}: skipped")
            continue
        count = count_output(output, status == "run")
        total.add(count)
        if count.failed:
            failed.append(name)
        skips += [f"{name}: {line}" for line in output.splitlines() if line.startswith("SKIPPED ")]
    return total, failed, skips


def end_group(child):
    """Ends ctest and whatever it started (they are a process group of their own)."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, sign)
        except ProcessLookupError:
            return
        try:
            child.wait(5)
            if sign == signal.SIGKILL:
                return
        except subprocess.TimeoutExpired:
            pass


def run_ctest(folder, labels, jobs, limit_s):
    """Runs the tests with these labels; returns (count, failed, skips, seconds, exit status ok)."""
    with tempfile.TemporaryDirectory(prefix="slr-run-") as temp:
        junit = os.path.join(temp, "results.xml")
        argv = ["ctest", "--test-dir", folder, "-L", f"^({'|'.join(labels)})$", "-j", str(jobs),
                "--output-on-failure", "--no-tests=ignore", "--output-junit", junit,
                "--test-output-size-passed", "4000000", "--test-output-size-failed", "4000000"]
        begin = time.monotonic()
        child = subprocess.Popen(argv, start_new_session=True)
        try:
            code = child.wait(limit_s)
        except subprocess.TimeoutExpired:
            print(f"run: {'+'.join(labels)} still running after {limit_s} s: ended", flush=True)
            code = 1
        finally:
            if child.poll() is None:
                end_group(child)
        seconds = time.monotonic() - begin
        count, failed, skips = read_results(junit)
    return count, failed, skips, seconds, code == 0


def run_build(build, groups, jobs, scale):
    """Runs all groups in one build; returns (count, summary lines, problems)."""
    folder = os.path.join(SOURCE, "build", build)
    total, lines, problems = Count(), [], []
    for name, labels, budget_s in groups:
        budget_s *= scale
        print(f"\n=== {build}: {name} (budget {budget_s} s)", flush=True)
        at_once = 2 * jobs if name in WAITING and scale == 1 else jobs
        count, failed, skips, seconds, ok = run_ctest(folder, labels, at_once, 2 * budget_s)
        if not ok and count.failed == 0:
            count.failed = 1
            problems.append(f"{build}: {name}: ctest did not end well")
        if seconds > budget_s:
            count.failed += 1
            problems.append(f"{build}: {name} took {seconds:.0f} s, its budget is {budget_s} s")
        problems += [f"{build}: {test} failed" for test in failed]
        for skip in skips:
            print(f"    {skip}")
        total.add(count)
        lines.append(f"{build:8} {name:20} {seconds:6.1f} s of {budget_s:4d} s   {count}")
    return total, lines, problems


def choose(labels, groups):
    """The groups that hold one of the labels, narrowed to those."""
    if not labels:
        return groups
    known = {label for _, group_labels, _ in groups for label in group_labels}
    wanted = set(labels.split(","))
    if wanted - known:
        raise SystemExit(f"run: unknown label {', '.join(sorted(wanted - known))}; "
                         f"known are {', '.join(sorted(known))}")
    return [(name, tuple(x for x in group_labels if x in wanted), budget)
            for name, group_labels, budget in groups if wanted & set(group_labels)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--builds", default="release,asan", help="folders below build/")
    parser.add_argument("--labels", default="", help="only these kinds, joined by commas")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--soak", action="store_true", help="the long tests instead")
    args = parser.parse_args()
    groups = choose(args.labels, SOAK if args.soak else BUDGETS)

    total, lines, problems = Count(), [], []
    for build in args.builds.split(","):
        scale = 1
        mine = groups
        if build != "release":
            scale = SANITIZED_SCALE
            mine = [g for g in groups if g[0] not in NOT_SANITIZED]
        count, more, bad = run_build(build, mine, args.jobs, scale)
        total.add(count)
        lines += more
        problems += bad

    print("\n=== summary (budgets are doubled where sanitizers run)")
    print("\n".join(lines))
    for problem in problems:
        print(f"PROBLEM {problem}")
    if total.total() == 0:
        print("PROBLEM no test ran")
    print(total, flush=True)
    return 1 if problems or total.failed or total.passed == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
