"""Who may do what: roles and their policies, and the ways in from outside.

Exceptions are listed first, each with its reason.
"""

import re

from reading import of_type, references, settle, texts, walk

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


def complaints(template: dict) -> list[str]:
    return no_wildcards(template) + boundaries(template) + routes(template) + ways_round(template)


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


def boundaries(template: dict) -> list[str]:
    """Accounts that demand a permissions boundary demand it of SAM's own roles as well."""
    return [
        f"{name}: no PermissionsBoundary"
        for name, properties in of_type(settle(template, True), "AWS::IAM::Role")
        if properties.get("PermissionsBoundary") != {"Ref": "PermissionsBoundary"}
    ]


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


def ways_round(template: dict) -> list[str]:
    """Where there is a domain, nobody gets past what stands before it."""
    mapped = {
        api for _, properties in of_type(template, "AWS::ApiGatewayV2::ApiMapping")
        for api in references(properties.get("ApiId"))
    }
    return [
        f"{name}: its own address stays open beside the domain"
        for name, properties in of_type(settle(template, True), "AWS::ApiGatewayV2::Api")
        if name in mapped and properties.get("DisableExecuteApiEndpoint") is not True
    ]
