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
import rights
import schedule
from reading import greatest, holds, of_type, references, referred, settle, texts, walk

UNENCRYPTED = {
    "Notifications": "alarms cannot use the key that AWS has for SNS; KmsKeyArn gives one of your own",
}
# A condition under which an alarm may mail nothing, and why.
MUTED = {"SchedulesAreOn": "what does not start cannot succeed"}
# The longest that a token may be good, in hours, by the way in which a client gets it.
LONGEST = {
    "code": {"IdToken": 8, "AccessToken": 8, "RefreshToken": 8},
    "client_credentials": {"AccessToken": 24},
}
HOURS = {"minutes": 1 / 60, "hours": 1, "days": 24}
# Addresses to which no secret is sent.
PAGES = {"PublicUrl": "browsers go there, to whom every name below localhost is this machine"}
# What anybody on the way, or whoever answers for names, could read.
IN_CLEAR = ["http://shop.example", "http://localhost.example", "http://127.0.0.1.example"]
IN_CLEAR_TO_PROGRAMS = ["http://shop.localhost", "http://shop.localhost:4600"]

SECRET_NAME = re.compile(r"(TOKEN|PASSWORD|SECRET|_KEY|DATABASE_URL|CREDENTIALS?)$", re.IGNORECASE)
SECRET_VALUE = re.compile(
    r"EAAA|sq0[a-z]{3}-|AKIA[A-Z0-9]{12}|://[^/\s:@]+:[^/\s@]+@|\{\{resolve:|-----BEGIN"
    r"|(?=[A-Za-z+/]*[0-9])[A-Za-z0-9+/=_-]{32,}"
)


def complaints(template: dict, headings: set[str]) -> list[str]:
    found = rights.complaints(template) + parameters(template) + addresses(template)
    found += secrets(template) + environments(template) + retriers(template)
    found += sign_in(template) + masters(template) + mailing(template)
    found += invoke.judged(definitions(template))
    # With all conditions met, and with none, so that no property hides in either.
    for truth in [True, False]:
        settled = settle(template, truth)
        for check in [functions, machines, log_groups, schedules, rules, encryption, subscriptions]:
            found += check(settled)
        found += alarms(settled, headings)
    return list(dict.fromkeys(found))


def headings(markdown: str) -> set[str]:
    return set(re.findall(r"^#+ (.+?) *$", markdown, re.MULTILINE))


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
        for flow in properties.get("AllowedOAuthFlows", []):
            found += [
                f"{name}: its {token} may be good for more than {most} hours"
                for token, most in LONGEST.get(flow, {}).items()
                if not longest(template, properties, token) <= most
            ]
    return found


def longest(template: dict, client: dict, token: str) -> float:
    """How many hours a token may be good; without an end if nobody says."""
    number = greatest(template, client.get(f"{token}Validity"))
    unit = HOURS.get(client.get("TokenValidityUnits", {}).get(token))
    return float("inf") if number is None or unit is None else number * unit


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


def subscriptions(template: dict) -> list[str]:
    """SNS tries a mail for hours; what a program does not take is gone after a minute."""
    return [
        f"{name}: what it does not take is lost"
        for name, properties in of_type(template, "AWS::SNS::Subscription")
        if not str(properties.get("Protocol")).startswith("email")
        and "deadLetterTargetArn" not in properties.get("RedrivePolicy", {})
    ]


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


def addresses(template: dict) -> list[str]:
    """Tokens and secrets go to addresses: by http to this machine alone."""
    found = []
    for name, parameter in template["Parameters"].items():
        if not re.search(r"(Url|Issuer)$", name):
            continue
        in_clear = IN_CLEAR if name in PAGES else IN_CLEAR + IN_CLEAR_TO_PROGRAMS
        found += [
            f"{name}: {url} may be its value"
            for url in in_clear if re.fullmatch(parameter.get("AllowedPattern", ".*"), url)
        ]
    return found


# ---------------------------------------------------------------------- Schedules


def schedules(template: dict) -> list[str]:
    found = []
    for name, properties in of_type(template, "AWS::Scheduler::Schedule"):
        if "ScheduleExpressionTimezone" not in properties:
            found.append(f"{name}: no time zone")
        if not referred(template, properties.get("GroupName"), "AWS::Scheduler::ScheduleGroup"):
            found.append(f"{name}: not in the stack's group of schedules")
        found += delivery(name, properties.get("Target", {}))
        found += expression(template, name, properties.get("ScheduleExpression"))
    return found


def masters(template: dict) -> list[str]:
    """One parameter stops all that starts by itself."""
    found = []
    for name, properties in of_type(template, "AWS::Scheduler::Schedule"):
        match properties.get("State"):
            case {"Ref": "ScheduleState"} | {"Fn::If": ["SchedulesAreOn", _, "DISABLED"]}:
                pass
            case _:
                found.append(f"{name}: ScheduleState does not stop it")
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
        ):
            found.append(f"{name}: the alarm tells no topic")
        if not properties.get("AlarmDescription"):
            found.append(f"{name}: no description")
        family = family_of(properties)
        if not family:
            found.append(f"{name}: its AlarmName is not ${{AWS::StackName}}-Family …")
            continue
        families.add(family)
        if family not in headings:
            found.append(f"{name}: the runbook has no section {family}")
    for heading in sorted(headings):
        if re.fullmatch(r"\w+Alarm", heading) and heading not in families:
            found.append(f"The runbook's section {heading} is about no alarm")
    heard = {
        name: properties
        for name, properties in of_type(template, "AWS::CloudWatch::Alarm")
        if properties.get("AlarmActions")
    }
    return found + stories.complaints(heard, template["Parameters"])


def family_of(alarm: dict) -> str | None:
    called = "".join(texts(alarm.get("AlarmName", "")))
    found = re.fullmatch(r"\$\{AWS::StackName\}-(\S+)( .+)?", called)
    return found[1] if found else None


def mailing(template: dict) -> list[str]:
    """Alarms are there, and mail, unless somebody wants them not to."""
    found = []
    families: dict[str | None, bool] = {}
    for name, properties in of_type(template, "AWS::CloudWatch::Alarm"):
        condition = template["Resources"][name].get("Condition")
        is_there = condition is None or holds(template, condition)
        family = family_of(properties)
        families[family] = families.get(family, False) or is_there
        match properties.get("ActionsEnabled", True):
            case True:
                pass
            case {"Fn::If": [condition, True, False]} if condition in MUTED:
                pass
            case _:
                found.append(f"{name}: the alarm tells no topic")
    return found + [
        f"{family}: no such alarm where each parameter has its default"
        for family, is_there in families.items() if not is_there
    ]
