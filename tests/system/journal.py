#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The log of a whole broker: to standard error or the journal, and what happens often is counted.

A stream socket of the test's own stands for the journal's, as systemd gives it to a service: it is the
standard error, and JOURNAL_STREAM names it.
"""
import os
import re
import signal
import socket
import subprocess
import threading
import time
import unittest

import harness

# Of sd-daemon: error, warning, info, debug.
PRIORITY = {"error": 3, "warning": 4, "info": 6, "debug": 7}


class Logged:
    """A broker whose log goes into a socket, all of which is read."""

    def __init__(self, target, stream=None, level="info"):
        self.read_end, self.write_end = socket.socketpair()
        self.text, self.changed = b"", threading.Condition()
        own = os.fstat(self.write_end.fileno())
        os.environ["JOURNAL_STREAM"] = stream or f"{own.st_dev}:{own.st_ino}"
        try:
            # The harness logs to a file: what it has started is started again.
            self.broker = harness.Broker(f"[log]\ntarget = {target}\nlevel = {level}\n")
            self.broker.stop()
            self.broker.process = harness.start(
                [harness.BROKER, "-c", self.broker.config], stdin=subprocess.DEVNULL,
                stderr=self.write_end)
        finally:
            del os.environ["JOURNAL_STREAM"]
        self.write_end.close()
        threading.Thread(target=self.read, daemon=True).start()
        self.wait("event=serving")

    def read(self):
        while True:
            got = self.read_end.recv(4096)
            with self.changed:
                self.text += got
                self.changed.notify()
            if not got:
                return

    def lines(self):
        with self.changed:
            return self.text.decode().splitlines()

    def wait(self, what):
        def there():
            return any(re.search(what, line) for line in self.text.decode().splitlines())
        with self.changed:
            if not self.changed.wait_for(there, harness.PATIENCE):
                raise AssertionError(f"no {what} in {self.text.decode()}")

    def close(self):
        self.broker.close()
        self.read_end.close()


class Journal(unittest.TestCase):
    def test_priorities(self):
        """One line an event, key=value, behind the priority that the journal takes from it."""
        logged = Logged("journal", level="debug")
        self.assertEqual(logged.broker.run("put", "a", "--value", "1").returncode, harness.OK)
        self.assertEqual(logged.broker.run("reload").returncode, harness.OK)
        logged.broker.process.send_signal(signal.SIGTERM)
        logged.wait("event=stopped")
        seen = set()
        for line in logged.lines():
            m = re.fullmatch(r'<(\d)>level=(\w+) event=([\w-]+)( [\w.-]+=(?:"[^"]*"|[^ "]*))*', line)
            self.assertTrue(m, line)
            self.assertEqual(int(m[1]), PRIORITY[m[2]], line)
            seen.add((m[2], m[3]))
        self.assertLessEqual({("info", "serving"), ("debug", "attach"), ("info", "reloaded"),
                              ("info", "stopped")}, seen)
        logged.close()

    def test_plain(self):
        """No journal reads there, or none was asked for: the same lines, without priorities."""
        for target, stream in (("journal", "1:2"), ("stderr", None)):
            logged = Logged(target, stream)
            for line in logged.lines():
                self.assertTrue(line.startswith("level="), line)
            logged.close()

    def test_often(self):
        """What is refused a thousand times makes a few lines, and the counts tell of the others."""
        logged = Logged("stderr")
        n, begin = 1000, time.monotonic()
        for _ in range(n):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
                s.connect(f"/dev/shm/{logged.broker.name}.sock")
                s.send(b"nonsense")
                # Until it was thought of.
                s.settimeout(harness.PATIENCE)
                try:
                    s.recv(100)
                except ConnectionResetError:
                    pass
        seconds = time.monotonic() - begin + 2

        # A count comes when its second is over.
        def counted():
            told = 0
            for line in logged.lines():
                if "event=attach-refused" in line:
                    m = re.search(r"repeated=(\d+) suppressed=(\d+)", line)
                    told += int(m[1]) + int(m[2]) if m else 1
            return told
        harness.wait_for("the counts", lambda: counted() >= n)
        self.assertEqual(counted(), n)
        refused = [line for line in logged.lines() if "event=attach-refused" in line]
        # Ten lines and a count in each second that there was one in.
        self.assertLess(len(refused), 11 * seconds)
        self.assertTrue(any("repeated=" in line for line in refused))
        logged.close()

    def test_no_line_per_request(self):
        logged = Logged("stderr", level="debug")
        before = len(logged.lines())
        done = logged.broker.run("bench", "--keys", "100", "--time", "300ms")
        self.assertEqual(done.returncode, harness.OK, done.stderr)
        requests = logged.broker.json("stats", "shmcache_submissions_total")
        self.assertGreater(requests["shmcache_submissions_total"], 100)
        self.assertLess(len(logged.lines()) - before, 20, logged.lines())
        logged.close()


if __name__ == "__main__":
    unittest.main()
