#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the README and the manual page say, held against the programs."""
import os
import re
import socket
import shlex
import shutil
import subprocess
import tempfile
import unittest

from harness import OK, Broker, run, wait_for

SOURCE = os.environ["SHMCACHE_SOURCE"]
LIBRARY = os.environ["SHMCACHE_LIBRARY"]
CC = shlex.split(os.environ["SHMCACHE_CC"])


def read(*path):
    with open(os.path.join(SOURCE, *path), encoding="utf-8") as f:
        return f.read()


def commands():
    """The commands that --help lists."""
    text = run("--help").stdout.decode().split("Commands:\n")[1].split("\n\n")[0]
    return [line.split()[0] for line in text.splitlines()]


def long_options(*args):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", run(*args).stdout.decode()))


class Readme(unittest.TestCase):
    text = read("README.md")

    def test_links(self):
        links = re.findall(r"\]\(([^)]+)\)", self.text)
        self.assertGreater(len(links), 5)
        for link in links:
            path, _, anchor = link.partition("#")
            self.assertTrue(os.path.exists(os.path.join(SOURCE, path)), link)
            if anchor:
                headings = re.findall(r"^#+ (.*)$", read(path), re.M)
                self.assertIn(anchor, [self.anchor(h) for h in headings], link)

    @staticmethod
    def anchor(heading):
        """As those who show Markdown name a heading."""
        return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")

    def test_example(self):
        """The program in the README is compiled as a stranger would, and does what it says."""
        program = re.search(r"```c\n(.*?)```", self.text, re.S).group(1)
        broker = Broker()
        with tempfile.TemporaryDirectory() as folder:
            source, binary = os.path.join(folder, "example.c"), os.path.join(folder, "example")
            with open(source, "w") as f:
                f.write(program)
            done = subprocess.run(
                [*CC, "-std=c11", "-Wall", "-Wextra", "-Werror", "-o", binary, source,
                 "-I" + os.path.join(SOURCE, "clients"), LIBRARY,
                 "-Wl,-rpath," + os.path.dirname(LIBRARY)], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            done = subprocess.run([binary, broker.name], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (0, "hello\n4194304 bytes in place\n"),
                             done.stderr)
            done = subprocess.run([binary, broker.name + "-not"], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertIn(broker.name + "-not", done.stderr)
        broker.close()

    def test_configuration(self):
        """The broker takes the configuration in the README."""
        text = re.search(r"```ini\n(.*?)```", self.text, re.S).group(1)
        # the group is an example; this machine need not have it
        text = text.replace("group.inference", "gid.12345").replace("8GiB", "8MiB")
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as f:
            f.write(text)
            f.flush()
            done = subprocess.run([os.environ["SHMCACHED"], "--check-config", "-c", f.name],
                                  capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("kv0", done.stdout)
        self.assertIn("gid.12345", done.stdout)

    def test_commands(self):
        known = set(commands()) | {"COMMAND"}
        text = "".join(re.findall(r"```sh\n(.*?)```", self.text, re.S))
        used = re.findall(r"^(?:.*[|] )?shmcache (?:-n \S+ |-\S+ )*([a-zA-Z]+)", text, re.M)
        self.assertGreater(len(used), 4)
        self.assertEqual(set(used) - known, set())

    def test_two_brokers(self):
        """What one has, the other fetches and keeps."""
        text = re.search(r"```sh\n(set -- .*?)```", self.text, re.S).group(1)
        self.assertLessEqual(len(text.splitlines()), 6)
        names = [f"doc-{os.getpid()}-{i}" for i in "ab"]
        with socket.socket() as a, socket.socket() as b:
            for s in (a, b):
                s.bind(("127.0.0.1", 0))
            ports = [s.getsockname()[1] for s in (a, b)]
        for name, port, was, letter in zip(names, ports, ("7401", "7402"), "ab"):
            text = text.replace(was, str(port)).replace(f"-n {letter} ", f"-n {name} ")
            text = text.replace(f"cache.name={letter} ", f"cache.name={name} -o cache.persist=off ")
        # no more than it takes
        text = text.replace("1GiB", "16MiB").replace("sleep 1", "sleep .1")
        path = ":".join(os.path.dirname(os.environ[n]) for n in ("SHMCACHE", "SHMCACHED"))
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(os.path.join(SOURCE, "README.md"), folder)
            done = subprocess.run(
                ["bash", "-ec", "exec 2> log; trap 'kill $(jobs -p); wait' EXIT\n" + text], cwd=folder,
                env={**os.environ, "PATH": path + ":" + os.environ["PATH"]}, text=True,
                stdout=subprocess.PIPE, timeout=60)
            with open(os.path.join(folder, "log")) as f:
                log = f.read()
        self.assertEqual(done.stdout, "a hit at b\n", log)

    def test_several_hosts(self):
        """What operations.md says of certificates and configuration, on one machine."""
        page = read("docs", "operations.md").split("\n## Several hosts\n")[1].split("\n## ")[0]
        lines = re.search(r"```sh\n(.*?)```", page, re.S).group(1)
        conf = re.search(r"```ini\n(.*?)```", page, re.S).group(1)
        with socket.socket() as a, socket.socket() as b:
            for s in (a, b):
                s.bind(("127.0.0.1", 0))
            ports = [s.getsockname()[1] for s in (a, b)]
        for i, port in enumerate(ports):
            conf = conf.replace(f"10.0.0.{i + 1}:7400", f"127.0.0.1:{port}")
        path = os.path.dirname(os.environ["SHMCACHE"])
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["bash", "-ec", lines], cwd=folder, check=True, stdout=subprocess.DEVNULL,
                           env={**os.environ, "PATH": path + ":" + os.environ["PATH"]})
            conf = conf.replace("/etc/shmcache/", os.path.join(folder, "pki", ""))
            mine = {"a": conf, "b": conf.replace(f"listen = 127.0.0.1:{ports[0]}",
                                                 f"listen = 127.0.0.1:{ports[1]}")
                    .replace("name = a\n", "name = b\n").replace("/a.", "/b.")}
            brokers = {}
            for name, text in mine.items():
                self.assertIn(f"name = {name}\n", text)
                brokers[name] = Broker(text[text.index("[remote]"):])
            self.assertEqual(brokers["a"].run("put", "key", "--value", "mine").returncode, OK)
            wait_for("the fetch", lambda: brokers["b"].run("get", "--fetch", "key").stdout == b"mine")
            for broker in brokers.values():
                broker.close()

    def test_layout(self):
        """Every folder that is built is described, and every one described is there."""
        rows = re.findall(r"^\| ((?:`\w+/`(?:, )?)+) \|", self.text, re.M)
        folders = set(re.findall(r"`(\w+)/`", " ".join(rows)))
        built = set(re.findall(r"subdir\('(\w+)['/]", read("meson.build")))
        self.assertGreater(len(built), 4)
        self.assertEqual(built - folders, set())
        self.assertEqual([f for f in folders if not os.path.isdir(os.path.join(SOURCE, f))], [])


class ManualPage(unittest.TestCase):
    path = os.path.join(SOURCE, "docs", "man", "shmcache.1")
    text = read("docs", "man", "shmcache.1").replace("\\-", "-")
    words = re.sub(r"\\f.", " ", text)

    def test_format(self):
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww", self.path], capture_output=True)
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_version(self):
        self.assertIn('"' + run("--version").stdout.decode().strip() + '"', self.text)

    def test_commands(self):
        for command in commands():
            self.assertRegex(self.text, rf"(?m)^(\\fB|\.B ){command}\b")

    def test_options(self):
        helped = long_options("--help")
        for command in commands():
            helped |= long_options(command, "--help")
        written = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", self.words))
        self.assertEqual(written, helped)

    def test_statuses(self):
        written = re.findall(r"(?m)^\.B (\d)$", self.text)
        self.assertEqual(written, ["0", "1", "2", "3", "4", "5"])


if __name__ == "__main__":
    unittest.main()
