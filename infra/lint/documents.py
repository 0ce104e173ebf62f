"""Sees to it that no documented command shows a secret (other users of a machine see
the arguments of commands, and the shell keeps them), and that none is taken for one
that works on the local stack and does not. Arguments: the documents.
"""

import re
import sys
from pathlib import Path

FILE = "give it in a file, by file://"
# What puts a secret among a command's arguments or into the shell's history, and how
# else it gets where it belongs.
SHOWN = {
    r"Authorization:\s*\S": "give curl the header through --config -",
    r"\bcurl\b[^|]*\s(-u|--user[ =]|--oauth2-bearer)": "give curl the user through --config -",
    r"(client_secret|password|refresh_token)=(?!\.\.\.|…)": "give it in a file, or through --config -",
    r"--secret-string[ =]+(?![\"']?file://)": FILE,
    r"--secret-binary[ =]+(?![\"']?fileb://)": FILE,
    r"--[\w-]*(password|client-secret|access-token)[ =]": f"{FILE}, or by --cli-input-json",
    r"\b(SquareAccessToken|DatabaseUrl|OidcClientSecret)(=|,ParameterValue=)": "make secret asks for it",
    # Of another command's answer it is no secret yet.
    r"\b\w*(TOKEN|SECRET|PASSWORD|SESSION_KEY|DATABASE_URL)=(?![\"']?\$\(|\s|$)": "read it from a file, or have it asked for",
    r"://[^\s/@:'\"]*:[^\s/@'\"]+@": "let the program ask for the password, or read ~/.pgpass",
    r"\bpsql\b.*://": "let psql ask for the password, or read ~/.pgpass",
    r"\bopenssl\b.*\s(-k\s|-pass(in|out)?\s+pass:)": "give it in a file",
}
# An example of an address's shape is none.
EXAMPLE = re.compile(r"://(user|…):(password|…)@")
# What somebody could paste of what is set as code in a sentence: a name alone is nothing.
COMMAND = re.compile(r"[\s=]")
FENCE = re.compile(r"^( *)(`{3,}|~{3,})([^\n`]*)\n(.*?)^ *\2", re.MULTILINE | re.DOTALL)
# What the local stack has no answer to.
ON_AWS = re.compile(
    r"^ *(make (deploy|plan|secret|destroy)\b|.*\baws (rds|sqs|sns) |.*-client-secrets?\b|.*get-account-settings)",
    re.MULTILINE,
)
MARK = "# needs AWS"


def complaints(name: str, markdown: str) -> list[str]:
    found = []
    for command in commands(markdown):
        # The shell does this by itself: no other command gets the arguments.
        shown = re.sub(r"\bprintf '[^']*'( \"[^\"]*\")*", "", EXAMPLE.sub("://", command))
        found += [
            f"{name}: {command.strip()}: {way}"
            for pattern, way in SHOWN.items() if re.search(pattern, shown, re.IGNORECASE)
        ]
    return found + [
        f"{name}: {block[4].strip().splitlines()[0]}: the block does not say {MARK}"
        for block in FENCE.finditer(markdown)
        if ON_AWS.search(block[4]) and not block[4].lstrip().startswith(MARK)
    ]


def commands(markdown: str) -> list[str]:
    """The lines of all blocks, whatever they are said to be in, and what is set as code
    within a sentence."""
    found = []
    for block in FENCE.finditer(markdown):
        # A command may go on in the next line.
        found += re.sub(r"\\\n\s*", " ", block[4]).splitlines()
    for code in re.findall(r"`([^`\n]+)`", FENCE.sub("", markdown)):
        if COMMAND.search(code.strip()):
            found.append(code)
    return found


def main(paths: list[str]) -> int:
    found = [text for path in paths for text in complaints(path, Path(path).read_text())]
    for text in found:
        print(text, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
