#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""run.py [--scratch DIR] [--build DIR] [AREA | AREA/NAME ...]
run.py --check | --list | --write

Has each robustness test been seen to fail? A mutant is the tree with one guarded line taken out; the
test that guards the line must fail with it. The mutants are data, tests/mutants/AREA.ini:

    [hold-fence]
    file = clients/lib/reader.h
    from = shared_compiler_fence();
    to = ;
    test = clients-race
    why = the hold is not announced before the slot is looked at again

"from" occurs exactly once in "file" and "to" takes its place, which may be nothing. Either may have
several lines, indented below the first; how lines are indented in the file does not matter.
"test" is the name of a meson test. "build" is gcc unless given, or asan, tsan, clang: the trees of
tools/test.sh. A line that begins with # in the first column is a comment.

Without options: the files that git has or would add are copied to a scratch directory (--scratch keeps
it for the next time), each test is seen to pass there, then each mutant in turn is built and its test
must fail, and must not merely run out of time. The exit status is 0 if all did.

--check only looks whether the mutants still fit the tree, and whether the table in docs/testing.md has
a row that is none of theirs; --build says where the names of the tests are (./build). --list prints that
table, --write puts it into the page.
"""
import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ.get("SHMCACHE_SOURCE", os.path.dirname(os.path.dirname(HERE)))
WANTED = ("file", "from", "to", "test", "why")
SANITIZED = {"ASAN_OPTIONS": "detect_leaks=1:exitcode=99",
             "UBSAN_OPTIONS": "halt_on_error=1:exitcode=99",
             "TSAN_OPTIONS": "halt_on_error=1:exitcode=99"}
BUILDS = {
    "gcc": ("gcc", []),
    "clang": ("clang", []),
    "asan": ("gcc", ["-Db_sanitize=address,undefined", "-Db_lundef=false"]),
    "tsan": ("gcc", ["-Db_sanitize=thread", "-Db_lundef=false"]),
}


class Mutant:
    def __init__(self, area, name, place):
        self.area, self.name, self.place = area, name, place
        self.field = {"build": "gcc"}

    def __str__(self):
        return f"{self.area}/{self.name}"

    def __getitem__(self, key):
        return self.field[key]

    def pattern(self):
        lines = [re.escape(line.strip()) for line in self["from"].split("\n")]
        return re.compile(r"[ \t]*\n[ \t]*".join(lines))


# configparser would take a "#include" among the lines of a value for a comment.
def parse(path):
    area = os.path.basename(path)[:-len(".ini")]
    mutants, key = [], None
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            text, place = line.strip(), f"{os.path.relpath(path, SOURCE)}:{number}"
            section = re.fullmatch(r"\[([\w-]+)\]", text)
            if not text or line[0] == "#":
                key = None
            elif line[0] in " \t":
                if not key:
                    sys.exit(f"{place}: continues nothing")
                mutants[-1].field[key] += "\n" + text
            elif section:
                mutants.append(Mutant(area, section[1], place))
                key = None
            else:
                key, equals, value = (part.strip() for part in line.partition("="))
                if not equals or not mutants or key not in WANTED + ("build",):
                    sys.exit(f"{place}: not a section, and no key that is known: {text}")
                mutants[-1].field[key] = value
    return mutants


def load():
    names = sorted(n for n in os.listdir(HERE) if n.endswith(".ini"))
    return [m for name in names for m in parse(os.path.join(HERE, name))]


def chosen(mutants, wanted):
    for name in wanted:
        if not any(name in (m.area, str(m)) for m in mutants):
            sys.exit(f"there is no mutant {name}")
    return [m for m in mutants if not wanted or m.area in wanted or str(m) in wanted]


# --- check -------------------------------------------------------------------------------------------

def tests_of(build):
    """The names of a build tree's tests, or None if there is no such tree."""
    try:
        with open(os.path.join(build, "meson-info", "intro-tests.json"), encoding="utf-8") as f:
            return {test["name"] for test in json.load(f)}
    except FileNotFoundError:
        return None


def fault(mutant, tests):
    """What is wrong with a mutant, or None."""
    for key in WANTED:
        if key not in mutant.field or (key != "to" and not mutant[key]):
            return f"has no '{key}'"
    if mutant["build"] not in BUILDS:
        return f"build = {mutant['build']} is none of {', '.join(BUILDS)}"
    if mutant["from"] == mutant["to"]:
        return "changes nothing"
    if "|" in mutant["why"]:
        return "has a '|' in its 'why', which is a cell of a table"
    try:
        with open(os.path.join(SOURCE, mutant["file"]), encoding="utf-8") as f:
            n = len(mutant.pattern().findall(f.read()))
    except FileNotFoundError:
        return f"there is no {mutant['file']}"
    if n != 1:
        return f"'from' occurs {n} times in {mutant['file']}"
    if tests is not None and mutant["test"] not in tests and mutant["build"] == "gcc":
        return f"there is no test {mutant['test']}"
    return None


def check(mutants, build):
    tests, seen, faults = tests_of(build), set(), []
    for m in mutants:
        text = "a second one of that name" if str(m) in seen else fault(m, tests)
        seen.add(str(m))
        if text:
            faults.append(f"{m.place}: {m}: {text}")
    return faults


