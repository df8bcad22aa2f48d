#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""tools/tally.py: what counts as failed, and the line that it ends with."""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest

TOOLS = os.path.join(os.environ["SHMCACHE_SOURCE"], "tools")


class Tally(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        # beside a list of skips of its own
        self.script = shutil.copy(os.path.join(TOOLS, "tally.py"), self.folder)
        self.skips("# nothing\n")

    def skips(self, text):
        with open(os.path.join(self.folder, "skips"), "w") as f:
            f.write(text)

    def log(self, name, **results):
        """A build tree with a log that has these tests."""
        logs = os.path.join(self.folder, name, "meson-logs")
        os.makedirs(logs)
        with open(os.path.join(logs, "testlog.json"), "w") as f:
            for test, result in results.items():
                f.write(json.dumps({"name": f"suite / {test}", "result": result}) + "\n")
        return os.path.join(self.folder, name)

    def check(self, line, status, *args):
        done = subprocess.run([sys.executable, self.script, *args], capture_output=True, text=True)
        self.assertEqual((done.stdout.splitlines()[-1:], done.returncode), ([line], status),
                         done.stdout + done.stderr)

    def test_sum(self):
        one = self.log("one", a="OK", b="EXPECTEDFAIL")
        two = self.log("two", a="OK", b="SKIP")
        self.check("3 passed, 0 failed, 1 skipped", 0, f"one={one}:0", f"two={two}:0")

    def test_failures(self):
        for result in ("FAIL", "ERROR", "TIMEOUT", "INTERRUPT", "UNEXPECTEDPASS", "new"):
            build = self.log(result, a="OK", b=result)
            self.check("1 passed, 1 failed, 0 skipped", 1, f"x={build}:1")

    def test_broken_build(self):
        self.check("0 passed, 1 failed, 0 skipped", 1, f"x={self.folder}/none:1")

    def test_status_without_a_failure(self):
        build = self.log("x", a="OK")
        self.check("1 passed, 1 failed, 0 skipped", 1, f"x={build}:2")

    def test_nothing_run(self):
        self.check("0 passed, 1 failed, 0 skipped", 1, f"x={self.log('x')}:0")

    def test_strict(self):
        build = self.log("x", a="OK", b="SKIP")
        self.check("1 passed, 1 failed, 0 skipped", 1, "--strict", f"x={build}:0")
        self.skips("b: there is no such device\n")
        self.check("1 passed, 0 failed, 1 skipped", 0, "--strict", f"x={build}:0")

    def test_skip_without_a_reason(self):
        self.skips("b\n")
        done = subprocess.run([sys.executable, self.script, "--strict"], capture_output=True)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(b"no reason in 'b'", done.stderr)


if __name__ == "__main__":
    unittest.main()
