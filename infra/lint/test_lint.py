"""Plants defects in copies of the real template and machines, one at a time, and
sees to it that the lint names them. Run it with the Python that has cfn-lint;
NODE is the Node to run the machines' validator with.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import schedule
import template

HERE = Path(__file__).parent
INFRA = HERE.parent

# What is done to the template (its first such lines become others), and all that
# the assertions say about it then.
PLANTED = [
    # Functions and machines
    (
        "a function without tracing",
        "      MemorySize: 256\n", "      MemorySize: 256\n      Tracing: PassThrough\n",
        ["Preflight: tracing is not Active"],
    ),
    (
        "a machine without tracing",
        "      Tracing:\n        Enabled: true\n", "      Tracing:\n        Enabled: false\n",
        ["CompleteSync: tracing is not enabled"],
    ),
    (
        "a machine that does not log",
        "        Level: ERROR\n", '        Level: "OFF"\n',
        ["CompleteSync: logging is off"],
    ),
    (
        "two functions in one log",
        "LogGroup: !Ref PreflightLogs", "LogGroup: !Ref LocationsLogs",
        ["Locations: no log group of its own"],
    ),
    (
        "a function that does not log in JSON",
        "        LogGroup: !Ref PreflightLogs\n", "        LogGroup: !Ref PreflightLogs\n        LogFormat: Text\n",
        ["Preflight: its log is not in JSON"],
    ),
    (
        "a function without a time-out",
        "      Timeout: 180\n", "",
        ["Preflight: no Timeout"],
    ),
    (
        "two functions with one role",
        "      Timeout: 180\n", "      Timeout: 180\n      Role: !GetAtt LocationsRole.Arn\n",
        ["Locations: no role of its own"],
    ),
    (
        "a log that is kept for ever",
        "      RetentionInDays: !Ref LogRetentionDays\n", "",
        ["PreflightLogs: no RetentionInDays"],
    ),
    # Who may do what
    (
        "a wildcard action",
        "Action: states:StartExecution", "Action: states:*",
        ["ApiRole: wildcard action states:*"],
    ),
    (
        "a wildcard resource",
        "            Resource: !Ref KmsKeyArn\n", '            Resource: "*"\n',
        [f"KeyUse: wildcard resource * for kms:{action}" for action in ["Decrypt", "GenerateDataKey"]],
    ),
    (
        "another action on an allowed wildcard",
        "                - states:StopExecution\n", "                - states:RedriveExecution\n",
        [
            "ApiRole: wildcard resource arn:${AWS::Partition}:states:${AWS::Region}:${AWS::AccountId}"
            f":execution:${{{machine}.Name}}:* for states:RedriveExecution"
            for machine in ["CompleteSync", "HistoricalOrders", "Migration", "Restore"]
        ],
    ),
    (
        "a policy of AWS's",
        "        - !If [HasKmsKey, !Ref KeyUse, !Ref AWS::NoValue]\n", "        - arn:aws:iam::aws:policy/AdministratorAccess\n",
        ["PreflightRole: nobody gave a reason for the policy arn:aws:iam::aws:policy/AdministratorAccess"],
    ),
    (
        "a topic for everybody",
        "Principal: { Service: cloudwatch.amazonaws.com }", 'Principal: "*"',
        ["NotificationsPolicy: everybody is allowed"],
    ),
    (
        "a route without a reason",
        "RouteKey: $default", "RouteKey: GET /admin/sync",
        ["HttpApiRoute: no authorizer for the route GET /admin/sync, and no reason why"],
    ),
    # Secrets
    (
        "a secret in an environment variable",
        "_ARN: !Ref SquareAccessTokenSecret\n", "_ARN: !Ref SquareAccessToken\n",
        ["Preflight: the secret SquareAccessToken gets out of Secrets Manager"],
    ),
    (
        "a secret within a text",
        "DefinitionSubstitutions:\n", "DefinitionSubstitutions:\n        Url: !Sub x${DatabaseUrl}\n",
        ["CompleteSync: the secret DatabaseUrl gets out of Secrets Manager"],
    ),
    (
        "a secret among the outputs",
        "    Value: !Ref HttpApi\n", "    Value: !Ref DatabaseUrl\n",
        ["Output ApiId: the secret DatabaseUrl gets out of Secrets Manager"],
    ),
    (
        "a variable that is called like a secret",
        "          SQUARE_ACCESS_TOKEN_SECRET_ARN: ", "          SQUARE_ACCESS_TOKEN: ",
        ["Preflight: the variable SQUARE_ACCESS_TOKEN is called like a secret"],
    ),
    (
        "a literal secret",
        "_ARN: !Ref SquareAccessTokenSecret\n", "_ARN: EAAAl7Xw\n",
        ["Preflight: the variable SQUARE_ACCESS_TOKEN_SECRET_ARN has a value like a secret"],
    ),
    (
        "a secret that is shown",
        "    NoEcho: true\n    MinLength: 1\n", "    MinLength: 1\n",
        [
            "SquareAccessToken: looks like a secret without NoEcho",
            "SquareAccessTokenSecret: its value is not a NoEcho parameter alone",
        ],
    ),
    (
        "a secret in the clear",
        "      SecretString: !Ref DatabaseUrl\n", "      SecretString: postgres://me:open@host/base\n",
        ["DatabaseUrlSecret: its value is not a NoEcho parameter alone"],
    ),
    (
        "a secret with a default",
        '    NoEcho: true\n    Default: ""\n', "    NoEcho: true\n    Default: open\n",
        ["OidcClientSecret: a default value in the clear"],
    ),
    (
        "a queue that is not encrypted",
        "      SqsManagedSseEnabled: true\n", "",
        ["ScheduleDeadLetters: not encrypted, and no reason why"],
    ),
    # Parameters
    (
        "a parameter that takes anything",
        "    AllowedPattern: ^[0-9]{1,4}$\n", "",
        ["SquareMaxRequestsPerSecond: anything is allowed in it"],
    ),
    (
        "a number without a limit",
        "    MinValue: 0\n", "",
        ["NoSuccessHours: anything is allowed in it"],
    ),
    (
        "a parameter without a description",
        "    Description: Which Square the token belongs to.\n", "",
        ["SquareEnvironment: no description"],
    ),
    (
        "a parameter in no group",
        "          - BackupsKept\n", "",
        ["BackupsKept: in 0 parameter groups rather than one"],
    ),
    (
        "a group with a parameter that is gone",
        "          - BackupsKept\n", "          - BackupsKept\n          - BackupsLost\n",
        ["BackupsLost: grouped, but no parameter"],
    ),
    # Schedules
    (
        "a bad cron",
        "Default: cron(15 3 * * ? *)", "Default: cron(15 3 * * * *)",
        [
            "ReconcileScheduleExpression: cron(15 3 * * * *): one of day-of-month and day-of-week is ?,"
            " and only one"
        ],
    ),
    (
        "a bad rate",
        "Default: rate(1 hour)", "Default: rate(1 hours)",
        ["ScheduleExpression: rate(1 hours): it is 1 hour"],
    ),
    (
        "a bad literal",
        "ScheduleExpression: !Ref ScheduleExpression\n", "ScheduleExpression: cron(60 3 * * ? *)\n",
        ["CompleteSyncIncremental: cron(60 3 * * ? *): minutes: 60 is not within 0–59"],
    ),
    (
        "a schedule without a dead-letter queue",
        "            DeadLetterConfig:\n              Arn: !GetAtt ScheduleDeadLetters.Arn\n", "",
        ["CompleteSyncIncremental: no dead-letter queue"],
    ),
    (
        "a schedule that tries for a day",
        "              MaximumEventAgeInSeconds: 900\n", "",
        ["CompleteSyncIncremental: no complete RetryPolicy"],
    ),
    (
        "a schedule without a time zone",
        "            ScheduleExpressionTimezone: !Ref ScheduleTimezone\n", "",
        ["CompleteSyncIncremental: no time zone"],
    ),
    (
        "a rule without a dead-letter queue",
        "          DeadLetterConfig:\n            Arn: !GetAtt NotificationDeadLetters.Arn\n", "",
        ["RunEnded: no dead-letter queue"],
    ),
    # Alarms
    (
        "an alarm that nobody hears",
        "      AlarmActions: [!Ref Notifications]\n", "",
        ["RunFailedAlarmCompleteSync: the alarm tells no topic"],
    ),
    (
        "an alarm without a description",
        "      AlarmDescription: A notification did not reach a subscriber.\n", "",
        ["NotificationsFailedAlarm: no description"],
    ),
    (
        "an alarm that is not in the runbook",
        "-QuarantineGrowthAlarm\n", "-QuarantineAlarm\n",
        [
            "QuarantineGrowthAlarm: the runbook has no section QuarantineAlarm",
            "The runbook's section QuarantineGrowthAlarm is about no alarm",
        ],
    ),
]

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


class Lint(unittest.TestCase):
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

    def test_assertions(self):
        sound = self.copy.read_text()
        self.assertEqual(template.judged(self.copy)[1], [])
        for name, old, new, complaints in PLANTED:
            with self.subTest(name):
                self.copy.write_text(sound)
                self.plant(self.copy, old, new)
                self.assertEqual(template.judged(self.copy)[1], complaints)

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

    def machine_lint(self) -> str:
        validator = HERE / "node_modules/asl-validator/dist/bin/asl-validator.js"
        return self.run_lint(os.environ["NODE"], validator, "--json-path", self.machine)

    def test_next_to_nowhere(self):
        self.plant(self.machine, '"Next": "MayRun?"', '"Next": "Nowhere"')
        self.assertRegex(self.machine_lint(), "Nowhere")

    def test_broken_jsonata(self):
        self.plant(self.machine, "{% $states.result.Payload %}", "{% $states.result.( %}")
        self.assertRegex(self.machine_lint(), "/States/Preflight/Output is invalid")


if __name__ == "__main__":
    unittest.main()
