"""Sees to it that no documented command shows a secret: other users of a machine see
the arguments of commands, and the shell keeps them. Arguments: the documents.
"""

import re
import sys
from pathlib import Path

# What puts a secret among a command's arguments, and how else it gets there.
SHOWN = {
    r"-H \S*Authorization": "give curl the header through --config -",
    r"\bcurl\b[^|]* (-u|--user) ": "give curl the user through --config -",
    r"--secret-string (?!file://)": "put it into a file, and give file://",
    r"\b(SquareAccessToken|DatabaseUrl|OidcClientSecret)=": "make secret asks for it",
    r"--(master-user-)?password\b|--client-secret ": "give it in a file, by --cli-input-json file://",
    r"\bpsql\b.*://": "let psql ask for the password, or read ~/.pgpass",
    r"\bPGPASSWORD=": "let psql ask for the password, or read ~/.pgpass",
}


def complaints(name: str, markdown: str) -> list[str]:
    found = []
    for block in re.findall(r"^ *```sh\n(.*?)^ *```", markdown, re.MULTILINE | re.DOTALL):
        # A command may go on in the next line.
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            # The shell does this by itself: no other command gets the arguments.
            command = re.sub(r"\bprintf '[^']*'( \"[^\"]*\")*", "", line)
            found += [
                f"{name}: {line.strip()}: {way}"
                for pattern, way in SHOWN.items() if re.search(pattern, command)
            ]
    return found


def main(paths: list[str]) -> int:
    found = [text for path in paths for text in complaints(path, Path(path).read_text())]
    for text in found:
        print(text, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
