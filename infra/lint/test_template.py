"""Plants defects in copies of the real template, one at a time, and sees to it that the
lint names them. Run it with the Python that has cfn-lint.
"""

import sys
import unittest
from pathlib import Path

import schedule
import template
from planted import MISTUNED, PLANTED
from planting import Planting

HERE = Path(__file__).parent

GOOD = """
    rate(1 minute) | rate(5 minutes) | rate(1 hour) | rate(2 days) | cron(15 3 * * ? *)
    cron(0/5 8-17 ? * MON-FRI *) | cron(*/10 * * * ? *) | cron(0 9 L * ? *) | cron(0 9 LW * ? *)
    cron(0 9 15W * ? 2026-2030) | cron(0 9 ? JAN,jul 6L *) | cron(0 9 ? * L *) | cron(0 9 ? * MON#1 *)
    cron(0,30 9 1-7 */3 ? *) | at(2026-11-26T10:00:00)
"""
BAD = """
    rate(1 hours) | rate(2 hour) | rate(0 minutes) | rate(5 seconds) | rate(5) | rate(-1 hours) | every hour
    cron(15 3 * * *) | cron(15 3 * * * *) | cron(15 3 ? * ? *) | cron(60 3 * * ? *) | cron(0 24 * * ? *)
    cron(0 3 0 * ? *) | cron(0 3 32 * ? *) | cron(0 3 * 13 ? *) | cron(0 3 ? * 8 *) | cron(0 3 ? * MOO *)
    cron(0 3 ? * MON#6 *) | cron(0 3 ? * 2# *) | cron(0 3 * * ? 1969) | cron(0 3 * * ? 2200)
    cron(0 3 32W * ? *) | cron(0 3 W * ? *) | cron(0 3 5-1 * ? *) | cron(0/0 3 * * ? *) | cron(, 3 * * ? *)
    cron(? 3 * * ? *) | cron(0 3 * ? ? *) | cron(0 L * * ? *) | at(2026-02-30T10:00:00) | at(2026-02-03)
"""


def listed(text: str) -> list[str]:
    return [part.strip() for line in text.strip().splitlines() for part in line.split("|")]


class Template(Planting):
    def test_assertions(self):
        sound = self.copy.read_text()
        self.assertEqual(self.said(), [])
        for name, old, new, complaints in PLANTED:
            with self.subTest(name):
                self.copy.write_text(sound)
                self.plant(self.copy, old, new)
                self.assertEqual(self.said(), complaints)

    def test_alarms(self):
        sound = self.copy.read_text()
        for old, new, wrong in MISTUNED:
            with self.subTest(wrong):
                self.copy.write_text(sound)
                self.plant(self.copy, old, new)
                said = self.said()
                self.assertTrue(any(text.startswith(wrong) for text in said), said)

    def test_schedule_expressions(self):
        for expression in listed(GOOD):
            self.assertIsNone(schedule.complaint(expression))
        for expression in listed(BAD):
            self.assertIn(expression, schedule.complaint(expression) or "no complaint")

    def test_property_that_sam_does_not_know(self):
        self.plant(self.copy, "      MemorySize: 256\n", "      MemorySise: 256\n")
        plain, complaints = template.judged(self.copy)
        self.assertIsNone(plain)
        self.assertRegex(str(complaints), r"\[Preflight\].*MemorySise")

    def test_broken_loops(self):
        sound = self.copy.read_text()
        for new, complaint in [
            ("", "Fn::ForEach values must be a list of 3 elements"),
            ("    - [Locations, Stock]\n", "The mappings have no ['Functions', 'Stock', 'name']"),
        ]:
            with self.subTest(complaint):
                self.copy.write_text(sound)
                self.plant(self.copy, "    - [Locations, Catalog, Inventory]\n", new)
                plain, complaints = template.judged(self.copy)
                self.assertIsNone(plain)
                self.assertIn(complaint, complaints[0])

    def test_what_cfn_lint_finds(self):
        # At once, because a run of it takes seconds. Each of them is an error.
        for old, new in [
            ("                - !Ref Restore\n", "                - !Ref Restored\n"),
            ("        MigrateFunctionArn: !GetAtt Migrate.Arn\n", ""),
            ("      Timeout: 29\n", "      Timeout: 29\n      Runtime: provided.al2024\n"),
            ("      MessageRetentionPeriod: ", "      MessageRetentionPeriods: "),
        ]:
            self.plant(self.copy, old, new)
        said = self.run_lint(
            sys.executable, HERE / "template.py", self.copy, self.folder / "expanded.json"
        )
        self.assertRegex(said, "E1020 .*'Restored'")
        self.assertRegex(said, "E1029 .*MigrateFunctionArn.*Resources/Migration/")
        self.assertRegex(said, "E3030 .*provided.al2024")
        self.assertRegex(said, "E3002 .*MessageRetentionPeriods")


if __name__ == "__main__":
    unittest.main()
