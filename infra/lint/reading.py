"""Reading the expanded template: its resources by their types, what a value refers to,
and what becomes of it under each condition.
"""

import re
from collections.abc import Iterator


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


def holds(template: dict, condition) -> bool:
    """Whether a condition is met where each parameter has its default."""
    match condition:
        case str(name) | {"Condition": name}:
            return holds(template, template["Conditions"][name])
        case {"Fn::Not": [part]}:
            return not holds(template, part)
        case {"Fn::And": parts}:
            return all(holds(template, part) for part in parts)
        case {"Fn::Or": parts}:
            return any(holds(template, part) for part in parts)
        case {"Fn::Equals": [left, right]}:
            return by_default(template, left) == by_default(template, right)
    raise ValueError(f"no such condition: {condition}")


def by_default(template: dict, value) -> str | None:
    """The value as text where each parameter has its default; a list's, joined."""
    if isinstance(value, dict) and "Fn::Join" in value:
        return by_default(template, value["Fn::Join"][1])
    if isinstance(value, dict):
        value = template["Parameters"][value["Ref"]].get("Default")
    return None if value is None else str(value)


def greatest(template: dict, value) -> float | None:
    """The greatest number that the value may be; none if nothing limits it."""
    if isinstance(value, dict):
        value = template["Parameters"].get(value.get("Ref"), {}).get("MaxValue")
    return None if value is None else float(value)
