# SPDX-License-Identifier: Apache-2.0
"""A private broker and the command line, for the tests in this folder.

SHMCACHE and SHMCACHED name the two programs. Each broker has a name and a folder of its own and ends
with this process: at exit, on SIGTERM, and, by the kernel's hand, even after a SIGKILL.
"""
import atexit
import ctypes
import glob
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

CLI = os.environ["SHMCACHE"]
BROKER = os.environ["SHMCACHED"]
# Sanitizers and valgrind slow all of it down alike.
PATIENCE = 60

OK, MISS, USAGE, ATTACH, REFUSED, ERROR = range(6)

_numbers = itertools.count()
_libc = ctypes.CDLL(None)
_started = []


def _die_with_parent():
    _libc.prctl(1, signal.SIGKILL)


def start(args, **kwargs):
    """A child that does not outlive this process."""
    return subprocess.Popen(args, preexec_fn=_die_with_parent, **kwargs)


class Broker:
    """One shmcached with a configuration of its own. `config` holds whole lines, sections and all."""

    def __init__(self, config="", dram="64MiB", persist=False):
        self.name = f"cli-{os.getpid()}-{next(_numbers)}"
        self.folder = tempfile.mkdtemp(prefix="shmcache-cli-")
        self.process = None
        self.config = os.path.join(self.folder, "broker.conf")
        self.log_file = os.path.join(self.folder, "broker.log")
        with open(self.config, "w") as f:
            f.write(f"[cache]\nname = {self.name}\npersist = {'on' if persist else 'off'}\n"
                    f"[dram]\nsize = {dram}\n{config}\n")
        _started.append(self)
        self.start()

    def start(self, ready=True):
        with open(self.log_file, "ab") as f:
            self.process = start([BROKER, "-c", self.config], stdin=subprocess.DEVNULL,
                                 stdout=f, stderr=f)
        end = time.monotonic() + PATIENCE
        # Whoever has no role here is turned away, by a broker that is up.
        while self.run("ping", "-q").returncode not in (OK, REFUSED):
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit(f"the broker did not come up:\n{self.log()}")
            time.sleep(0.01)

    def stop(self, number=signal.SIGTERM):
        """End it by a signal; its wait status as subprocess tells it."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def log(self):
        with open(self.log_file) as f:
            return f.read()

    def left_in_shm(self):
        return glob.glob(f"/dev/shm/{self.name}") + glob.glob(f"/dev/shm/{self.name}.*")

    def close(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        for path in self.left_in_shm():
            os.unlink(path)
        shutil.rmtree(self.folder, ignore_errors=True)

    def args(self, *args):
        return [CLI, "-n", self.name, *args]

    def run(self, *args, **kwargs):
        return run(*self.args(*args)[1:], **kwargs)

    def json(self, *args, **kwargs):
        """Standard output as JSON; the run has to succeed."""
        done = self.run(*args, "--json", **kwargs)
        if done.returncode:
            raise AssertionError(f"{args}: exit status {done.returncode}: {done.stderr}")
        return json.loads(done.stdout)

    def start_cli(self, *args, **kwargs):
        return start(self.args(*args), **kwargs)


def run(*args, input=b"", env=None, stdin=None, **kwargs):
    """The command line, once. Its output as bytes."""
    source = {"stdin": stdin} if stdin is not None else {"input": input}
    environ = {k: v for k, v in os.environ.items() if k != "SHMCACHE_NAME"}
    environ.update(env or {})
    kwargs.setdefault("stdout", subprocess.PIPE)
    kwargs.setdefault("stderr", subprocess.PIPE)
    return subprocess.run([CLI, *args], timeout=PATIENCE, env=environ, **source, **kwargs)


def wait_for(what, condition):
    """Until condition() is true, or fail."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.01)


@atexit.register
def _close_all():
    for broker in _started:
        broker.close()


signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(1))
