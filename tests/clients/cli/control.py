#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands for operators: reload and drain."""
import os
import subprocess
import unittest

from harness import ATTACH, OK, REFUSED, USAGE, Broker, run, wait_for


class Control(unittest.TestCase):
    def setUp(self):
        self.broker = Broker("[broker]\nround = 8")

    def tearDown(self):
        self.broker.close()

    def edit(self, old, new):
        with open(self.broker.config, encoding="utf-8") as f:
            text = f.read()
        self.assertIn(old, text)
        with open(self.broker.config, "w", encoding="utf-8") as f:
            f.write(text.replace(old, new))

    def log(self):
        with open(os.path.join(self.broker.folder, "broker.log"), encoding="utf-8") as f:
            return f.read()

    def test_reload(self):
        self.edit("round = 8", "round = 9\nworkers = 2")
        done = self.broker.run("reload")
        self.assertEqual((done.returncode, done.stderr), (OK, b""))
        self.assertEqual(done.stdout.decode().splitlines(), [
            "broker.workers = 2: needs a restart, 1 stays until then",
            "broker.round = 9 (was 8)",
            "1 changed, 1 needs a restart"])
        done = self.broker.run("reload", "-q")
        self.assertEqual((done.returncode, done.stdout), (OK, b""))

    def test_reload_of_nonsense(self):
        self.edit("round = 8", "round = many")
        done = self.broker.run("reload")
        self.assertEqual(done.returncode, REFUSED)
        self.assertIn("[broker] round = many", done.stdout.decode())
        self.assertIn("nothing was changed", done.stdout.decode())
        self.assertEqual(self.broker.run("ping", "-q").returncode, OK)

    def test_usage(self):
        self.assertEqual(self.broker.run("reload", "now").returncode, USAGE)
        self.assertEqual(self.broker.run("drain", "now").returncode, USAGE)
        self.assertEqual(self.broker.run("drain", "--within", "soon").returncode, USAGE)
        self.assertEqual(self.broker.run("drain", "--within", "10000d").returncode, USAGE)
        self.assertEqual(self.broker.run("ping", "-q").returncode, OK)
        for command in ("reload", "drain"):
            done = run("-n", "shmcache-test-none", command)
            self.assertEqual(done.returncode, ATTACH)
            self.assertIn(b"there is no cache", done.stderr)

    def test_drain(self):
        # A pin is no hold.
        self.assertEqual(self.broker.run("put", "key", "--value", "1").returncode, OK)
        self.assertEqual(self.broker.run("pin", "key", "--", "true").returncode, OK)
        done = self.broker.run("drain")
        self.assertEqual((done.returncode, done.stdout), (OK, b""))
        self.assertIn(b"nothing is held", done.stderr)
        # It has ended when we return: nothing of it is there.
        self.assertEqual(self.broker.left_in_shm(), [])
        self.assertEqual(self.broker.process.wait(), 0)
        self.assertEqual(self.broker.run("drain").returncode, ATTACH)

    def test_drain_waits(self):
        # A reader that does not get on with writing its output holds what it writes.
        size = 1 << 20
        self.assertEqual(self.broker.run("put", "key", input=bytes(size)).returncode, OK)
        reader = self.broker.start_cli("get", "key", stdout=subprocess.PIPE)
        reader.stdout.read(1)
        drain = self.broker.start_cli("drain", stderr=subprocess.PIPE)
        wait_for("the drain", lambda: "event=draining" in self.log())
        done = self.broker.run("ping")
        self.assertEqual(done.returncode, ATTACH)
        self.assertIn(b"is being drained", done.stderr)
        self.assertIsNone(drain.poll())
        self.assertEqual(len(reader.stdout.read()), size - 1)
        self.assertEqual(drain.wait(), OK)
        self.assertEqual(reader.wait(), OK)
        reader.stdout.close()
        drain.stderr.close()

    def test_drain_gives_up(self):
        self.assertEqual(self.broker.run("put", "key", input=bytes(1 << 20)).returncode, OK)
        reader = self.broker.start_cli("get", "key", stdout=subprocess.PIPE)
        reader.stdout.read(1)
        done = self.broker.run("drain", "--within", "100ms")
        self.assertEqual(done.returncode, REFUSED)
        self.assertIn(f"1 by process {reader.pid}".encode(), done.stderr)
        self.assertEqual(self.broker.process.wait(), 0)
        reader.stdout.close()
        reader.wait()


if __name__ == "__main__":
    unittest.main()
