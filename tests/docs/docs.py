#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs.py: what the pages say against what the headers say, and the pages against each other.

  docs.py protocol   sizes, offsets and numbers of docs/protocol.md; counters and events of
                     docs/operations.md
  docs.py links      links between the pages, and to files of the tree
  docs.py man        man pages render without a warning

A page that lies is worse than none, and nobody reads a page again because a header has changed. So
the tables are parsed here, and a C program that includes the headers says what is true.
"""
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

SOURCE = os.environ.get("SHMCACHE_SOURCE", os.path.join(os.path.dirname(__file__), "..", ".."))
SKIP = 77
findings = []


def finding(text):
    findings.append(text)


def read(path):
    with open(os.path.join(SOURCE, path), encoding="utf-8") as f:
        return f.read()


def rows(lines):
    """The cells of a table's rows, its head and ruler included."""
    return [[c.strip() for c in line.strip().strip("|").split("|")] for line in lines]


def tables(page):
    """(heading before it, rows) of each table of a page."""
    heading, table, out = "", [], []
    for line in read(page).splitlines() + [""]:
        if line.startswith("|"):
            table.append(line)
            continue
        if table:
            out.append((heading, rows(table)))
            table = []
        if line.startswith("#"):
            heading = line.lstrip("#").strip()
    return out


