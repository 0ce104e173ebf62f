"""Expands the serverless template to the plain one that AWS would make of it.

As a program it writes the template out without its loops, which is the one that is
deployed: the transform that AWS would expand them with fills the parameters in, the
secrets too, and whoever may read the stack could read them there. Arguments: the
template, and the file to write.
"""

import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import yaml
from cfnlint.template.transforms._language_extensions import language_extension
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import intrinsics_multi_constructor

from reading import walk

REGION = "us-east-1"


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Reads !Ref and its like; in C where there is such a reader, ten times as fast."""


Loader.add_multi_constructor("!", intrinsics_multi_constructor)


class InvalidLoop(ValueError):
    pass


def read(path: Path) -> dict:
    """The template without its loops, and with its state machines in it."""
    template = written_out(yaml.load(path.read_text(), Loader))
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            # Some bucket where code would lie.
            properties["CodeUri"] = "s3://bucket/key"
        elif resource["Type"] == "AWS::Serverless::StateMachine":
            definition = path.parent / properties.pop("DefinitionUri")
            properties["Definition"] = json.loads(definition.read_text())
    return template


def written_out(template: dict) -> dict:
    """The template as the transform AWS::LanguageExtensions leaves it.

    By cfn-lint, which does no more than that. SAM's own expander also fills in the
    parameters' defaults and settles the conditions by them: the rules would no
    longer see where a secret goes, nor what hides behind a condition.
    """
    wrong, plain = language_extension(SimpleNamespace(template=template, regions=[REGION], filename=None))
    if wrong:
        raise InvalidLoop("; ".join(match.message for match in wrong))
    for part in walk(plain):
        if isinstance(part, dict) and "Fn::FindInMap" in part:
            raise InvalidLoop(f"The mappings have no {part['Fn::FindInMap']}")
    del plain["Mappings"]
    plain["Transform"] = "AWS::Serverless-2016-10-31"
    return plain


def expanded(template: dict) -> dict:
    """The plain CloudFormation template that the serverless one stands for.

    The translator changes what it is given; hand it a copy to keep the original.
    """
    os.environ["AWS_DEFAULT_REGION"] = REGION
    translator = Translator({}, Parser())
    try:
        plain = translator.translate(template, parameter_values={})
    finally:
        translator.metrics.publish()  # to nowhere, or it warns of metrics it has left
    for resource in plain["Resources"].values():
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            # All lines as one: cfn-lint goes one call deeper with each part of a
            # join, and a long definition is too much for it.
            join = resource["Properties"]["DefinitionString"]["Fn::Join"]
            join[1] = [join[0].join(join[1])]
    return plain


if __name__ == "__main__":
    template = written_out(yaml.load(Path(sys.argv[1]).read_text(), Loader))
    Path(sys.argv[2]).write_text(json.dumps(template, indent=1, default=str))
