"""Lints the template twice: as it is written, and as AWS would expand it.

The first pass finds misspelt properties. The second one finds what hides inside
the serverless resources until they are expanded: dangling references in
policies, wrong runtimes, state machine placeholders without a value. Both work
offline.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import yaml_parse

REGION = "us-east-1"


def with_local_files(template: dict, folder: Path) -> dict:
    """Puts the state machines in, and names some bucket where code would lie."""
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            properties["CodeUri"] = "s3://bucket/key"
        elif resource["Type"] == "AWS::Serverless::StateMachine":
            definition = folder / properties.pop("DefinitionUri")
            properties["Definition"] = json.loads(definition.read_text())
    return template


def expanded(path: Path) -> dict:
    """The plain CloudFormation template that the serverless one stands for."""
    os.environ["AWS_DEFAULT_REGION"] = REGION
    template = with_local_files(yaml_parse(path.read_text()), path.parent)
    plain = Translator({}, Parser()).translate(template, parameter_values={})
    for resource in plain["Resources"].values():
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            # All lines as one: cfn-lint goes one call deeper with each part of a
            # join, and a long definition is too much for it.
            join = resource["Properties"]["DefinitionString"]["Fn::Join"]
            join[1] = [join[0].join(join[1])]
    return plain


def cfn_lint(path: Path) -> bool:
    lint = Path(sys.executable).parent / "cfn-lint"
    command = [lint, "--non-zero-exit-code", "warning", "--regions", REGION]
    return subprocess.run([*command, "--", path], check=False).returncode == 0


def main(path: Path) -> int:
    try:
        plain = expanded(path)
    except InvalidDocumentException as error:
        for cause in error.causes:
            print(f"{path}: {cause.message}", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "expanded-template.json"
        copy.write_text(json.dumps(plain, indent=2))
        passed = [cfn_lint(path), cfn_lint(copy)]
    if all(passed):
        print(f"{path}: no complaints")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
