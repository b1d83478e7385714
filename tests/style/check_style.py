#!/usr/bin/python3
"""Checks the conventions of docs/architecture.md that compilers and clang-format don't see.

Sizes of files, headers, functions and lines; forbidden calls and words; opening comments; header
guards; which folder may include what; which system headers belong to one file or folder; a fuzz
target and a corpus for each parser of outside bytes; no paths of a developer's machine.

usage: check_style.py          the tracked files (without git: all files but build/)
Every fault is one line, FILE:LINE: what is wrong. Exit status 1 if there is any.
"""
import os
import re
import subprocess
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

NOT_OURS = ("build", "recordings", ".git", "__pycache__")
LINE_MAX, FILE_MAX, HEADER_MAX, FUNCTION_MAX = 100, 800, 200, 70
SCRIPT_LINE_MAX, TABLE_LINE_MAX = 125, 140

# folder: what it may include. Tests may include what the folder that they test may.
MAY_INCLUDE = {
    "common": {"common"},
    "codecs": {"codecs", "common"},
    "capture": {"capture", "common"},
    "storage": {"storage", "common"},
    "engine": {"engine", "codecs", "capture", "storage", "common"},
    "ctl": {"ctl", "storage", "common"},
    "load": {"load", "codecs", "storage", "common"},
    "bench": {"bench", "engine", "ctl", "codecs", "capture", "storage", "common"},
}
MODULES = ("common", "codecs", "capture", "storage", "engine", "ctl", "load")

# Headers of libraries: pattern, folders that may see them, most files a folder that include them.
LIBRARIES = [
    (r"sofia-sip/|su_|nta", {"ctl"}, None),
    (r"sqlite3\.h|libpq|hiredis/|microhttpd\.h|expat\.h|curl/", {"ctl"}, None),
    (r"liburing\.h", {"capture", "storage"}, 1),
    (r"rte_|dpdk", {"capture"}, 1),
    (r"pcap", {"capture"}, 1),
    (r"srtp", {"engine"}, 1),
    (r"opus", {"codecs", "storage"}, 1),
    (r"gsm|spandsp|bcg729|opencore", {"codecs"}, None),
    (r"sndfile\.h|ogg/", {"storage"}, None),
    (r"cairo", {"ctl"}, 1),
    (r"jansson\.h", {"common", "storage", "engine", "ctl", "load"}, None),
]

BANNED = ("strcpy strncpy stpcpy strcat strncat sprintf vsprintf gets atoi atol atoll atof strtok rand "
          "srand alloca tmpnam mktemp asctime ctime gmtime localtime setjmp longjmp").split()
BANNED_CALL = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
# The daemons start no shell; the command line and the benches may, with constant commands.
SHELL_CALL = re.compile(r"(?<![\w.>])(system|popen)\s*\(")
PERCENT_N = re.compile(r"(?<!%)(?:%%)*%(?:hh|h|ll|l|j|z|t)?n\b")
WORDS = re.compile(r"\b(" + "|".join(("FIX" + "ME", "TO" + "DO", "XX" + "X")) + r")\b")
PLACES = re.compile("|".join(("/wo" + "rk/", "/ro" + "ot/", "/tmp/" + "brief", r"deb\.deb" + r"ian\.org",
                              "/home/" + r"\w")))
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(["<])([^">]+)[">]', re.MULTILINE)
PARSER = re.compile(r"\b(slr_\w+_(?:parse|scan|read))\s*\(([^;{]*?)\)", re.DOTALL)


def project_files():
    """Names relative to the source folder, sorted."""
    result = subprocess.run(["git", "-C", SOURCE, "ls-files", "-z"], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL, text=True, check=False)
    if result.returncode == 0 and result.stdout:
        names = [n for n in result.stdout.split("\0") if n]
    else:
        names = []
        for folder, folders, files in os.walk(SOURCE):
            folders[:] = [f for f in folders if f not in NOT_OURS]
            names += [os.path.relpath(os.path.join(folder, f), SOURCE) for f in files]
    return sorted(n for n in names if os.path.isfile(os.path.join(SOURCE, n)))


def strip_code(text):
    """The text with comments, strings and character constants blanked; lines stay where they are."""
    def blank(match):
        found = match.group(0)
        return found[0] + re.sub(r"[^\n]", " ", found[1:-1]) + found[-1] if found[0] in "\"'" else \
            re.sub(r"[^\n]", " ", found)
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', blank, text,
                  flags=re.DOTALL)


