"""What we hold the expanded template to, beyond what the scanners know.

Each check is a pure function from the template to its complaints. Exceptions are
listed first, each with its reason.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator

import alarms as stories
import invoke
import schedule

OPEN_ROUTES = {
    "$default": "the function itself checks who asks, and refuses in its own words",
}
# The actions, the resource as a pattern, and why it cannot be a narrower one.
WILDCARD_RESOURCES = [
    (
        {
            "logs:CreateLogDelivery",
            "logs:GetLogDelivery",
            "logs:UpdateLogDelivery",
            "logs:DeleteLogDelivery",
            "logs:ListLogDeliveries",
            "logs:PutResourcePolicy",
            "logs:DescribeResourcePolicies",
            "logs:DescribeLogGroups",
        },
        r"\*",
        "log delivery knows no finer resource than all of them",
    ),
    (
        {"xray:PutTraceSegments", "xray:PutTelemetryRecords"},
        r"\*",
        "X-Ray knows no finer resource than all of them",
    ),
    (
        {
            "ec2:CreateNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:DeleteNetworkInterface",
            "ec2:AssignPrivateIpAddresses",
            "ec2:UnassignPrivateIpAddresses",
        },
        r"\*",
        "Lambda asks for these before there is an interface to name",
    ),
    (
        {"states:DescribeExecution", "states:StopExecution"},
        r"arn:.+:states:.+:execution:\$\{\w+\.Name\}:\*",
        "any execution of one machine of ours; its name comes with its start",
    ),
    (
        {"rds:CreateDBSnapshot", "rds:DescribeDBSnapshots", "rds:AddTagsToResource"},
        r"arn:.+:rds:.+:snapshot:square-sync-\*",
        "snapshots of our own; their names end with the run's id",
    ),
    (
        {"rds:CreateDBClusterSnapshot", "rds:DescribeDBClusterSnapshots", "rds:AddTagsToResource"},
        r"arn:.+:rds:.+:cluster-snapshot:square-sync-\*",
        "snapshots of our own; their names end with the run's id",
    ),
]
MANAGED_POLICIES = {
    "arn:aws:iam::aws:policy/AWSXrayWriteOnlyAccess": "SAM's, for machines: traces have no resource to name",
}
UNENCRYPTED = {
    "Notifications": "alarms cannot use the key that AWS has for SNS; KmsKeyArn gives one of your own",
}

SECRET_NAME = re.compile(r"(TOKEN|PASSWORD|SECRET|_KEY|DATABASE_URL|CREDENTIALS?)$", re.IGNORECASE)
SECRET_VALUE = re.compile(
    r"EAAA|sq0[a-z]{3}-|AKIA[A-Z0-9]{12}|://[^/\s:@]+:[^/\s@]+@|\{\{resolve:|-----BEGIN"
    r"|(?=[A-Za-z+/]*[0-9])[A-Za-z0-9+/=_-]{32,}"
)


def complaints(template: dict, headings: set[str]) -> list[str]:
    found = no_wildcards(template) + parameters(template) + secrets(template)
    found += environments(template) + routes(template) + retriers(template)
    found += sign_in(template) + invoke.judged(definitions(template))
    # With all conditions met, and with none, so that no property hides in either.
    for truth in [True, False]:
        settled = settle(template, truth)
        for check in [functions, machines, log_groups, schedules, rules, encryption]:
            found += check(settled)
        found += alarms(settled, headings)
    return list(dict.fromkeys(found))


def headings(markdown: str) -> set[str]:
    return set(re.findall(r"^#+ (.+?) *$", markdown, re.MULTILINE))


# ------------------------------------------------------------- Reading a template


def of_type(template: dict, kind: str) -> Iterator[tuple[str, dict]]:
    for name, resource in template["Resources"].items():
        if resource["Type"] == kind:
            yield name, resource.get("Properties", {})


def settle(value, truth: bool):
    """The value with all conditions met, or with none."""
    if isinstance(value, dict):
        if list(value) == ["Fn::If"]:
            return settle(value["Fn::If"][1 if truth else 2], truth)
        settled = {key: settle(part, truth) for key, part in value.items()}
        return {key: part for key, part in settled.items() if not is_nothing(part)}
    if isinstance(value, list):
        return [part for part in (settle(part, truth) for part in value) if not is_nothing(part)]
    return value


def is_nothing(value) -> bool:
    return value == {"Ref": "AWS::NoValue"}


def walk(value) -> Iterator:
    """The value and all that is inside it."""
    yield value
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    for part in parts:
        yield from walk(part)


def references(value) -> Iterator[str]:
    """Names that the value refers to, as Name or Name.Attribute."""
    for part in walk(value):
        if not isinstance(part, dict):
            continue
        if isinstance(part.get("Ref"), str):
            yield part["Ref"]
        if attribute := part.get("Fn::GetAtt"):
            yield attribute if isinstance(attribute, str) else ".".join(map(str, attribute))
        if text := part.get("Fn::Sub"):
            yield from re.findall(r"\$\{([^!}]+)\}", text if isinstance(text, str) else text[0])


def referred(template: dict, value, kind: str) -> str | None:
    """The one resource of the kind that the value refers to."""
    names = [name.partition(".")[0] for name in references(value)]
    if len(names) == 1 and template["Resources"].get(names[0], {}).get("Type") == kind:
        return names[0]
    return None


def texts(value) -> list[str]:
    """A string, or strings, of a policy as they are written there."""
    found = []
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, dict) and list(part) == ["Fn::If"]:
            found += texts(part["Fn::If"][1]) + texts(part["Fn::If"][2])
        elif isinstance(part, dict) and "Fn::Sub" in part:
            sub = part["Fn::Sub"]
            found.append(sub if isinstance(sub, str) else sub[0])
        elif isinstance(part, dict) and "Fn::Join" in part:
            separator, parts = part["Fn::Join"]
            found.append(separator.join(text for item in parts for text in texts(item)))
        elif isinstance(part, str):
            found.append(part)
        else:
            found.append("${" + "".join(references(part)) + "}")
    return found


# -------------------------------------------------------- Functions and machines


def functions(template: dict) -> list[str]:
    found = []
    groups, roles = Counter(), Counter()
    for name, properties in of_type(template, "AWS::Lambda::Function"):
        logging = properties.get("LoggingConfig", {})
        group = referred(template, logging.get("LogGroup"), "AWS::Logs::LogGroup")
        role = referred(template, properties.get("Role"), "AWS::IAM::Role")
        groups[group] += 1
        roles[role] += 1
        if properties.get("TracingConfig", {}).get("Mode") != "Active":
            found.append(f"{name}: tracing is not Active")
        if logging.get("LogFormat") != "JSON":
            found.append(f"{name}: its log is not in JSON")
        if "Timeout" not in properties:
            found.append(f"{name}: no Timeout")
        if group is None or groups[group] > 1:
            found.append(f"{name}: no log group of its own")
        if role is None or roles[role] > 1:
            found.append(f"{name}: no role of its own")
    return found


def machines(template: dict) -> list[str]:
    found = []
    roles = Counter()
    for name, properties in of_type(template, "AWS::StepFunctions::StateMachine"):
        logging = properties.get("LoggingConfiguration", {})
        role = referred(template, properties.get("RoleArn"), "AWS::IAM::Role")
        roles[role] += 1
        if properties.get("TracingConfiguration", {}).get("Enabled") is not True:
            found.append(f"{name}: tracing is not enabled")
        if logging.get("Level", "OFF") == "OFF":
            found.append(f"{name}: logging is off")
        if not referred(template, logging.get("Destinations"), "AWS::Logs::LogGroup"):
            found.append(f"{name}: no log group in this template")
        if role is None or roles[role] > 1:
            found.append(f"{name}: no role of its own")
    return found


def definitions(template: dict) -> dict[str, str]:
    """The machines' definitions as JSON text."""
    return {
        machine: "".join(texts(properties["DefinitionString"]))
        for machine, properties in of_type(template, "AWS::StepFunctions::StateMachine")
    }


