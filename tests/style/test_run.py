#!/usr/bin/python3
"""The test runner counts what happened: of programs, unit cases and pytest cases."""
import os
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))

import run  # noqa: E402


class CountOutput(unittest.TestCase):
    def check(self, output, ok, passed, failed, skipped):
        count = run.count_output(output, ok)
        self.assertEqual((count.passed, count.failed, count.skipped), (passed, failed, skipped))

    def test_criterion(self):
        text = "[\x1b[0;34m====\x1b[0m] Synthesis: Tested: 8 | Passing: 5 | Failing: 2 | Crashing: 1 "
        self.check(text, False, 5, 3, 0)

    def test_criterion_lied_about_by_its_status(self):
        self.check("[====] Synthesis: Tested: 8 | Passing: 8 | Failing: 0 | Crashing: 0", False, 8, 1, 0)

    def test_pytest(self):
        self.check("=== 2 failed, 3 passed, 4 skipped, 1 error in 12.31s (0:00:12) ===", False, 3, 3, 4)

    def test_pytest_all_skipped(self):
        self.check("======= 4 skipped in 0.02s =======", True, 0, 0, 4)

    def test_plain_program(self):
        self.check("fine", True, 1, 0, 0)
        self.check("", False, 0, 1, 0)

    def test_unknown_label(self):
        with self.assertRaises(SystemExit):
            run.choose("nothing", run.BUDGETS)

    def test_labels_narrow(self):
        self.assertEqual(run.choose("simulation", run.BUDGETS),
                         [("contract+simulation", ("simulation",), 240)])


if __name__ == "__main__":
    unittest.main()