def strip_preprocessor(code):
    """Blanks directives with their continuation lines, and the #else part of conditionals."""
    out, depth_else, continued = [], [], False
    for line in code.split("\n"):
        word = re.match(r"\s*#\s*(\w+)", line)
        directive = continued or word is not None
        if word and not continued:
            if word.group(1) in ("if", "ifdef", "ifndef"):
                depth_else.append(False)
            elif word.group(1) in ("else", "elif") and depth_else:
                depth_else[-1] = True
            elif word.group(1) == "endif" and depth_else:
                depth_else.pop()
        continued = directive and line.rstrip().endswith("\\")
        out.append("" if directive or any(depth_else) else line)
    return "\n".join(out)


def functions(text):
    """(first line, lines) of every function body, by counting braces."""
    code = strip_preprocessor(strip_code(text))
    found, depth, start, head, line = [], 0, 0, "", 1
    is_function = False
    for char in code:
        if char == "\n":
            line += 1
        if char == "{":
            if depth == 0:
                start = line
                before = re.sub(r"\s*__attribute__\s*\(\(.*?\)\)\s*", " ", head, flags=re.DOTALL)
                is_function = before.rstrip().endswith(")") and "=" not in before
            depth += 1
        elif char == "}":
            depth = max(depth - 1, 0)
            if depth == 0:
                if is_function:
                    found.append((start, line - start + 1))
                head = ""
                continue
        if depth == 0:
            head = "" if char == ";" else head + char
    return found


def line_of(text, at):
    return text.count("\n", 0, at) + 1


def check_words(name, text):
    faults = []
    for pattern, what in ((WORDS, "unfinished work"), (PLACES, "a place outside the project")):
        for match in pattern.finditer(text):
            faults.append(f"{name}:{line_of(text, match.start())}: {what}: {match.group(0)}")
    return faults


def check_lines(name, text, longest):
    faults = []
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > longest:
            faults.append(f"{name}:{number}: {len(line)} columns, at most {longest}")
        if "\t" in line:
            faults.append(f"{name}:{number}: tab")
        if line != line.rstrip():
            faults.append(f"{name}:{number}: blank at the end of the line")
    if text and not text.endswith("\n"):
        faults.append(f"{name}:{text.count(chr(10)) + 1}: no newline at the end")
    return faults


def check_c(name, text):
    """Faults of one .c, .h or .def file by itself."""
    faults = check_lines(name, text, TABLE_LINE_MAX if name.endswith(".def") else LINE_MAX)
    lines = text.count("\n")
    limit = HEADER_MAX if name.endswith(".h") else FILE_MAX
    if lines > limit:
        faults.append(f"{name}:{lines}: {lines} lines, at most {limit}")
    if not text.lstrip().startswith(("/*", "//")):
        faults.append(f"{name}:1: no comment at the top that says what the file is for")
    for start, length in functions(text):
        if length > FUNCTION_MAX:
            faults.append(f"{name}:{start}: function of {length} lines, at most {FUNCTION_MAX}")
    code = strip_code(text)
    # Unit tests copy constants into buffers of their own, watched by ASan.
    for match in BANNED_CALL.finditer("" if name.startswith("tests/") else code):
        faults.append(f"{name}:{line_of(code, match.start())}: {match.group(1)} is not used here")
    if name.startswith(MODULES) and not os.path.basename(name).startswith("slrctl"):
        for match in SHELL_CALL.finditer(code):
            faults.append(f"{name}:{line_of(code, match.start())}: {match.group(1)} starts a shell")
    for match in re.finditer(r'"(?:\\.|[^"\\\n])*"', text):
        if PERCENT_N.search(match.group(0)):
            faults.append(f"{name}:{line_of(text, match.start())}: %n in a format")
    if name.endswith(".h"):
        guard = "SLR_" + re.sub(r"[^A-Z0-9]", "_", name.upper())
        own = {guard, guard.replace("SLR_TESTS_", "SLR_"), guard.replace("SLR_TESTS_", "SLR_TEST_")}
        found = re.search(r"^#ifndef (\w+)\n#define \1$", text, re.MULTILINE)
        if not found or found.group(1) not in own:
            faults.append(f"{name}:1: no include guard {guard}")
    return faults