def retriers(template: dict) -> list[str]:
    """An error is retried alike wherever it may come, and each machine says once why."""
    found = []
    known = {}
    for machine, definition in definitions(template).items():
        reasons = {}
        for state, retrier in retried(json.loads(definition)):
            where = f"{machine}, {state}"
            reason = retrier.pop("Comment", None)
            for name in retrier["ErrorEquals"]:
                # Any task may run out of time; what helps depends on whom it asked.
                if name.startswith("States."):
                    continue
                first, like = known.setdefault(name, (where, retrier))
                if retrier != like:
                    found.append(f"{where}: {name} is retried otherwise than in {first}")
            named = retrier["ErrorEquals"][0]
            reasons[named] = reasons.get(named) or reason
        found += [f"{machine}: nobody says why {name} is retried" for name, reason in reasons.items() if not reason]
    return found


def retried(definition: dict) -> Iterator[tuple[str, dict]]:
    """Each retrier of a machine, and the state it stands in."""
    for part in walk(definition):
        if isinstance(part, dict) and isinstance(part.get("States"), dict):
            for state, what in part["States"].items():
                for retrier in what.get("Retry", []):
                    yield state, retrier


def log_groups(template: dict) -> list[str]:
    return [
        f"{name}: no RetentionInDays"
        for name, properties in of_type(template, "AWS::Logs::LogGroup")
        if "RetentionInDays" not in properties
    ]


