"""Plants defects in copies of the state machines, one at a time, and sees to it that the
lint names them. Run it with the Python that has cfn-lint; NODE is the Node to run the
machines' validator with.
"""

import json
import os
import unittest
from pathlib import Path

import invoke
from planting import Planting

HERE = Path(__file__).parent
# A call that retries nothing.
CALL = {"Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": True}


class Machines(Planting):
    def test_retriers(self):
        for old, new, complaint in [
            (
                '"IntervalSeconds": 60,', '"IntervalSeconds": 90,',
                r"Migration, Preflight: SquareRateLimited is retried otherwise than in CompleteSync, \w+",
            ),
            (
                '"StepTimeout", "Sandbox.Timedout",', '"StepTimeout",',
                r"Migration, Preflight: StepTimeout is retried otherwise than in CompleteSync, \w+",
            ),
            (
                '"Comment": "Lambda itself stumbled,', '"Said": "Lambda itself stumbled,',
                "Migration: nobody says why Lambda.ClientExecutionTimeoutException is retried",
            ),
        ]:
            with self.subTest(new):
                sound = self.machine.read_text()
                self.plant(self.machine, old, new)
                self.assertRegex("\n".join(self.said()), complaint)
                self.machine.write_text(sound)

    def test_errors_of_a_call(self):
        for name in sorted(invoke.PASSING):
            with self.subTest(name):
                sound = self.machine.read_text()
                # The first in a list, or another one.
                old = f'"Lambda.{name}", ' if f'"Lambda.{name}", ' in sound else f', "Lambda.{name}"'
                self.plant(self.machine, old, "")
                self.assertIn(f"Migration, Preflight: does not retry Lambda.{name}", self.said())
                self.machine.write_text(sound)
        self.plant(
            self.machine, '"Lambda.ServiceException", ',
            '"Lambda.ServiceException", "Lambda.KMSDisabledException", ',
        )
        self.assertIn(
            "Migration, Preflight: retries Lambda.KMSDisabledException in vain", self.said()
        )
        self.assertEqual(
            invoke.undecided({"ServiceException", "TiredException"}),
            ["Lambda's Invoke may end with TiredException: is it retried?"],
        )

    def test_calls_wherever_and_however_they_are_made(self):
        inner = {"StartAt": "Call", "States": {"Call": CALL}}
        of = CALL["Resource"]
        for what, states in [
            ("in a branch", {"Both": {"Type": "Parallel", "Branches": [{}, inner]}}),
            ("in a map", {"Each": {"Type": "Map", "ItemProcessor": inner}}),
            ("in a map within a branch", {"Both": {"Type": "Parallel", "Branches": [
                {"States": {"Each": {"Type": "Map", "Iterator": inner}}},
            ]}}),
            ("with a token", {"Call": {**CALL, "Resource": f"{of}.waitForTaskToken"}}),
            ("in another partition", {"Call": {**CALL, "Resource": of.replace("aws", "aws-cn", 1)}}),
            ("by a placeholder", {"Call": {**CALL, "Resource": "${FinishFunctionArn}"}}),
            ("by its name", {"Call": {**CALL, "Resource": "arn:aws:lambda:us-east-1:1:function:a"}}),
            ("that is not tried again", {"Call": {**CALL, "Retry": [
                {"ErrorEquals": [f"Lambda.{name}" for name in invoke.PASSING], "MaxAttempts": 0},
            ]}}),
        ]:
            with self.subTest(what):
                said = invoke.complaints("A", {"StartAt": "Call", "States": states})
                self.assertIn("A, Call: does not retry Lambda.ServiceException", said)
        other = {**CALL, "Resource": "arn:aws:states:::aws-sdk:rds:createDBSnapshot"}
        self.assertEqual(invoke.complaints("A", {"States": {"Call": other}}), [])

    def test_a_snapshot_under_way_is_never_begun_once_more(self):
        definition = json.loads((self.machine.parent / "complete-sync.asl.json").read_text())
        states = definition["States"]
        begun = {"SnapshotInstance", "SnapshotCluster"}
        reached, ahead = set(), {states[name]["Next"] for name in begun}
        while ahead:
            name = ahead.pop()
            reached.add(name)
            ahead |= set(following(states[name])) - reached
        self.assertLessEqual({"ReadInstanceSnapshot", "ReadClusterSnapshot"}, reached)
        self.assertEqual(reached & begun, set())

    def machine_lint(self) -> str:
        validator = HERE / "node_modules/asl-validator/dist/bin/asl-validator.js"
        return self.run_lint(os.environ["NODE"], validator, "--json-path", self.machine)

    def test_next_to_nowhere(self):
        self.plant(self.machine, '"Next": "MayRun?"', '"Next": "Nowhere"')
        self.assertRegex(self.machine_lint(), "Nowhere")

    def test_broken_jsonata(self):
        self.plant(self.machine, "{% $states.result.Payload %}", "{% $states.result.( %}")
        self.assertRegex(self.machine_lint(), "/States/Preflight/Output is invalid")


def following(state: dict) -> list[str]:
    """The states that may come next."""
    ways = [state, *state.get("Catch", []), *state.get("Choices", [])]
    return [*(way["Next"] for way in ways if "Next" in way), *filter(None, [state.get("Default")])]


if __name__ == "__main__":
    unittest.main()
