#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""man3.py HEADER VERSION FOLDER: the manual pages of the library, made from its header.

The contract of each function stands above its declaration in shmcache.h, and nowhere else: pages that are
written a second time say something else after a while. One page for each part of the header that begins
with a ruler, an overview from what stands before the first, and a link for each further function.
--list prints the names of the files that are made.
"""
import os
import re
import sys
import textwrap

# The rulers of the header, in order: the page's name, and what it is about.
PAGES = {
    "attach": ("shmc_attach", "attach to a shared-memory cache"),
    "read": ("shmc_get", "read from a shared-memory cache, without blocking"),
    "events": ("shmc_events_open", "hear what happens in a shared-memory cache"),
    "write": ("shmc_put", "change a shared-memory cache"),
    "fetch": ("shmc_fetch", "get from other brokers what this one has not"),
    "batches and asynchronous requests": ("shmc_execute", "batches and asynchronous requests"),
    "numbers": ("shmc_stats", "numbers of a shared-memory cache"),
    "for operators": ("shmc_control", "reload and drain a broker, and see its peers"),
}


def escape(text):
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(['.])", r"\\&\1", text, flags=re.M)


def paragraphs(comment):
    """The comment without its stars, as lists of lines; an indented part is code."""
    body = re.sub(r"^/\*|\*/$", "", comment.strip())
    lines = [re.sub(r"^\s*\* ?", "", line).rstrip() for line in body.split("\n")]
    out = []
    for part in re.split(r"\n\s*\n", "\n".join(lines).strip("\n")):
        is_code = all(line.startswith(("\t", "    ")) for line in part.split("\n"))
        out.append((is_code, part))
    return out


def code(text):
    text = textwrap.dedent(text.expandtabs(8))
    return ".PP\n.in +4n\n.EX\n%s\n.EE\n.in\n" % escape(text)


def prose(comment):
    out = ""
    for is_code, part in paragraphs(comment):
        if is_code:
            out += code(part)
        else:
            text = " ".join(part.split())
            text = re.sub(r"@(\w+)", "\1i\\1\2", text)
            text = re.sub(r"\b(shmc_\w+)\(\)", "\1b\\1\2()", text)
            text = escape(text)
            text = text.replace("\1i", "\\fI").replace("\1b", "\\fB").replace("\2", "\\fR")
            out += ".PP\n" + re.sub(r"(?<=[.:;]) (?=\S)", "\n", text) + "\n"
    # A sentence may begin with what looks like a request.
    return re.sub(r"^(['.])(?!PP|in |in$|EX|EE)", r"\\&\1", out, flags=re.M)


def split(text):
    """The header's text in pieces: comments at column 0, and what follows each."""
    pieces, at = [], 0
    for m in list(re.finditer(r"^/\*.*?\*/", text, flags=re.M | re.S)):
        if text[at:m.start()].strip():
            pieces.append(("", text[at:m.start()].strip("\n")))
        end = re.compile(r"^/\*", re.M).search(text, m.end())
        stop = end.start() if end else len(text)
        pieces.append((m[0], text[m.end():stop].strip("\n")))
        at = stop
    return pieces


def functions(declarations):
    return re.findall(r"\b(shmc_\w+)\(", re.sub(r"/\*.*?\*/|typedef[^;]*;", "", declarations, flags=re.S))


def head(name, version):
    return ('.\\" Made from shmcache.h by man3.py.\n.TH %s 3 "" "shmcache %s" "shmcache manual"\n'
            % (name.upper(), version))


SYNOPSIS = ".SH SYNOPSIS\n.nf\n.B #include <shmcache.h>\n.sp\n%s.fi\n.PP\nLink with \\fI\\-lshmcache\\fR.\n"


def page(title, text, version):
    name, about = PAGES[title]
    names, synopsis, body = [], "", ""
    for comment, declared in split(text):
        declared = declared.replace("SHMC_PUBLIC ", "")
        here = functions(declared)
        names += here
        if here:
            bare = re.sub(r"^/\*.*?\*/\n?", "", declared, flags=re.S | re.M)
            synopsis += escape(textwrap.dedent(bare.expandtabs(8)).strip()) + "\n.sp\n"
            body += ".SS %s\n" % escape(", ".join(n + "()" for n in here))
        if comment:
            body += prose(comment)
        if declared.strip() and not here:
            body += code(declared)
    names.sort(key=lambda n: n != name)
    out = head(name, version) + ".SH NAME\n%s \\- %s\n" % (", ".join(names), about)
    out += SYNOPSIS % synopsis + ".SH DESCRIPTION\n" + body
    return name, names, out + ".SH SEE ALSO\n.BR shmcache (3),\n.BR shmcached (8)\n"


def overview(text, version):
    out = head("shmcache", version)
    out += ".SH NAME\nshmcache \\- a client of the shmcached shared\\-memory cache\n"
    out += SYNOPSIS % "" + ".SH DESCRIPTION\n"
    for comment, declared in split(text):
        declared = re.sub(r"^#(?!define SHMC_[KVT]).*\n?|^extern .*\n?", "", declared, flags=re.M)
        if "SPDX" not in comment and comment:
            out += prose(comment)
        if declared.strip():
            out += code(declared)
    out += ".SH SEE ALSO\n" + ",\n".join(".BR %s (3)" % n for n, _ in PAGES.values())
    return out + ",\n.BR shmcache (1),\n.BR shmcached (8)\n"


def pages(header, version):
    with open(header, encoding="utf-8") as f:
        text = f.read()
    text = re.sub(r"#ifdef __cplusplus.*?#endif\n", "", text, flags=re.S)
    parts = re.split(r"^/\* --- (\w[\w ]*?)(?::[^\n]*?)? -+ \*/$", text, flags=re.M)
    out = {"shmcache.3": overview(re.sub(r"^#(if|elif|endif|ifndef).*\n|^#define SHMCACHE_H\n", "",
                                         parts[0], flags=re.M), version)}
    for title, part in zip(parts[1::2], parts[2::2]):
        name, names, body = page(title, re.sub(r"^#endif\n?", "", part, flags=re.M), version)
        out[name + ".3"] = body
        for other in names:
            if other != name:
                out[other + ".3"] = ".so man3/%s.3\n" % name
    return out


def main(args):
    if len(args) != 3:
        sys.exit(__doc__)
    made = pages(args[0], args[1])
    if args[2] == "--list":
        print("\n".join(sorted(made)))
        return
    for name, text in made.items():
        with open(os.path.join(args[2], name), "w", encoding="utf-8") as f:
            f.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