# ---------------------------------------------------------------- Who may do what


def no_wildcards(template: dict) -> list[str]:
    found = []
    for name, resource in template["Resources"].items():
        for part in walk(resource.get("Properties", {})):
            if isinstance(part, dict) and part.get("Effect") == "Allow":
                found += [f"{name}: {text}" for text in statement(part)]
        for policy in texts(resource.get("Properties", {}).get("ManagedPolicyArns", [])):
            if policy.startswith("arn:") and policy not in MANAGED_POLICIES:
                found.append(f"{name}: nobody gave a reason for the policy {policy}")
    return found


def statement(allowed: dict) -> list[str]:
    found = [f"{key} allows all but a few" for key in ["NotAction", "NotResource", "NotPrincipal"] if key in allowed]
    principal = allowed.get("Principal", {})
    if any("*" in texts(who) for who in [principal, *walk(principal)] if not isinstance(who, dict)):
        found.append("everybody is allowed")
    for action in texts(allowed.get("Action", [])):
        if "*" in action or "?" in action:
            found.append(f"wildcard action {action}")
            continue
        for resource in texts(allowed.get("Resource", [])):
            if ("*" in resource or "?" in resource) and not any(
                action in actions and re.fullmatch(pattern, resource)
                for actions, pattern, _ in WILDCARD_RESOURCES
            ):
                found.append(f"wildcard resource {resource} for {action}")
    return found


def routes(template: dict) -> list[str]:
    found = []
    for name, properties in of_type(template, "AWS::ApiGatewayV2::Route"):
        route = properties.get("RouteKey")
        closed = properties.get("AuthorizationType", "NONE") != "NONE"
        if not closed and route not in OPEN_ROUTES:
            found.append(f"{name}: no authorizer for the route {route}, and no reason why")
    for name, properties in of_type(template, "AWS::ApiGatewayV2::Api"):
        if "Body" in properties or "Target" in properties:
            found.append(f"{name}: its routes are not resources of their own, so nobody checks them")
    for name, properties in of_type(template, "AWS::Lambda::Url"):
        if properties.get("AuthType") != "AWS_IAM":
            found.append(f"{name}: everybody may call the function")
    return found


# ------------------------------------------------------------------------ Secrets


