#!/usr/bin/python3
"""A program links only the libraries that the dependency law allows, and is hardened.

usage: check_links.py NAME PATH
"""
import re
import subprocess
import sys

CONTROL = r"libsofia|libsqlite|libmicrohttpd|libexpat|libcurl|libpq|libhiredis"
MEDIA = r"liburing|libpcap|libsrtp|libopus|libgsm|libspandsp|libspeexdsp|libbcg729|libopencore|librte"
FORBIDDEN = {"slr": CONTROL, "slr-core": MEDIA, "slrctl": MEDIA}


def main():
    name, path = sys.argv[1], sys.argv[2]
    dynamic = subprocess.run(["readelf", "-dhW", path], stdout=subprocess.PIPE, text=True, check=True).stdout
    needed = re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic)
    faults = [f"{name} needs {lib}" for lib in needed if re.search(FORBIDDEN[name], lib)]
    if not needed:
        faults.append(f"{name} needs no library at all: wrong file?")
    if not re.search(r"Type:\s+DYN", dynamic):
        faults.append(f"{name} is not position independent")
    print("\n".join(faults) or f"{name}: {' '.join(needed)}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
