"""Look for known security faults of the installed packages, with pip-audit; without a network, say so.

usage: audit.py

pip-audit and what it needs go into a folder of their own, since they would change the versions that are audited.
The exit status is 1 if there are faults.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        tool, report = Path(folder) / "tool", Path(folder) / "report.json"
        install = [
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--retries",
            "1",
            "--target",
            str(tool),
            "pip-audit",
        ]
        if not _run(["-m", "pip", *install], {}):
            sys.exit(_not_done("pip-audit cannot be installed"))
        options = ["--path", sysconfig.get_path("purelib"), "--format", "json", "--output", str(report)]
        _run(["-m", "pip_audit", *options, "--progress-spinner", "off", "--skip-editable"], {"PYTHONPATH": str(tool)})
        try:
            packages = json.loads(report.read_text("utf-8"))["dependencies"]
        except (OSError, ValueError, KeyError):
            sys.exit(_not_done("the database of faults cannot be reached"))
    faults = [(each, fault) for each in packages for fault in each.get("vulns", ())]
    for each, fault in faults:
        fixed = ", ".join(fault["fix_versions"]) or "none yet"
        print(f"{each['name']} {each['version']}: {fault['id']}; fixed in: {fixed}")
    print(f"{len(packages)} packages, {len(faults)} known faults")
    sys.exit(bool(faults))


def _run(arguments: list[str], environment: dict[str, str]) -> bool:
    """Run Python with these arguments; return whether it ended well. Its words go nowhere."""
    command = [sys.executable, *arguments]
    try:
        subprocess.run(command, env={**os.environ, **environment}, capture_output=True, timeout=300, check=True)
    except subprocess.SubprocessError:
        return False
    return True


def _not_done(why: str) -> int:
    print(f"packages not audited: {why} (is there a network?)")
    return 0


if __name__ == "__main__":
    main()
