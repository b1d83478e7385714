#!/usr/bin/python3
"""The documents are true where a program can tell: links, named tests, options, features.

usage: check_docs.py [--write] BIN_DIR

Every relative link of a Markdown file leads to a file. Every test named in docs/features.md exists.
What stands between `<!-- help: PROGRAM -->` and `<!-- end -->` in docs/operator.md is what the
program prints for --help; --write puts it there.
"""
import os
import re
import subprocess
import sys

import check_style

LINK = re.compile(r"\[[^\]\n]*\]\(([^)#\s]+)(?:#[^)]*)?\)")
TEST = re.compile(r"`(tests/[\w./*-]+)(?:::(\w+))?`")
HELP = re.compile(r"(<!-- help: ([\w-]+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)


def check_links(name, text, exists):
    folder = os.path.dirname(name)
    return [f"{name}: link to {target} leads nowhere" for target in LINK.findall(text)
            if "://" not in target and not exists(os.path.normpath(os.path.join(folder, target)))]


def check_tests(name, text, read):
    """read(path) gives a file's text or None."""
    faults = []
    for path, function in TEST.findall(text):
        content = read(path)
        if content is None:
            faults.append(f"{name}: there is no {path}")
        elif function and not re.search(r"\b" + function + r"\b", content):
            faults.append(f"{name}: {path} has no {function}")
    return faults


def help_of(folder, program):
    """The program's --help in a code block, or None when it is not built."""
    path = os.path.join(folder, program)
    if not os.access(path, os.X_OK):
        return None
    result = subprocess.run([path, "--help"], stdout=subprocess.PIPE, text=True, check=True, timeout=20)
    lines = [line.rstrip() for line in result.stdout.rstrip().splitlines()]
    return "```\n" + "\n".join(lines) + "\n```\n"


def read_file(path):
    try:
        with open(os.path.join(check_style.SOURCE, path), encoding="utf-8") as f:
            return f.read()
    except OSError:
        return None


def update_help(text, folder):
    """The text with every block of help as the programs print it, and names of programs not built."""
    missing = []

    def replace(match):
        new = help_of(folder, match.group(2))
        if new is None:
            missing.append(match.group(2))
            return match.group(0)
        return match.group(1) + new + match.group(4)
    return HELP.sub(replace, text), missing


def main():
    write = "--write" in sys.argv
    folder = [a for a in sys.argv[1:] if not a.startswith("--")][0]
    faults = []
    exists = lambda path: os.path.exists(os.path.join(check_style.SOURCE, path))  # noqa: E731
    pages = [n for n in check_style.project_files() if n.endswith(".md")]
    for name in pages:
        text = read_file(name)
        faults += check_links(name, text, exists)
        faults += check_tests(name, text, read_file)
        if not HELP.search(text):
            continue
        new, missing = update_help(text, folder)
        faults += [f"{name}: {program} is not built in {folder}" for program in missing]
        if new != text and write:
            with open(os.path.join(check_style.SOURCE, name), "w", encoding="utf-8") as f:
                f.write(new)
        elif new != text:
            faults.append(f"{name}: options differ from --help; run {' '.join(sys.argv[:1])} --write {folder}")
    print("\n".join(faults) or f"{len(pages)} pages are true")
    return 1 if faults or not pages else 0


if __name__ == "__main__":
    sys.exit(main())
