"""Lints the template twice, as it is written and as AWS would expand it, and
holds the expanded one to assertions of our own.

The first pass finds misspelt properties. The second one finds what hides inside
the serverless resources until they are expanded: dangling references in
policies, wrong runtimes, state machine placeholders without a value. All of it
works offline. The second argument is where the expanded template is left for
other judges.
"""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from samtranslator.model.exceptions import InvalidDocumentException

import assertions
import expand


def judged(path: Path) -> tuple[dict | None, list[str]]:
    """The expanded template, and what is to be said against it."""
    try:
        plain = expand.expanded(expand.read(path))
    except InvalidDocumentException as error:
        return None, [cause.message for cause in error.causes]
    except expand.InvalidLoop as error:
        return None, [str(error)]
    headings = assertions.headings((path.parent / "RUNBOOK.md").read_text())
    return plain, assertions.complaints(plain, headings)


def cfn_lint(path: Path) -> str:
    """What cfn-lint says about a file; nothing if it has no complaints."""
    lint = Path(sys.executable).parent / "cfn-lint"
    command = [lint, "--non-zero-exit-code", "warning", "--regions", expand.REGION, "--", path]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    return "" if run.returncode == 0 else run.stdout + run.stderr or f"ended with {run.returncode}"


def main(path: Path, keep: Path) -> int:
    plain, found = judged(path)
    complaints = [f"{path}: {text}" for text in found]
    if plain is not None:
        keep.parent.mkdir(parents=True, exist_ok=True)
        keep.write_text(json.dumps(plain, indent=2))
        with ThreadPoolExecutor() as both:
            complaints += filter(None, both.map(cfn_lint, [path, keep]))
    for text in complaints:
        print(text, file=sys.stderr)
    if not complaints:
        print(f"{path}: no complaints")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:])))