def folder_of(name):
    """The module whose law holds for a file: its folder, or the folder a unit test mirrors."""
    parts = name.split("/")
    if parts[0] == "tests":
        return parts[1] if len(parts) > 2 and parts[1] in MODULES else None
    return parts[0] if len(parts) > 1 else None


def check_includes(name, text, exists):
    """The dependency law: project headers by folder, library headers by folder."""
    faults = []
    folder = folder_of(name)
    comments_gone = re.sub(r"/\*.*?\*/", lambda m: re.sub(r"[^\n]", " ", m.group(0)), text, flags=re.DOTALL)
    for match in INCLUDE.finditer(comments_gone):
        where = f"{name}:{line_of(comments_gone, match.start())}"
        kind, header = match.groups()
        if kind == '"':
            target = header.split("/")[0]
            if not exists(header):
                faults.append(f"{where}: \"{header}\" is not the path of a project file")
            elif folder in MAY_INCLUDE and target not in MAY_INCLUDE[folder] and not (
                    name.startswith("tests/") and target == "tests"):
                faults.append(f"{where}: {folder} must not include {header}")
            continue
        for pattern, folders, _ in LIBRARIES:
            if re.match(pattern, header) and folder in MODULES and folder not in folders:
                faults.append(f"{where}: {folder} must not include <{header}>")
    return faults


def check_library_owners(texts):
    """Libraries that one file of a folder hides from the others."""
    faults = []
    for pattern, folders, most in LIBRARIES:
        if most is None:
            continue
        for folder in sorted(folders):
            users = [n for n, t in texts.items() if n.startswith(folder + "/") and
                     any(k == "<" and re.match(pattern, h) for k, h in INCLUDE.findall(t))]
            if len(users) > most:
                faults.append(f"{users[1]}:1: <{pattern}> belongs to {users[0]} alone")
    return faults


def check_fuzz(names, texts):
    """Each fuzz target has a corpus, each corpus a target, each parser of a slice a target.

    A parser counts as reached when a target names it, or a file does whose header a target includes.
    """
    faults = []
    targets = {n[len("tests/fuzz/fuzz_"):-2] for n in names
               if n.startswith("tests/fuzz/fuzz_") and n.endswith(".c")}
    corpora = {n.split("/")[3] for n in names if n.startswith("tests/fuzz/corpus/") and n.count("/") >= 4}
    faults += [f"tests/fuzz/fuzz_{t}.c:1: no corpus tests/fuzz/corpus/{t}/" for t in sorted(targets - corpora)]
    faults += [f"tests/fuzz/corpus/{t}:1: no target fuzz_{t}.c" for t in sorted(corpora - targets)]
    fuzz_text = "".join(t for n, t in texts.items() if n.startswith("tests/fuzz/"))
    for _, header in INCLUDE.findall(fuzz_text):
        fuzz_text += texts.get(header[:-2] + ".c", "")
    for name, text in texts.items():
        if not name.endswith(".h") or name.split("/")[0] not in MODULES:
            continue
        code = strip_code(text)
        for match in PARSER.finditer(code):
            if "struct slr_slice" in match.group(2) and match.group(1) not in fuzz_text:
                faults.append(f"{name}:{line_of(code, match.start())}: no fuzz target calls {match.group(1)}")
    return faults


def check_project():
    names = project_files()
    known = set(names)
    texts, faults = {}, []
    for name in names:
        with open(os.path.join(SOURCE, name), "rb") as f:
            data = f.read()
        if name.startswith("tests/fuzz/corpus/") or b"\0" in data:
            continue
        text = data.decode("utf-8", errors="replace")
        if name == "LICENSE":
            continue
        faults += check_words(name, text)
        if name.endswith((".c", ".h", ".def")):
            texts[name] = text
            faults += check_c(name, text)
            faults += check_includes(name, text, lambda h: h in known or os.path.exists(os.path.join(SOURCE, h)))
        elif name.endswith((".py", ".sh", ".cmake", "CMakeLists.txt")) or name == ".ci/run":
            faults += check_lines(name, text, SCRIPT_LINE_MAX)
            if not text.lstrip().startswith(("#", '"""')):
                faults.append(f"{name}:1: nothing at the top that says what the file is for")
    faults += check_library_owners(texts)
    faults += check_fuzz(names, texts)
    return len(texts), faults


def main():
    count, faults = check_project()
    for fault in faults:
        print(fault)
    print(f"{count} C files, {len(faults)} faults")
    return 1 if faults or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
