#!/usr/bin/env python3
"""Records what the reference prints for the cases of this directory.

usage: record.py KUSTOMIZE [NAME...]

Each directory of cases/ holds in/, the tree to build; the kustomization that is built is in/top if there
is one, else in itself. This writes want.yaml, or want.error when the build fails. KUSTOMIZE is the binary
of kustomize v5.8.2, the version that the crate follows; another one is refused. It can be built with

    go install sigs.k8s.io/kustomize/kustomize/v5@v5.8.2

Of an error only the fact is recorded: the crate has its own messages.
"""
import pathlib
import subprocess
import sys

VERSION = "v5.8.2"


def main():
    kustomize, names = sys.argv[1], sys.argv[2:]
    version = subprocess.run([kustomize, "version"], capture_output=True, text=True, check=True).stdout.strip()
    if version != VERSION:
        sys.exit(f"record.py: {kustomize} is {version}, not {VERSION}")
    root = pathlib.Path(__file__).parent / "cases"
    for case in sorted(root.iterdir()):
        if names and case.name not in names:
            continue
        tree = case / "in"
        top = tree / "top"
        done = subprocess.run([kustomize, "build", str(top if top.is_dir() else tree)], capture_output=True)
        for old in ("want.yaml", "want.error"):
            (case / old).unlink(missing_ok=True)
        if done.returncode == 0:
            (case / "want.yaml").write_bytes(done.stdout)
        else:
            (case / "want.error").write_text("The build fails.\n")
    (root.parent / "RECORDED").write_text(f"kustomize {VERSION}\n")


main()