def secrets(template: dict) -> list[str]:
    hidden = {
        name for name, parameter in template["Parameters"].items()
        if str(parameter.get("NoEcho")).lower() == "true"
    }
    found = [
        f"{name}: looks like a secret without NoEcho"
        for name in template["Parameters"]
        if name not in hidden and re.search(r"(Token|Password|Secret)$", name)
    ]
    found += [
        f"{name}: a default value in the clear"
        for name in sorted(hidden) if template["Parameters"][name].get("Default")
    ]
    for name, resource in template["Resources"].items():
        properties = dict(resource.get("Properties", {}))
        if resource["Type"] == "AWS::SecretsManager::Secret":
            value = properties.pop("SecretString", None)
            if value is not None and not is_secret(template, value, hidden):
                found.append(f"{name}: its value is not a NoEcho parameter or a client's secret alone")
        found += leaks(name, {**resource, "Properties": properties}, hidden)
    for name, output in template.get("Outputs", {}).items():
        found += leaks(f"Output {name}", output, hidden)
    return found


def is_secret(template: dict, value, hidden: set[str]) -> bool:
    """Whether the value is a NoEcho parameter, or what Cognito made for a client."""
    if value in [{"Ref": one} for one in hidden]:
        return True
    client = referred(template, value, "AWS::Cognito::UserPoolClient")
    return client is not None and value == {"Fn::GetAtt": [client, "ClientSecret"]}


def leaks(where: str, value, hidden: set[str]) -> list[str]:
    return [f"{where}: the secret {name} gets out of Secrets Manager"
            for name in references(value) if name in hidden or name.endswith(".ClientSecret")]


# ------------------------------------------------------------------------ Sign-in


def sign_in(template: dict) -> list[str]:
    """People's pools and clients, of which some settings can never be changed."""
    found = []
    for name, properties in of_type(template, "AWS::Cognito::UserPool"):
        if properties.get("UsernameConfiguration", {}).get("CaseSensitive") is not False:
            found.append(f"{name}: a person may have several names")
        protection = properties.get("DeletionProtection")
        if isinstance(protection, dict):
            protection = template["Parameters"].get(protection.get("Ref"), {}).get("Default")
        if protection != "ACTIVE":
            found.append(f"{name}: people can be deleted by a slip")
        if template["Resources"][name].get("DeletionPolicy") != "RetainExceptOnCreate":
            found.append(f"{name}: a failed first deployment leaves it, or its stack takes it along")
    for name, properties in of_type(template, "AWS::Cognito::UserPoolClient"):
        if properties.get("GenerateSecret") is not True:
            found.append(f"{name}: a client without a secret")
        if "code" in properties.get("AllowedOAuthFlows", []):
            units = {"RefreshToken": "hours", "IdToken": "minutes"}
            if not units.items() <= properties.get("TokenValidityUnits", {}).items():
                found.append(f"{name}: its tokens outlive a session")
    return found


def environments(template: dict) -> list[str]:
    found = []
    for name, properties in of_type(template, "AWS::Lambda::Function"):
        for variable, value in properties.get("Environment", {}).get("Variables", {}).items():
            where = f"{name}: the variable {variable}"
            if SECRET_NAME.search(variable):
                found.append(f"{where} is called like a secret")
            if any(reference.endswith(".ClientSecret") for reference in references(value)):
                found.append(f"{where} holds a client's secret")
            literals = [part for part in walk(value) if isinstance(part, str)]
            if any(SECRET_VALUE.search(re.sub(r"\$\{[^}]*\}", "", text)) for text in literals):
                found.append(f"{where} has a value like a secret")
    return found


def encryption(template: dict) -> list[str]:
    found = []
    for name, properties in of_type(template, "AWS::SNS::Topic"):
        if "KmsMasterKeyId" not in properties and name not in UNENCRYPTED:
            found.append(f"{name}: not encrypted, and no reason why")
    for name, properties in of_type(template, "AWS::SQS::Queue"):
        own = properties.get("SqsManagedSseEnabled") is True
        if not own and "KmsMasterKeyId" not in properties and name not in UNENCRYPTED:
            found.append(f"{name}: not encrypted, and no reason why")
    return found


