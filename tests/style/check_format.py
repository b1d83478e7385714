#!/usr/bin/python3
"""The C files are as clang-format-14 writes them (.clang-format)."""
import subprocess
import sys

import check_style


def main():
    files = [f for f in check_style.project_files() if f.endswith((".c", ".h"))]
    if not files:
        print("no C files found")
        return 1
    result = subprocess.run(["clang-format-14", "--dry-run", "-Werror", "--ferror-limit=3", *files],
                            cwd=check_style.SOURCE, stderr=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        print(result.stderr)
        print("run: make fmt")
        return 1
    print(f"{len(files)} files are formatted")
    return 0


if __name__ == "__main__":
    sys.exit(main())