def run_c(body):
    """What a program with the headers and that main() prints."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    with tempfile.TemporaryDirectory() as d:
        source, program = os.path.join(d, "t.c"), os.path.join(d, "t")
        with open(source, "w", encoding="utf-8") as f:
            f.write('#include <stdio.h>\n#include "ipc/abi.h"\n#include "ipc/wire.h"\n#include "ipc/events.h"\n'
                    '#include "ipc/submission.h"\nint main(void)\n{\n%s\treturn 0;\n}\n' % body)
        r = subprocess.run(compiler + ["-std=c11", "-D_GNU_SOURCE", "-I", SOURCE, "-o", program,
                                       source], capture_output=True, text=True)
        if r.returncode:
            # A name on the page that no header knows ends here.
            finding("the tables' names do not compile:\n" + r.stderr)
            return []
        return subprocess.run([program], capture_output=True, text=True,
                              check=True).stdout.splitlines()


# --- structs -----------------------------------------------------------------------------------

STRUCTS = ("abi_plane abi_worker abi_histogram abi_session abi_index abi_bucket abi_record abi_tail "
           "abi_hints abi_submission abi_completion abi_lane_request abi_lane_response wire_head wire_hello "
           "wire_welcome wire_refused wire_lane_open wire_lane wire_control wire_told "
           "wire_peers wire_peer wire_hand_over wire_subscribe wire_events wire_wait wire_ready events_head").split()


def check_structs(page):
    said, body, seen = [], "", set()
    for heading, table in page:
        m = re.fullmatch(r"struct (\w+), (\d+) bytes", heading)
        if not m or table[0][:3] != ["offset", "bytes", "field"] or m[1] in seen:
            continue
        name, size, end = m[1], int(m[2]), 0
        seen.add(name)
        said.append("%s %d" % (name, size))
        body += '\tprintf("%s %%zu\\n", sizeof(struct %s));\n' % (name, name)
        for off, n, field, *_ in table[2:]:
            if int(off) != end:
                finding("struct %s: bytes %d to %s are not told" % (name, end, off))
            if n == "-":  # a flexible array member
                continue
            end = int(off) + int(n)
            if field == "free":
                continue
            field = field.strip("`")
            said.append("%s.%s %s %s" % (name, field, off, n))
            body += ('\tprintf("%s.%s %%zu %%zu\\n", offsetof(struct %s, %s), '
                     "sizeof(((struct %s *)0)->%s));\n" % (name, field, name, field, name, field))
        if end != size:
            finding("struct %s: its rows end at %d, its size is %d" % (name, end, size))
    for name in STRUCTS:
        if name not in seen:
            finding("protocol.md does not tell of struct %s" % name)
    return said, body


# --- numbers -----------------------------------------------------------------------------------

ENUMS = {  # head of the table: prefix, header
    "operation": ("ABI_OP_", "abi.h"),
    "status": ("ABI_STATUS_", "abi.h"),
    "fault": ("ABI_FAULT_", "abi.h"),
    "state": ("ABI_STATE_", "abi.h"),
    "session state": ("ABI_SESSION_", "abi.h"),
    "tier": ("ABI_TIER_", "abi.h"),
    "miss": ("ABI_MISS_", "abi.h"),
    "fetch miss": ("ABI_FETCH_", "abi.h"),
    "write-back": ("ABI_WRITE_BACK_", "abi.h"),
    "event": ("EVENT_", "events.h"),
    "message": ("WIRE_", "wire.h"),
    "refusal": ("WIRE_REFUSAL_", "wire.h"),
    "role": ("WIRE_ROLE_", "wire.h"),
    "command": ("WIRE_COMMAND_", "wire.h"),
    "outcome": ("WIRE_OUTCOME_", "wire.h"),
    "peer state": ("WIRE_PEER_", "wire.h"),
}


def names_of(prefix, header):
    """The members of an enum by their explicit numbers, which are the protocol."""
    text = read("ipc/" + header)
    if prefix == "WIRE_":
        text = re.search(r"enum wire_type \{(.*?)\};", text, re.S)[1]
    return {n for n in re.findall(r"^\s*%s(\w+) = \d+,?" % prefix, text, re.M)}


def check_numbers(page):
    said, body, seen = [], "", set()
    for _, table in page:
        head = table[0][0]
        if head not in ENUMS or len(table[0]) < 2 or table[0][1] != "number":
            continue
        prefix, header = ENUMS[head]
        seen.add(head)
        there = set()
        for name, number, *_ in table[2:]:
            name = name.strip("`")
            there.add(name)
            said.append("%s%s %s" % (prefix, name, number))
            body += '\tprintf("%s%s %%d\\n", (int)%s%s);\n' % (prefix, name, prefix, name)
        for name in sorted(names_of(prefix, header) - there):
            finding("protocol.md does not tell of %s%s" % (prefix, name))
    for head in ENUMS:
        if head not in seen:
            finding('protocol.md has no table of each "%s" and its number' % head)
    return said, body


def check_constants():
    """Numbers in running text, found by what stands around them."""
    text = " ".join(read("docs/protocol.md").split())
    said, body = [], ""
    for pattern, expression in (
            (r"NAME, 1 to (\d+) characters", "ABI_NAME_MAX"),
            (r"Keys have 1 to (\d+) bytes", "ABI_KEY_SIZE_MAX"),
            (r"or longer than (\d+) bytes", "sizeof(union wire_message)"),
            (r"`version` \| (\d+) \|", "ABI_VERSION"),
            (r"(\d+) a64, numbered as in `ABI_GAUGES`", "sizeof(((struct abi_plane *)0)->gauge) / 8"),
            (r"(\d+) a64, numbered as in `ABI_COUNTERS`",
             "sizeof(((struct abi_worker *)0)->counter) / 8"),
            (r"(\d+) `struct abi_worker`", "ABI_THREADS"),
            (r"the key from byte (\d+) on", "ABI_KEY_INLINE")):
        m = re.search(pattern, text)
        if not m:
            finding("protocol.md does not say what matches %s" % pattern)
            continue
        said.append("%s %s" % (expression, m[1]))
        body += '\tprintf("%%s %%llu\\n", "%s", (unsigned long long)(%s));\n' % (
            expression, expression)
    return said, body


def compare(parts):
    said = [line for part, _ in parts for line in part]
    true = run_c("".join(body for _, body in parts))
    for a, b in zip(said, true):
        if a != b:
            finding("the page says %s, the headers %s" % (a, b))


def check_counters():
    for macro, kind in (("ABI_COUNTERS", "counter"), ("ABI_GAUGES", "gauge")):
        text = re.search(r"#define %s\(X\)(.*?)\n\n" % macro, read("ipc/abi.h"), re.S)[1]
        true = re.findall(r'X\(\w+, "(\w+)"', text)
        said = [row[0].strip("`") for _, t in tables("docs/operations.md")
                if t[0][0] == kind for row in t[2:]]
        for name in true:
            if name not in said:
                finding("operations.md does not tell of the %s %s" % (kind, name))
        for name in said:
            if name not in true:
                finding("operations.md tells of a %s %s, which is none" % (kind, name))
        if not findings and said != true:
            finding("operations.md: the %ss are not in the order of their numbers" % kind)


def check_events():
    """All that is logged unless somebody debugs is in the table of what it means."""
    said = {row[0] for _, t in tables("docs/operations.md") if t[0][0] == "event" for row in t[2:]}
    said = set(re.findall(r"`([a-z-]+)`", " ".join(said)))
    for folder, _, files in os.walk(os.path.join(SOURCE, "shmcache")):
        for name in files:
            if not name.endswith(".c"):
                continue
            text = read(os.path.relpath(os.path.join(folder, name), SOURCE))
            for event in re.findall(r'\blog_(?:error|warning|info)\(\s*[^,"]+,\s*"([a-z-]+)"', text):
                if event not in said:
                    finding("operations.md does not tell of the event %s" % event)


def protocol():
    page = tables("docs/protocol.md")
    compare([check_structs(page), check_numbers(page), check_constants()])
    check_counters()
    check_events()


# --- links -------------------------------------------------------------------------------------

def pages():
    docs = os.path.join(SOURCE, "docs")
    return ["README.md"] + ["docs/" + f for f in sorted(os.listdir(docs)) if f.endswith(".md")]


def anchors(page):
    """The anchors that a forge makes of a page's headings."""
    out, in_code = set(), False
    for line in read(page).splitlines():
        if line.startswith("```"):
            in_code = not in_code
        if line.startswith("#") and not in_code:
            text = re.sub(r"[`*]", "", line.lstrip("#").strip().lower())
            text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", text)
            out.add(re.sub(r"[^\w\- ]", "", text).replace(" ", "-"))
    return out