# --------------------------------------------------------------------- Parameters


def parameters(template: dict) -> list[str]:
    interface = template.get("Metadata", {}).get("AWS::CloudFormation::Interface", {})
    listed = Counter(
        name for group in interface.get("ParameterGroups", []) for name in group["Parameters"]
    )
    found = [f"{name}: grouped, but no parameter" for name in listed if name not in template["Parameters"]]
    for name, parameter in template["Parameters"].items():
        if not parameter.get("Description"):
            found.append(f"{name}: no description")
        bounded = {"MinValue", "MaxValue"} <= parameter.keys()
        if not bounded and not parameter.keys() & {"AllowedPattern", "AllowedValues", "MinLength"}:
            found.append(f"{name}: anything is allowed in it")
        if listed[name] != 1:
            found.append(f"{name}: in {listed[name]} parameter groups rather than one")
    return found


# ---------------------------------------------------------------------- Schedules


def schedules(template: dict) -> list[str]:
    found = []
    for name, properties in of_type(template, "AWS::Scheduler::Schedule"):
        if "ScheduleExpressionTimezone" not in properties:
            found.append(f"{name}: no time zone")
        found += delivery(name, properties.get("Target", {}))
        found += expression(template, name, properties.get("ScheduleExpression"))
    return found


def expression(template: dict, name: str, value) -> list[str]:
    if isinstance(value, dict) and value.get("Ref") in template["Parameters"]:
        name = value["Ref"]
        value = template["Parameters"][name].get("Default")
        if value is None:
            return []
    if not isinstance(value, str):
        return [f"{name}: the schedule expression is neither a literal nor a parameter"]
    wrong = schedule.complaint(value)
    return [f"{name}: {wrong}"] if wrong else []


def rules(template: dict) -> list[str]:
    found = []
    for name, properties in of_type(template, "AWS::Events::Rule"):
        for target in properties.get("Targets", []):
            found += delivery(name, target)
        if "ScheduleExpression" in properties:
            found += expression(template, name, properties["ScheduleExpression"])
    return found


def delivery(name: str, target: dict) -> list[str]:
    found = []
    if not {"MaximumRetryAttempts", "MaximumEventAgeInSeconds"} <= target.get("RetryPolicy", {}).keys():
        found.append(f"{name}: no complete RetryPolicy")
    if "Arn" not in target.get("DeadLetterConfig", {}):
        found.append(f"{name}: no dead-letter queue")
    return found


# ------------------------------------------------------------------------- Alarms


def alarms(template: dict, headings: set[str]) -> list[str]:
    found = []
    families = set()
    for name, properties in of_type(template, "AWS::CloudWatch::Alarm"):
        if not any(
            referred(template, action, "AWS::SNS::Topic")
            for action in properties.get("AlarmActions", [])
        ) or properties.get("ActionsEnabled") is False:
            found.append(f"{name}: the alarm tells no topic")
        if not properties.get("AlarmDescription"):
            found.append(f"{name}: no description")
        called = "".join(texts(properties.get("AlarmName", "")))
        family = re.fullmatch(r"\$\{AWS::StackName\}-(\S+)( .+)?", called)
        if not family:
            found.append(f"{name}: its AlarmName is not ${{AWS::StackName}}-Family …")
            continue
        families.add(family[1])
        if family[1] not in headings:
            found.append(f"{name}: the runbook has no section {family[1]}")
    for heading in sorted(headings):
        if re.fullmatch(r"\w+Alarm", heading) and heading not in families:
            found.append(f"The runbook's section {heading} is about no alarm")
    heard = {
        name: properties
        for name, properties in of_type(template, "AWS::CloudWatch::Alarm")
        if properties.get("AlarmActions")
    }
    return found + stories.complaints(heard, template["Parameters"])
