"""Deploys with a SAM that only writes down what it was told: what is asked, what is
given, and what stays behind when somebody presses Ctrl-C.
"""

import os
import select
import shutil
import signal
import subprocess
import tempfile
import termios
import time
import unittest
from pathlib import Path

import yaml

INFRA = Path(__file__).parent.parent
PATIENCE = 30  # seconds, at most

# What sh may be: each treats signals in its own way.
SHELLS = list(filter(shutil.which, ["dash", "bash"])) or ["sh"]

# The parameters of the file are written down where the test finds them.
SAM = """#!/bin/sh
for argument; do
  echo "$argument" >> arguments
  case $argument in file:///*) cat "${argument#file://}" >> parameters; stat -c %a "${argument#file://}" > mode ;; esac
done
"""
PYTHON = """#!/bin/sh
case $1 in *expand.py) exit 0 ;; esac
exec python3 "$@"
"""


class Deploy(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name) / "a checkout"
        tools = self.folder / ".tools" / "sam" / "bin"
        tools.mkdir(parents=True)
        for name, text in [("sam", SAM), ("python", PYTHON)]:
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        (self.folder / "infra").mkdir()
        shutil.copy(INFRA / "deploy.sh", self.folder / "infra")
        self.scratch = Path(folder.name) / "scratch"
        self.scratch.mkdir()
        self.env = {**os.environ, "TMPDIR": str(self.scratch), "AWS_REGION": "eu-west-1"}

    def sam(self, script: str):
        (self.folder / ".tools/sam/bin/sam").write_text(f"#!/bin/sh\n{script}")

    def run_deploy(self, *arguments: str, answers: list[str]) -> subprocess.CompletedProcess:
        return subprocess.run(
            ["sh", "infra/deploy.sh", *arguments], cwd=self.folder, env=self.env, check=False,
            input="".join(f"{answer}\n" for answer in answers), capture_output=True, text=True,
        )

    def deploy(self, *arguments: str, answers: list[str]) -> str:
        run = self.run_deploy(*arguments, answers=answers)
        self.said = run.stderr
        self.assertEqual(run.returncode, 0, run.stderr)
        self.assertEqual(list(self.scratch.iterdir()), [])
        return (self.folder / "arguments").read_text()

    def parameters(self) -> dict:
        self.assertEqual((self.folder / "mode").read_text(), "600\n")
        return yaml.safe_load((self.folder / "parameters").read_text())

    def test_one_deployment_serves_a_private_database(self):
        answers = ["shop", "", "", 'to"ken', "postgres://u:p@h/d", "subnet-1,subnet-2", "sg-1", "a@b.example"]
        arguments = self.deploy("deploy", answers=answers)
        self.assertEqual(self.parameters(), {
            "SquareEnvironment": "production", "SquareAccessToken": 'to"ken',
            "DatabaseUrl": "postgres://u:p@h/d", "VpcSubnetIds": "subnet-1,subnet-2",
            "VpcSecurityGroupIds": "sg-1", "NotificationEmail": "a@b.example",
            "UserPoolDeletionProtection": "INACTIVE",
        })
        # A failed first deployment has to be able to delete the pool.
        self.assertIn("--parameter-overrides\nUserPoolDeletionProtection=ACTIVE\n", arguments)
        self.assertIn("--stack-name\nshop\n--region\neu-west-1\n--on-failure\nDELETE\n", arguments)
        for secret in ['to"ken', "postgres://"]:
            self.assertNotIn(secret, arguments)
        self.assertIn('stack_name = "shop"', (self.folder / "samconfig.toml").read_text())
        # The next one asks nothing, in a folder with a space in its name.
        again = self.deploy("deploy", answers=[])
        self.assertIn(f"--config-file\n{self.folder}/samconfig.toml\n", again)

    def test_arguments_and_questions_go_together(self):
        arguments = self.deploy(
            "deploy", "--region", "eu-north-1", "--parameter-overrides", "NotificationEmail=c@d.example",
            "VpcSubnetIds=", "LogLevel=WARN", "--no-rollback",
            answers=["shop", "", "token", "postgres://u:p@h/d"],
        )
        self.assertEqual(self.parameters()["SquareAccessToken"], "token")
        overrides = arguments.split("--parameter-overrides\n")
        self.assertEqual(len(overrides), 3, arguments)
        first, *others = overrides[1].splitlines()
        self.assertTrue(first.startswith("file://"), first)
        others = others[:others.index("--no-rollback") + 1]
        self.assertEqual(others, ["NotificationEmail=c@d.example", "VpcSubnetIds=", "LogLevel=WARN", "--no-rollback"])
        self.assertNotIn("region [", self.said)

    def test_both_deployments_are_by_whom_and_with_what_was_asked_for(self):
        kept = ["--profile", "shop", "--tags", "team=a b", "owner=c", "--role-arn", "arn:aws:iam::1:role/cfn"]
        for overrides in [
            ["--parameter-overrides", "LogLevel=WARN", "VpcSubnetIds="],
            ["--parameter-overrides=LogLevel=WARN", "VpcSubnetIds="],
            [],
        ]:
            with self.subTest(overrides):
                (self.folder / "arguments").unlink(missing_ok=True)
                (self.folder / "samconfig.toml").unlink(missing_ok=True)
                answers = ["shop", "", "", "token", "postgres://u:p@h/d", *([] if overrides else [""]), ""]
                arguments = self.deploy("deploy", *kept[:2], *overrides, *kept[2:], answers=answers)
                _, first, second = arguments.split("deploy\n--template-file\n")
                for one in [first, second]:
                    for part in [kept[:2], kept[2:5], kept[5:]]:
                        self.assertIn("\n".join(part) + "\n", one)
                self.assertNotIn("LogLevel", second)
                self.assertNotIn("VpcSubnetIds", second)
                self.assertIn("--parameter-overrides\nUserPoolDeletionProtection=ACTIVE\n", second)

    def test_a_pool_that_was_not_protected_is_not_forgotten(self):
        # The second deployment fails.
        self.sam('for argument; do case $argument in *=ACTIVE) exit 1 ;; esac; done\n')
        answers = ["shop", "", "", "token", "postgres://u:p@h/d", "", ""]
        run = self.run_deploy("deploy", "--profile", "shop", "--tags", "team=a b", answers=answers)
        self.assertEqual(run.returncode, 1)
        self.assertIn(
            "make deploy ARGS='--profile shop --tags \"team=a b\" --parameter-overrides UserPoolDeletionProtection=ACTIVE'",
            run.stderr,
        )
        self.assertEqual(list(self.scratch.iterdir()), [])

    def test_a_pool_is_left_as_it_was_asked_for(self):
        arguments = self.deploy(
            "deploy", "--parameter-overrides", "UserPoolDeletionProtection=INACTIVE",
            answers=["shop", "", "", "token", "postgres://u:p@h/d", "", ""],
        )
        self.assertEqual(arguments.count("--template-file"), 1)
        self.assertNotIn("ACTIVE\n", arguments.replace("INACTIVE", ""))

    def test_a_text_that_cannot_be_written_down_ends_it(self):
        (self.folder / ".tools/sam/bin/python").write_text("#!/bin/sh\ncase $1 in -c) exit 1 ;; esac\n")
        for action in [["deploy"], ["secret", "DatabaseUrl", "--stack-name", "shop"]]:
            answers = ["shop", "", "", "token", "postgres://u:p@h/d", "", ""]
            run = self.run_deploy(*action, answers=answers)
            self.assertNotEqual(run.returncode, 0, run.stderr)
            self.assertEqual(list(self.scratch.iterdir()), [])
        self.assertFalse((self.folder / "arguments").exists())

    def test_what_it_does_not_know_fails(self):
        for action in [["deplyo"], ["secret", "LogLevel"], []]:
            run = self.run_deploy(*action, answers=[])
            self.assertEqual(run.returncode, 1, run.stderr)
        self.assertFalse((self.folder / "arguments").exists())

    def test_with_a_stack_s_name_nothing_is_asked(self):
        given = ["--stack-name", "shop", "--parameter-overrides", "file://parameters.yaml"]
        arguments = self.deploy("deploy", *given, answers=[])
        self.assertIn("\n".join(given), arguments)
        self.assertEqual(arguments.count("file://"), 1)

    def test_a_secret_is_asked_for(self):
        arguments = self.deploy("secret", "DatabaseUrl", "--stack-name", "shop", answers=["postgres://u:q@h/d"])
        self.assertEqual(self.parameters(), {"DatabaseUrl": "postgres://u:q@h/d"})
        self.assertNotIn("postgres", arguments)

    def test_names_that_would_fail_deep_in_the_deployment(self):
        for name in ["s" * 49, "1shop", "the_shop", "the shop"]:
            given = ["--stack-name", name]
            for arguments, answers in [
                (["deploy", *given], []), (["deploy"], [name]), (["plan", *given], []),
                (["secret", "DatabaseUrl", *given], ["postgres://u:p@h/d"]),
            ]:
                run = self.run_deploy(*arguments, answers=answers)
                self.assertEqual(run.returncode, 1, run.stderr)
                self.assertIn("name has", run.stderr)
        self.assertFalse((self.folder / "arguments").exists())

    def test_ctrl_c_leaves_no_secret_and_a_terminal_that_shows_what_is_typed(self):
        # SAM waits, so that the file with the secrets is there.
        self.sam("echo at work\nexec sleep 600\n")
        answers = ["shop", "", "", "token", "postgres://u:p@h/d", "", ""]
        ends = ["Access token", "Database", "subnets", "at work"]
        for end in ends:
            for shell in SHELLS:
                for number in [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]:
                    with self.subTest(end=end, shell=shell, signal=number.name):
                        self.interrupt(shell, list(answers), end, number)

    def interrupt(self, shell: str, answers: list[str], end: str, number: int):
        # The side that the shell has stays open here, and so outlives it.
        terminal, shown = os.openpty()
        self.addCleanup(os.close, terminal)
        self.addCleanup(os.close, shown)
        child = subprocess.Popen(
            [shell, "infra/deploy.sh", "deploy"], cwd=self.folder, env=self.env,
            stdin=shown, stdout=shown, stderr=shown, start_new_session=True,
        )
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        said = ""
        until = time.monotonic() + PATIENCE
        while end not in said:
            self.assertLess(time.monotonic(), until, said)
            if select.select([terminal], [], [], 0.1)[0]:
                said += os.read(terminal, 1000).decode()
            # A question has been asked, and not the one to stop at.
            if answers and said.rstrip(" ").endswith(":") and end not in said:
                os.write(terminal, f"{answers.pop(0)}\n".encode())
                said += "\n"
        # As the terminal does it: to all that is in front.
        os.killpg(child.pid, number)
        self.assertEqual(child.wait(PATIENCE), 128 + number)
        self.assertEqual(list(self.scratch.iterdir()), [])
        self.assertTrue(termios.tcgetattr(shown)[3] & termios.ECHO)


if __name__ == "__main__":
    unittest.main()
