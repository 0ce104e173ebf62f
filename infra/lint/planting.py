"""A copy of the real template with its machines, to plant defects in."""

import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

import template

INFRA = Path(__file__).parent.parent


class Planting(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.copy = self.folder / "template.yaml"
        self.machine = self.folder / "statemachines" / "migration.asl.json"
        shutil.copytree(INFRA / "statemachines", self.machine.parent)
        for name in ["template.yaml", "RUNBOOK.md"]:
            shutil.copy(INFRA / name, self.folder)

    def said(self) -> list[str]:
        """What the lint says about the copy."""
        return template.judged(self.copy)[1]

    def plant(self, path: Path, old: str, new: str):
        text = path.read_text()
        self.assertTrue(old in text, f"nothing to plant the defect in: {old}")
        path.write_text(text.replace(old, new, 1))

    def run_lint(self, *command) -> str:
        """What a lint says that must not pass."""
        run = subprocess.run(
            command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.assertNotEqual(run.returncode, 0, run.stdout)
        return run.stdout
