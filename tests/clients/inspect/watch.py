#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The live screen in a terminal of 80x24 and of 200x60, with keys pressed."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "cli"))
import harness  # noqa: E402

INSPECT = os.environ["SHMCACHE_INSPECT"]


class Terminal:
    """A tmux of its own, with one window that runs the inspector."""

    def __init__(self, name, columns, rows):
        self.folder = tempfile.mkdtemp(prefix="shmcache-tmux-")
        self.socket = os.path.join(self.folder, "s")
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows),
                  "-s", "w", f"exec {INSPECT} --watch --interval 100ms {name}")
        self.tmux("set-option", "-g", "remain-on-exit", "on")

    def tmux(self, *args):
        return subprocess.run(["tmux", "-S", self.socket, *args], check=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=dict(os.environ, TERM="xterm", LC_ALL="C.UTF-8")).stdout.decode()

    def screen(self):
        return self.tmux("capture-pane", "-p", "-t", "w").split("\n")

    def keys(self, *keys):
        self.tmux("send-keys", "-t", "w", *keys)

    def wait_for(self, pattern):
        harness.wait_for(f"'{pattern}' on the screen", lambda: re.search(
            pattern, "\n".join(self.screen())))

    def is_dead(self):
        return self.tmux("display-message", "-p", "-t", "w", "#{pane_dead}").strip() == "1"

    def close(self):
        subprocess.run(["tmux", "-S", self.socket, "kill-server"], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


class Watch(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.broker = harness.Broker()
        cls.loads = [harness.start(cls.broker.args("bench", "--time", "1h", "--keys", "200",
                                                   "--only", only), stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                     for only in ("put", "get")]

    @classmethod
    def tearDownClass(cls):
        for load in cls.loads:
            load.kill()
            load.wait()
        cls.broker.close()

    def look(self, columns, rows):
        terminal = Terminal(self.broker.name, columns, rows)
        self.addCleanup(terminal.close)
        terminal.wait_for(rf"{self.broker.name}: serving, process {self.broker.process.pid} runs")
        terminal.wait_for(r"put +[1-9][0-9.]* +[0-9.]+ [nu]s")
        terminal.wait_for(r"(?m)^ +\d+ +%d shmcache" % self.loads[0].pid)
        lines = terminal.screen()
        self.assertRegex(lines[1], r"^dram \[#*\.+\] ")
        self.assertTrue(all(len(line) <= columns for line in lines))
        # The keys are on the last line, whatever the size.
        self.assertIn("q quit", lines[rows - 1])
        return terminal

    def test_small(self):
        terminal = self.look(80, 24)
        for key, mark in (("r", r"REQ/S\*"), ("d", r"DEP\*"), ("l", r"P99\*"), ("h", r"KEPT\*"),
                          ("s", r"ID\*")):
            terminal.keys(key)
            terminal.wait_for(mark)
        terminal.keys("Down")
        terminal.keys("Enter")
        terminal.wait_for(r"ring \d+\.0: ")
        self.assertIn("q back", terminal.screen()[23])
        terminal.keys("q")
        terminal.wait_for("READS/S")
        terminal.keys("q")
        harness.wait_for("the end", terminal.is_dead)

    def test_large(self):
        terminal = self.look(200, 60)
        terminal.keys("h")
        terminal.wait_for(r"KEPT\*")

    def test_resized(self):
        """Down to a size for which it was not made, and up again."""
        terminal = self.look(120, 40)
        for columns, rows in ((20, 5), (1, 1), (80, 24)):
            terminal.tmux("resize-window", "-t", "w", "-x", str(columns), "-y", str(rows))
        terminal.wait_for("READS/S")
        harness.wait_for("the keys", lambda: "q quit" in terminal.screen()[23])
        self.assertFalse(terminal.is_dead())


if __name__ == "__main__":
    if not shutil.which("tmux"):
        print("there is no tmux to watch in")
        sys.exit(77)
    unittest.main(verbosity=2)
