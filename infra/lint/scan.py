"""Scans the expanded template with checkov, whose path comes first.

Checkov ends well even if it could not read a file, so its figures are looked at.
"""

import json
import subprocess
import sys
from pathlib import Path

CONFIG = Path(__file__).parent / "checkov.yaml"


def main(checkov: Path, path: Path) -> int:
    command = [checkov, "--config-file", CONFIG, "--output", "json", "--file", path]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    try:
        report = json.loads(run.stdout)
        figures = report["summary"]
        failed = report["results"]["failed_checks"]
    except (ValueError, KeyError, TypeError):
        # Without a single resource it reports figures alone.
        print(f"{path}: checkov could not look at it\n{run.stdout}{run.stderr}", file=sys.stderr)
        return 1
    for check in failed:
        print(f"{path}: {check['resource']}: {check['check_id']} {check['check_name']}", file=sys.stderr)
    if run.returncode or failed or figures["parsing_errors"] or not figures["passed"]:
        print(f"{path}: checkov's figures: {figures}", file=sys.stderr)
        return 1
    print(f"{path}: {figures['passed']} checks of checkov passed on {figures['resource_count']} resources")
    return 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
