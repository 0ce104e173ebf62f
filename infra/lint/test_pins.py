"""Sees to it that what pip installs is what was published when it was chosen."""

import re
import unittest
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
REQUIREMENTS = [
    *sorted((ROOT / "infra" / "requirements").glob("*.txt")),
    ROOT / "tests" / "square-sim" / "judges" / "requirements.txt",
]


class Pins(unittest.TestCase):
    def test_each_has_its_hashes(self):
        for path in REQUIREMENTS:
            lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
            for entry in re.split(r"\n(?=\S)", "\n".join(lines)):
                with self.subTest(path=path.name, entry=entry.partition("\n")[0]):
                    self.assertRegex(entry, r"^[\w.-]+==\S+( ; .+)? \\\n    --hash=sha256:[0-9a-f]{64}")

    def test_nothing_is_installed_without(self):
        makefile = (ROOT / "Makefile").read_text()
        installs = [line for line in makefile.splitlines() if "pip install" in line]
        self.assertEqual(len(installs), 1, installs)
        self.assertIn(" --require-hashes", installs[0])


if __name__ == "__main__":
    unittest.main()
