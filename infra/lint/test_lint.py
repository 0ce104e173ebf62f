"""Plants defects in copies of the real template, machines and sources, one at a time,
and sees to it that the lint names them. Run it with the Python that has cfn-lint;
NODE is the Node to run the machines' validator with.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import documents
import imports
import invoke
import schedule
import template

HERE = Path(__file__).parent
INFRA = HERE.parent

# The functions that speak to Square, and the machines, as the loops have them.
SQUARE = ["Preflight", "Locations", "Catalog", "Inventory", "Publish", "Orders"]
MACHINES = ["CompleteSync", "HistoricalOrders", "Migration", "Restore"]

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
        ["Preflight: no log group of its own"],
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
        ["Preflight: no role of its own"],
    ),
    (
        "a log that is kept for ever",
        "          RetentionInDays: !Ref LogRetentionDays\n", "",
        [f"{function}Logs: no RetentionInDays" for function in [*SQUARE, "Migrate", "Finish", "Api"]],
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
            for machine in MACHINES
        ],
    ),
    (
        "a policy of AWS's",
        "- !If [HasKmsKey, !Ref KeyUse, !Ref AWS::NoValue]\n", "- arn:aws:iam::aws:policy/AdministratorAccess\n",
        [
            f"{function}Role: nobody gave a reason for the policy arn:aws:iam::aws:policy/AdministratorAccess"
            for function in SQUARE
        ],
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
        ["Locations: the secret SquareAccessToken gets out of Secrets Manager"],
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
        ["Locations: the variable SQUARE_ACCESS_TOKEN is called like a secret"],
    ),
    (
        "a literal secret",
        "_ARN: !Ref SquareAccessTokenSecret\n", "_ARN: EAAAl7Xw\n",
        ["Locations: the variable SQUARE_ACCESS_TOKEN_SECRET_ARN has a value like a secret"],
    ),
    (
        "a secret that is shown",
        "    NoEcho: true\n    MinLength: 1\n", "    MinLength: 1\n",
        [
            "SquareAccessToken: looks like a secret without NoEcho",
            "SquareAccessTokenSecret: its value is not a NoEcho parameter or a client's secret alone",
        ],
    ),
    (
        "a secret in the clear",
        "      SecretString: !Ref DatabaseUrl\n", "      SecretString: postgres://me:open@host/base\n",
        ["DatabaseUrlSecret: its value is not a NoEcho parameter or a client's secret alone"],
    ),
    (
        "a secret with a default",
        '    NoEcho: true\n    Default: ""\n', "    NoEcho: true\n    Default: open\n",
        ["OidcClientSecret: a default value in the clear"],
    ),
    (
        "a client's secret among the outputs",
        "    Value: !Ref PeopleClient\n", "    Value: !GetAtt PeopleClient.ClientSecret\n",
        ["Output PeopleClientId: the secret PeopleClient.ClientSecret gets out of Secrets Manager"],
    ),
    (
        "a secret that anybody could know",
        "      SecretString: !GetAtt PeopleClient.ClientSecret\n", "      SecretString: !Ref PeopleClient\n",
        ["PeopleClientSecret: its value is not a NoEcho parameter or a client's secret alone"],
    ),
    # Sign-in
    (
        "a pool in which Ada and ada are two people",
        "        CaseSensitive: false\n", "        CaseSensitive: true\n",
        ["UserPool: a person may have several names"],
    ),
    (
        "a pool that a slip deletes",
        "    Default: ACTIVE\n", "    Default: INACTIVE\n",
        ["UserPool: people can be deleted by a slip"],
    ),
    (
        "a pool that a failed deployment leaves",
        "    DeletionPolicy: RetainExceptOnCreate\n", "    DeletionPolicy: Retain\n",
        ["UserPool: a failed first deployment leaves it, or its stack takes it along"],
    ),
    (
        "a client without a secret",
        "      GenerateSecret: true\n", "      GenerateSecret: false\n",
        ["PeopleClient: a client without a secret"],
    ),
    (
        "tokens that are good for days",
        "        RefreshToken: hours\n", "        RefreshToken: days\n",
        ["PeopleClient: its tokens outlive a session"],
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
        "          AlarmActions: [!Ref Notifications]\n", "",
        [f"RunFailedAlarm{machine}: the alarm tells no topic" for machine in MACHINES]
        + [f"RunFailedAlarm{machine}: there are stories of it, but no such alarm" for machine in MACHINES],
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

# What is done to an alarm, whose it is, and what happens that it then is wrong in.
MISTUNED = [
    ("Expression: FILL(whole, 0)", "Expression: whole", "NoSuccessAlarm: no run any more"),
    (
        "MetricName: WholeSyncs\n              Dimensions: [{ Name: Stack, Value: !Ref AWS::StackName }]",
        "MetricName: RunsSucceeded\n              Dimensions: [{ Name: Kind, Value: complete_sync }]",
        "NoSuccessAlarm: all syncs fail, but orders are read at night",
    ),
    (
        " - FILL(told, 0)", "",
        "RunFailedAlarmCompleteSync: ExecutionsFailed all night, each told of after two minutes",
    ),
    (
        "          DatapointsToAlarm: 4\n", "          DatapointsToAlarm: 1\n",
        "RunFailedAlarmRestore: ExecutionsTimedOut, told of after some tries",
    ),
    (
        "          EvaluationPeriods: 26\n", "          EvaluationPeriods: 1\n",
        "NearTimeOutAlarmCatalog: the daily listing nears its time-out",
    ),
    (
        "      EvaluationPeriods: 168\n", "      EvaluationPeriods: 1\n",
        "NotificationsFailedAlarm: a subscriber is gone",
    ),
    (" + FILL(api, 0)", "", "FunctionThrottlesAlarm: no room for Api"),
    (" - FILL(errors, 0)", "", "ApiErrorsAlarm: the function fails"),
    (
        "AlarmDescription: A notification did not reach a subscriber.\n",
        "AlarmDescription: A notification did not reach a subscriber.\n      OKActions: [!Ref Notifications]\n",
        "NotificationsFailedAlarm: mails that all is well when it is new",
    ),
    (
        "  NotificationsFailedAlarm:\n", "  OtherAlarm:\n",
        "OtherAlarm: nobody says when it rings and when it is quiet",
    ),
]

# What is added to a file of the API, and all that is said about its imports then.
IMPORTED = [
    (
        "a use of a higher layer",
        "http/error.rs", "use crate::page::HOME;",
        ["http/error.rs:1: crate::page::HOME is in a layer above http: page"],
    ),
    (
        "a path to a higher layer",
        "auth/jwks.rs", "fn all() -> Vec<crate::runs::view::RunView> { vec![] }",
        ["auth/jwks.rs:1: crate::runs::view::RunView is in a layer above auth: runs"],
    ),
    (
        "a path in an attribute",
        "setting.rs", '#[serde(with = "crate::page::words::time")]',
        ["setting.rs:1: crate::page::words::time is in a layer above setting: page"],
    ),
    (
        "what the root defines",
        "page/words.rs", "use crate::router;",
        ["page/words.rs:1: crate::router is in a layer above page: the root"],
    ),
    (
        "two files that use each other",
        "page/frame.rs", "use super::notice::{self as message}; type Message = message::Notice;",
        ["2 files in a circle of imports: page/frame.rs page/notice.rs"],
    ),
    (
        "a child that uses what its parent defines",
        "auth/session.rs", "fn of(sign_in: &super::SignIn) {}",
        ["2 files in a circle of imports: auth/mod.rs auth/session.rs"],
    ),
    (
        "everything of the parent",
        "auth/session.rs", "use super::*;",
        ["2 files in a circle of imports: auth/mod.rs auth/session.rs"],
    ),
    ("what a parent hands on", "page/words.rs", "use super::Frame;", []),
    ("a test", "http/error.rs", "#[cfg(test)] mod more { use crate::page::HOME; }", []),
    ("a comment", "http/error.rs", "// use crate::page::HOME;", []),
    ("a text", "http/error.rs", 'const A: &str = "use crate::page::HOME;";', []),
    ("a word of the language", "http/error.rs", "fn f() -> impl Fn() + use<> { crate::page::HOME }", [
        "http/error.rs:1: crate::page::HOME is in a layer above http: page",
    ]),
    (
        "a module without a layer",
        "lib.rs", "mod extra {}",
        ["api.txt: extra is in no layer"],
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

    def test_alarms(self):
        sound = self.copy.read_text()
        for old, new, wrong in MISTUNED:
            with self.subTest(wrong):
                self.copy.write_text(sound)
                self.plant(self.copy, old, new)
                said = template.judged(self.copy)[1]
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
                self.assertRegex("\n".join(template.judged(self.copy)[1]), complaint)
                self.machine.write_text(sound)

    def test_errors_of_a_call(self):
        for name in sorted(invoke.PASSING):
            with self.subTest(name):
                sound = self.machine.read_text()
                # The first in a list, or another one.
                old = f'"Lambda.{name}", ' if f'"Lambda.{name}", ' in sound else f', "Lambda.{name}"'
                self.plant(self.machine, old, "")
                self.assertIn(
                    f"Migration, Preflight: does not retry Lambda.{name}",
                    template.judged(self.copy)[1],
                )
                self.machine.write_text(sound)
        self.plant(
            self.machine, '"Lambda.ServiceException", ',
            '"Lambda.ServiceException", "Lambda.KMSDisabledException", ',
        )
        self.assertIn(
            "Migration, Preflight: retries Lambda.KMSDisabledException in vain",
            template.judged(self.copy)[1],
        )
        self.assertEqual(
            invoke.undecided({"ServiceException", "TiredException"}),
            ["Lambda's Invoke may end with TiredException: is it retried?"],
        )

    def machine_lint(self) -> str:
        validator = HERE / "node_modules/asl-validator/dist/bin/asl-validator.js"
        return self.run_lint(os.environ["NODE"], validator, "--json-path", self.machine)

    def test_next_to_nowhere(self):
        self.plant(self.machine, '"Next": "MayRun?"', '"Next": "Nowhere"')
        self.assertRegex(self.machine_lint(), "Nowhere")

    def test_broken_jsonata(self):
        self.plant(self.machine, "{% $states.result.Payload %}", "{% $states.result.( %}")
        self.assertRegex(self.machine_lint(), "/States/Preflight/Output is invalid")


class Imports(unittest.TestCase):
    def test_planted(self):
        listed = HERE / "layers" / "api.txt"
        source = INFRA.parent / "functions" / "api" / "src"
        self.assertEqual(imports.judged(source, listed)[0], [])
        for name, file, line, wanted in IMPORTED:
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                copy = Path(shutil.copytree(source, Path(folder) / "src"))
                planted = copy / file
                planted.write_text(f"{line}\n{planted.read_text()}")
                said = imports.judged(copy, listed)[0]
                # Of a circle the first line is enough, and of a path its end.
                for complaint in wanted:
                    self.assertTrue(any(text.endswith(complaint) for text in said), said)
                if not wanted:
                    self.assertEqual(said, [])


class Documents(unittest.TestCase):
    def test_what_is_written(self):
        for path in [INFRA / "RUNBOOK.md", INFRA.parent / "README.md", INFRA.parent / "docs/DEPLOYING.md"]:
            self.assertEqual(documents.complaints(path.name, path.read_text()), [])

    def test_planted(self):
        for line, is_shown in [
            ('curl -s -H "Authorization: Bearer $TOKEN" "$API/admin/runs"', True),
            ('curl -s \\\n  -u "$CLIENT:$SECRET" "https://sign.in/oauth2/token"', True),
            ('aws secretsmanager put-secret-value --secret-id a --secret-string "$(cat t)"', True),
            ("aws secretsmanager put-secret-value --secret-id a --secret-string file://t", False),
            ('make deploy ARGS="--parameter-overrides SquareAccessToken=EAAA"', True),
            ("make secret NAME=SquareAccessToken", False),
            ("aws cognito-idp admin-set-user-password --username ada --password x --permanent", True),
            ('psql "postgres://u:p@h/d"', True),
            ("""printf 'header = "Authorization: %s"\\n' "$TOKEN" | curl --config - "$API" """, False),
        ]:
            with self.subTest(line):
                said = documents.complaints("a", f"```sh\n{line}\n```\n")
                self.assertEqual(bool(said), is_shown, said)


if __name__ == "__main__":
    unittest.main()
