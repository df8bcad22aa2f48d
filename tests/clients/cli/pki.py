#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The command that makes certificates."""
import os
import shutil
import stat
import tempfile
import unittest

from harness import ERROR, OK, REFUSED, USAGE, run


class Pki(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="shmcache-pki-")
        self.files = os.path.join(self.folder, "pki")

    def tearDown(self):
        shutil.rmtree(self.folder)

    def pki(self, *arguments):
        return run("pki", "--directory", self.files, *arguments)

    def test_files(self):
        done = self.pki("--cluster", "west", "init-ca")
        self.assertEqual((done.returncode, done.stderr), (OK, b""))
        done = self.pki("member", "kv0")
        self.assertEqual((done.returncode, done.stderr), (OK, b""))
        self.assertEqual(done.stdout.decode().split(),
                         [os.path.join(self.files, name) for name in ("kv0.key", "kv0.pem")])
        self.assertEqual(sorted(os.listdir(self.files)),
                         ["ca.key", "ca.pem", "kv0.key", "kv0.pem"])
        for name in os.listdir(self.files):
            mode = os.stat(os.path.join(self.files, name)).st_mode
            self.assertEqual(stat.S_IMODE(mode), 0o600)

    def test_writes_nothing_over(self):
        self.assertEqual(self.pki("--cluster", "west", "init-ca").returncode, OK)
        self.assertEqual(self.pki("member", "kv0").returncode, OK)
        before = {}
        for name in os.listdir(self.files):
            with open(os.path.join(self.files, name), "rb") as f:
                before[name] = f.read()
        self.assertEqual(self.pki("--cluster", "west", "init-ca").returncode, REFUSED)
        done = self.pki("member", "kv0")
        self.assertEqual(done.returncode, REFUSED)
        self.assertIn("is there already", done.stderr.decode())
        for name, content in before.items():
            with open(os.path.join(self.files, name), "rb") as f:
                self.assertEqual(f.read(), content)
        # Nor half of a pair.
        os.unlink(os.path.join(self.files, "kv0.key"))
        self.assertEqual(self.pki("member", "kv0").returncode, REFUSED)
        self.assertFalse(os.path.exists(os.path.join(self.files, "kv0.key")))
        os.unlink(os.path.join(self.files, "ca.pem"))
        self.assertEqual(self.pki("--cluster", "west", "init-ca").returncode, REFUSED)
        with open(os.path.join(self.files, "ca.key"), "rb") as f:
            self.assertEqual(f.read(), before["ca.key"])

    def test_usage(self):
        self.assertEqual(self.pki("init-ca").returncode, USAGE)
        self.assertEqual(self.pki("--cluster", "../up", "init-ca").returncode, USAGE)
        self.assertEqual(self.pki("member").returncode, USAGE)
        self.assertEqual(self.pki("member", "a/b").returncode, USAGE)
        self.assertEqual(self.pki("member", "ca").returncode, USAGE)
        # What a broker takes for no name, and a certificate that is over as it is made.
        for bad in ("a.b", "a" * 49):
            self.assertEqual(self.pki("member", bad).returncode, USAGE)
            self.assertEqual(self.pki("--cluster", bad, "init-ca").returncode, USAGE)
        self.assertEqual(self.pki("--days", "0", "--cluster", "west", "init-ca").returncode, USAGE)
        self.assertEqual(self.pki("renew").returncode, USAGE)
        self.assertFalse(os.path.exists(self.files))
        done = self.pki("member", "kv0")
        self.assertEqual(done.returncode, ERROR)
        self.assertIn("init-ca", done.stderr.decode())


if __name__ == "__main__":
    unittest.main()