# --- the page ----------------------------------------------------------------------------------------

PAGE = os.path.join(SOURCE, "docs", "testing.md")
BEGIN, END = "<!-- mutants -->\n", "<!-- end of mutants -->\n"


def row(m):
    return f"| {m} | `{m['file']}` | {m['test']} | {m['why']} |"


def table(mutants):
    return "\n".join(["| mutant | of | test | what is taken out |", "|---|---|---|---|"] +
                     [row(m) for m in mutants])


def page_parts():
    with open(PAGE, encoding="utf-8") as f:
        before, _, rest = f.read().partition(BEGIN)
    told, _, after = rest.partition(END)
    return before, told, after


def page_write(mutants):
    before, _, after = page_parts()
    with open(PAGE, "w", encoding="utf-8") as f:
        f.write(before + BEGIN + table(mutants) + "\n" + END + after)


def page_faults(mutants):
    there = set(table(mutants).splitlines())
    return [f"docs/testing.md: none of the mutants: {line}; run.py --write puts it right"
            for line in page_parts()[1].splitlines() if line not in there]


# --- run ---------------------------------------------------------------------------------------------

def copy_tree(to):
    """What git knows of the tree. Files that are as they were keep their times, for the next build."""
    names = subprocess.run(["git", "-C", SOURCE, "ls-files", "-coz", "--exclude-standard"], check=True,
                           capture_output=True, text=True).stdout.split("\0")
    for name in filter(None, names):
        source, target = os.path.join(SOURCE, name), os.path.join(to, name)
        if not os.path.exists(source):
            continue
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if not os.path.exists(target) or read(source) != read(target):
            shutil.copy(source, target)


def read(path):
    with open(path, "rb") as f:
        return f.read()


class Bench:
    """The copy of the tree, and its builds."""

    def __init__(self, scratch):
        self.tree = os.path.join(scratch, "tree")
        self.scratch = scratch
        copy_tree(self.tree)

    def build(self, kind):
        path = os.path.join(self.scratch, "build-" + kind)
        if not os.path.exists(os.path.join(path, "build.ninja")):
            compiler, options = BUILDS[kind]
            subprocess.run(["meson", "setup", path, self.tree] + options, check=True,
                           stdout=subprocess.DEVNULL, env=dict(os.environ, CC=compiler))
        return path

    def test(self, kind, name):
        """(result, output) of one test, brought up to date; the result is meson's word for it."""
        path = self.build(kind)
        log = os.path.join(path, "meson-logs", "testlog.json")
        if os.path.exists(log):
            os.unlink(log)
        r = subprocess.run(["meson", "test", "-C", path, "--num-processes", "1", name],
                           capture_output=True, text=True, check=False,
                           env=dict(os.environ, **SANITIZED))
        try:
            with open(log, encoding="utf-8") as f:
                record = json.loads(f.readline())
        except (FileNotFoundError, ValueError):
            return "no result", r.stdout[-4000:] + r.stderr
        return record["result"], record.get("stdout", "") + record.get("stderr", "")

    def run(self, mutant):
        path = os.path.join(self.tree, mutant["file"])
        whole = read(path).decode()
        changed, n = mutant.pattern().subn(lambda _: mutant["to"], whole)
        if n != 1:
            return "no result", "the tree has changed"
        try:
            with open(path, "w", encoding="utf-8") as f:
                f.write(changed)
            return self.test(mutant["build"], mutant["test"])
        finally:
            with open(path, "w", encoding="utf-8") as f:
                f.write(whole)


def last_lines(text):
    return "".join(f"    {line}\n" for line in text.strip().splitlines()[-12:])


def run(mutants, scratch):
    bench, n_bad = Bench(scratch), 0
    for kind, name in sorted({(m["build"], m["test"]) for m in mutants}):
        result, output = bench.test(kind, name)
        if result != "OK":
            print(f"{name} ({kind}): {result} without any mutant\n{last_lines(output)}", end="")
            return 1
    for m in mutants:
        result, output = bench.run(m)
        is_seen = result in ("FAIL", "ERROR")
        n_bad += not is_seen
        print(f"{'seen' if is_seen else 'NOT SEEN'}: {m} by {m['test']}: {result}", flush=True)
        if not is_seen:
            print(last_lines(output), end="", flush=True)
    print(f"{len(mutants)} mutants, {len(mutants) - n_bad} seen")
    return 1 if n_bad else 0


def main():
    parser = argparse.ArgumentParser(usage=__doc__, add_help=True)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--scratch")
    parser.add_argument("--build", default=os.path.join(SOURCE, "build"))
    parser.add_argument("wanted", nargs="*")
    args = parser.parse_args()
    mutants = load()
    faults = check(mutants, args.build)
    if args.check:
        faults += page_faults(mutants)
    print("\n".join(faults), end="\n" if faults else "")
    if faults:
        return 1
    mutants = chosen(mutants, args.wanted)
    if args.list:
        print(table(mutants))
    elif args.write:
        page_write(mutants)
    elif not args.check:
        if args.scratch:
            os.makedirs(args.scratch, exist_ok=True)
            return run(mutants, args.scratch)
        with tempfile.TemporaryDirectory() as scratch:
            return run(mutants, scratch)
    return 0


if __name__ == "__main__":
    sys.exit(main())
