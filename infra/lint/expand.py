"""Expands the serverless template to the plain one that AWS would make of it."""

import json
import os
from pathlib import Path

import yaml
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator
from samtranslator.yaml_helper import intrinsics_multi_constructor

REGION = "us-east-1"


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """Reads !Ref and its like; in C where there is such a reader, ten times as fast."""


Loader.add_multi_constructor("!", intrinsics_multi_constructor)


def read(path: Path) -> dict:
    """The template with its state machines in it."""
    template = yaml.load(path.read_text(), Loader)
    for resource in template["Resources"].values():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::Serverless::Function":
            # Some bucket where code would lie.
            properties["CodeUri"] = "s3://bucket/key"
        elif resource["Type"] == "AWS::Serverless::StateMachine":
            definition = path.parent / properties.pop("DefinitionUri")
            properties["Definition"] = json.loads(definition.read_text())
    return template


def expanded(template: dict) -> dict:
    """The plain CloudFormation template that the serverless one stands for.

    The translator changes what it is given; hand it a copy to keep the original.
    """
    os.environ["AWS_DEFAULT_REGION"] = REGION
    translator = Translator({}, Parser())
    plain = translator.translate(template, parameter_values={})
    translator.metrics.publish()  # to nowhere, or it warns of metrics it has left
    for resource in plain["Resources"].values():
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            # All lines as one: cfn-lint goes one call deeper with each part of a
            # join, and a long definition is too much for it.
            join = resource["Properties"]["DefinitionString"]["Fn::Join"]
            join[1] = [join[0].join(join[1])]
    return plain
