"""Plants commands that show a secret in documents, and sees to it that the lint names
them.
"""

import unittest
from pathlib import Path

import documents

INFRA = Path(__file__).parent.parent

SHOWN = [
    'curl -s -H "Authorization: Bearer $TOKEN" "$API/admin/runs"',
    'curl --header "Authorization: Bearer $TOKEN" "$API/admin/runs"',
    "curl -H\"Authorization: Basic $PAIR\" x",
    "curl -H 'authorization: $TOKEN' x",
    'curl -s \\\n  -u "$CLIENT:$SECRET" "https://sign.in/oauth2/token"',
    "curl -ume:secret https://x",
    "curl --user me:secret x",
    "curl --user=me:secret x",
    'curl --oauth2-bearer "$TOKEN" x',
    'curl -d "grant_type=client_credentials&client_secret=$SECRET" https://x/oauth2/token',
    'curl -d client_secret=$S https://x',
    'curl --data-urlencode client_secret="$S" https://x',
    'aws secretsmanager put-secret-value --secret-id a --secret-string "$(cat t)"',
    'aws secretsmanager put-secret-value --secret-id a --secret-string="$(cat t)"',
    'aws secretsmanager create-secret --secret-string  "x"',
    'make deploy ARGS="--parameter-overrides SquareAccessToken=EAAA"',
    'make deploy ARGS="--parameter-overrides ParameterKey=SquareAccessToken,ParameterValue=EAAA"',
    "aws cognito-idp admin-set-user-password --username ada --password x --permanent",
    "aws cognito-idp admin-create-user --username ada --temporary-password x",
    "aws rds create-db-instance --master-user-password=x",
    "aws cognito-idp add-user-pool-client-secret --client-secret=x",
    "SQUARE_ACCESS_TOKEN=EAAA make run",
    "export DATABASE_URL=postgres://host/d",
    'PGPASSWORD="x" psql -h host',
    'psql "postgres://u:p@h/d"',
    'psql "host=h password=x"',
    "pg_dump postgres://u:p@h/d",
    "pg_dump --dbname=postgres://u:p@h/d",
    'openssl enc -aes-256-cbc -k "$SECRET"',
    "openssl rsa -passin pass:x",
]
# What does not work on the local stack.
ELSEWHERE = [
    "make deploy ARGS='--parameter-overrides UserPoolDeletionProtection=INACTIVE'",
    "QUEUE=a\naws sqs purge-queue --queue-url $QUEUE",
    "umask 077; aws cognito-idp add-user-pool-client-secret --user-pool-id a --client-id b > c",
]
HIDDEN = [
    "aws secretsmanager put-secret-value --secret-id a --secret-string file://t",
    "# needs AWS\nmake secret NAME=SquareAccessToken",
    """printf 'header = "Authorization: %s"\\n' "$TOKEN" | curl --config - "$API" """,
    "TOKEN=$(make -s token)",
    "aws cognito-idp admin-set-user-password --cli-input-json file://password.json",
    "createdb -h host square",
    "export DATABASE_URL_SECRET_ARN=arn:aws:secretsmanager:us-east-1:1:secret:a",
]


class Documents(unittest.TestCase):
    def test_what_is_written(self):
        for path in [INFRA / "RUNBOOK.md", INFRA.parent / "README.md", INFRA.parent / "docs/DEPLOYING.md"]:
            self.assertEqual(documents.complaints(path.name, path.read_text()), [])

    def test_planted(self):
        for line in SHOWN:
            with self.subTest(line):
                for markdown in [
                    f"```sh\n{line}\n```\n", f"   ```sh\n   {line}\n   ```\n", f"```\n{line}\n```\n",
                    f"```bash\n{line}\n```\n", f"~~~ console\n$ {line}\n~~~\n",
                ]:
                    self.assertTrue(documents.complaints("a", markdown), markdown)
        # In a sentence there is room for one line without backticks.
        for line in [line for line in SHOWN if "\n" not in line]:
            with self.subTest(line):
                self.assertTrue(documents.complaints("a", f"Run `{line}` then.\n"))
        for line in HIDDEN:
            with self.subTest(line):
                self.assertEqual(documents.complaints("a", f"```sh\n{line}\n```\n"), [])
        for line in ELSEWHERE:
            with self.subTest(line):
                self.assertTrue(documents.complaints("a", f"```sh\n{line}\n```\n"))
                marked = f"```sh\n# needs AWS\n{line}\n```\n"
                self.assertEqual(documents.complaints("a", marked), [])
        self.assertEqual(documents.complaints("a", "Neither `--password` nor `DatabaseUrl`.\n"), [])


if __name__ == "__main__":
    unittest.main()
