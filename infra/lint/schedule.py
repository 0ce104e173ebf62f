"""The schedule expressions of EventBridge Scheduler: rate(), cron() and at()."""

import re
from datetime import datetime

RATE = re.compile(r"([0-9]+) (minute|hour|day)(s?)")
MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
# Each field of cron(): its least and greatest value, and the names from the least on.
FIELDS = {
    "minutes": (0, 59, []),
    "hours": (0, 23, []),
    "day-of-month": (1, 31, []),
    "month": (1, 12, MONTHS),
    "day-of-week": (1, 7, DAYS),
    "year": (1970, 2199, []),
}


class Invalid(ValueError):
    pass


def complaint(expression: str) -> str | None:
    """What is wrong with the expression, or nothing."""
    try:
        if found := re.fullmatch(r"(rate|cron|at)\((.*)\)", expression):
            {"rate": check_rate, "cron": check_cron, "at": check_at}[found[1]](found[2])
            return None
        raise Invalid("is neither rate(…) nor cron(…) nor at(…)")
    except Invalid as error:
        return f"{expression}: {error}"


def check_rate(text: str) -> None:
    found = RATE.fullmatch(text)
    if not found:
        raise Invalid("rate() takes a whole number and minutes, hours or days")
    number, unit, plural = int(found[1]), found[2], found[3]
    if number == 0:
        raise Invalid("the number of a rate() is 1 or more")
    if (number == 1) == bool(plural):
        raise Invalid(f"it is {number} {unit}{'' if number == 1 else 's'}")


def check_at(text: str) -> None:
    try:
        if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}", text):
            raise Invalid("at() takes yyyy-mm-ddThh:mm:ss")
        datetime.fromisoformat(text)
    except Invalid:
        raise
    except ValueError as error:
        raise Invalid(f"no such time: {error}") from error


def check_cron(text: str) -> None:
    fields = text.split(" ")
    if len(fields) != len(FIELDS):
        raise Invalid(f"cron() takes six fields ({' '.join(FIELDS)}), not {len(fields)}")
    values = dict(zip(FIELDS, fields))
    for name, value in values.items():
        check_field(name, value)
    if (values["day-of-month"] == "?") == (values["day-of-week"] == "?"):
        raise Invalid("one of day-of-month and day-of-week is ?, and only one")


def check_field(name: str, text: str) -> None:
    if text == "*" or (text == "?" and name.startswith("day-of-")):
        return
    if name == "day-of-month" and text in {"L", "LW"}:
        return
    if name == "day-of-month" and text.endswith("W"):
        number(name, text[:-1])
        return
    if name == "day-of-week" and text.endswith("L"):
        if text != "L":
            number(name, text[:-1])
        return
    if name == "day-of-week" and "#" in text:
        day, _, which = text.partition("#")
        number(name, day)
        if which not in {"1", "2", "3", "4", "5"}:
            raise Invalid(f"{name}: {text} is no week of a month")
        return
    for part in text.split(","):
        check_part(name, part)


def check_part(name: str, text: str) -> None:
    """One of the values between commas: 5, 5-9, */5, 5/5 or 5-9/5."""
    span, slash, step = text.partition("/")
    greatest = FIELDS[name][1]
    if slash and not (re.fullmatch("[0-9]+", step) and 1 <= int(step) <= greatest):
        raise Invalid(f"{name}: {step or 'nothing'} is no step ({text})")
    if span == "*" and slash:
        return
    first, dash, last = span.partition("-")
    begin = number(name, first)
    if dash and number(name, last) < begin:
        raise Invalid(f"{name}: {text} runs backwards")


def number(name: str, text: str) -> int:
    least, greatest, names = FIELDS[name]
    if text.upper() in names:
        return least + names.index(text.upper())
    if re.fullmatch("[0-9]+", text) and least <= int(text) <= greatest:
        return int(text)
    raise Invalid(f"{name}: {text or 'nothing'} is not within {least}–{greatest}")
