#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a service manager is told: ready when it serves, alive while it works, stopping at the end."""
import os
import socket
import tempfile
import unittest

from harness import OK, Broker


class Notify(unittest.TestCase):
    def told(self, address):
        with tempfile.TemporaryDirectory(prefix="shmcache-notify-") as folder:
            name = address or os.path.join(folder, "socket")
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
                s.settimeout(60)
                s.bind("\0" + name[1:] if name[0] == "@" else name)
                os.environ["NOTIFY_SOCKET"] = name
                try:
                    broker = Broker()
                finally:
                    del os.environ["NOTIFY_SOCKET"]
                try:
                    first = s.recv(100)
                    self.assertEqual(broker.run("ping", "-q").returncode, OK)
                    alive = s.recv(100)
                    broker.process.terminate()
                    last = s.recv(100)
                    while last == b"WATCHDOG=1":
                        last = s.recv(100)
                    self.assertEqual(broker.process.wait(), 0)
                finally:
                    broker.close()
        return first, alive, last

    def test_path(self):
        self.assertEqual(self.told(None), (b"READY=1", b"WATCHDOG=1", b"STOPPING=1"))

    def test_abstract(self):
        self.assertEqual(self.told(f"@shmcache-notify-{os.getpid()}"),
                         (b"READY=1", b"WATCHDOG=1", b"STOPPING=1"))

    def test_nonsense(self):
        for name in ("", "/", "relative", "/" + "x" * 200, "/none/there"):
            os.environ["NOTIFY_SOCKET"] = name
            try:
                broker = Broker()
            finally:
                del os.environ["NOTIFY_SOCKET"]
            self.assertEqual(broker.stop(), 0)
            broker.close()


if __name__ == "__main__":
    unittest.main()