def links():
    for page in pages():
        text = re.sub(r"```.*?```", "", read(page), flags=re.S)
        for target in re.findall(r"\[[^]]*\]\(([^)\s]+)\)", text):
            if re.match(r"[a-z]+:", target):
                continue
            path, _, anchor = target.partition("#")
            to = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
            if not os.path.exists(os.path.join(SOURCE, to)):
                finding("%s: there is no %s" % (page, target))
            elif anchor and to.endswith(".md") and anchor not in anchors(to):
                finding("%s: there is no heading for %s" % (page, target))
    index = read("docs/README.md")
    for page in pages()[1:]:
        name = os.path.basename(page)
        if name != "README.md" and "](%s)" % name not in index:
            finding("docs/README.md does not name %s" % name)


# --- man pages ---------------------------------------------------------------------------------

def man():
    if not shutil.which("groff"):
        print("there is no groff to render man pages with")
        sys.exit(SKIP)
    folder = os.path.join(SOURCE, "docs", "man")
    with tempfile.TemporaryDirectory() as made:
        made3 = os.path.join(made, "man3")
        os.mkdir(made3)
        subprocess.run([sys.executable, os.path.join(folder, "man3.py"),
                        os.path.join(SOURCE, "clients", "shmcache.h"), "0", made3], check=True)
        names = [n[:-2] for n in os.listdir(made3)]
        declared = set(re.findall(r"\b(shmc_\w+)\(", re.sub(
            r"/\*.*?\*/|typedef[^;]*;", "", read("clients/shmcache.h"), flags=re.S)))
        for name in declared ^ set(names) - {"shmcache"}:
            finding("a page without a function, or a function without: %s" % name)
        pages_there = [os.path.join(folder, n) for n in os.listdir(folder) if n[-1].isdigit()]
        pages_there += [os.path.join(made3, n) for n in os.listdir(made3)]
        for page in sorted(pages_there):
            r = subprocess.run(["groff", "-ww", "-man", "-Tutf8", "-z", page],
                               capture_output=True, text=True, cwd=made)
            if r.returncode or r.stderr.strip():
                finding("%s:\n%s" % (os.path.basename(page), r.stderr))


def main():
    what = {"protocol": protocol, "links": links, "man": man}
    if len(sys.argv) != 2 or sys.argv[1] not in what:
        sys.exit(__doc__)
    what[sys.argv[1]]()
    for text in findings:
        print(text)
    sys.exit(1 if findings else 0)


main()
