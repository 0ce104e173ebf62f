"""Sees to it that each alarm of the template rings in the case that it is for and is
quiet otherwise: with the timing of real runs, by CloudWatch's own rules.
"""

import ast
import functools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass

from cloudwatch import Alarm, Metric, Query, Recorded, mails

HOUR = 60
DAY = 24 * HOUR
STACK = "AWS::StackName"
# The machines, and the kinds of run that they are for.
MACHINES = {
    "CompleteSync": "complete_sync",
    "HistoricalOrders": "historical_orders",
    "Migration": "migration",
    "Restore": "restore",
}
FUNCTIONS = [
    "Preflight", "Locations", "Catalog", "Inventory", "Publish",
    "Orders", "Migrate", "Finish", "Api",
]
# Trouble begins here in each story, after a quiet time.
AT = 10 * HOUR


@dataclass(frozen=True)
class Story:
    """What happens, and the mails that it is worth: each with the minutes between which
    it is sent."""

    alarm: str
    what: str
    report: Callable[[Recorded], None]
    mails: tuple[tuple[str, int, int], ...] = ()
    until: int = AT + 8 * HOUR


def each(metric: Metric, minutes, value: float = 1) -> Callable[[Recorded], None]:
    def report(recorded: Recorded) -> None:
        for minute in minutes:
            recorded.add(metric, minute, value)

    return report


def both(*reports: Callable[[Recorded], None]) -> Callable[[Recorded], None]:
    def report(recorded: Recorded) -> None:
        for one in reports:
            one(recorded)

    return report


def ring(first: int, last: int) -> tuple[tuple[str, int, int], ...]:
    return (("ALARM", first, last),)


def hourly(first: int, last: int) -> range:
    return range(first, last, HOUR)


def of_runs() -> list[Story]:
    found = []
    for machine, kind in MACHINES.items():
        alarm = f"RunFailedAlarm{machine}"
        told = ("FailuresTold", kind)
        for name in ["ExecutionsFailed", "ExecutionsTimedOut"]:
            metric = (name, machine)
            found += [
                Story(
                    alarm, f"{name}, and nobody is told",
                    each(metric, [AT]), ring(AT + 10, AT + 25),
                ),
                Story(
                    alarm, f"{name} all night, each told of after two minutes",
                    both(each(metric, hourly(AT, AT + DAY)), each(told, hourly(AT + 2, AT + DAY))),
                ),
                Story(
                    alarm, f"{name}, told of after some tries",
                    both(each(metric, [AT + 3]), each(told, [AT + 13])),
                ),
            ]
    return found


def of_success() -> list[Story]:
    alarm, whole, run = "NoSuccessAlarm", ("WholeSyncs", STACK), ("RunsSucceeded", "complete_sync")
    sync = [each(whole, hourly(-DAY, AT)), each(run, hourly(-DAY, AT))]
    last = AT - HOUR
    gone = ("ALARM", last + 3 * HOUR, last + 4 * HOUR)
    return [
        Story(alarm, "a sync every hour", each(whole, hourly(-DAY, 3 * DAY))),
        Story(alarm, "a sync every hour that takes longer or shorter", both(
            each(whole, range(-DAY, 2 * DAY, 2 * HOUR)),
            each(whole, range(-DAY + 85, 2 * DAY, 2 * HOUR)),
        )),
        Story(alarm, "no run any more", both(*sync), (gone,)),
        Story(
            alarm, "all syncs fail, but orders are read at night",
            both(*sync, each(run, [AT + 5 * HOUR, AT + 29 * HOUR])), (gone,), 2 * DAY,
        ),
        Story(
            alarm, "syncs succeed again", both(*sync, each(whole, hourly(AT + DAY, 3 * DAY))),
            (gone, ("OK", AT + DAY, AT + DAY + 10)), 2 * DAY,
        ),
    ]


def of_functions() -> list[Story]:
    orders, api, finish = [("Errors", name) for name in ["Orders", "Api", "Finish"]]
    outages = [AT + hour + late for hour in range(0, DAY, HOUR) for late in range(0, 9, 2)]
    tries = [AT + hour + late for hour in range(0, DAY, HOUR) for late in [0, 1, 3]]
    throttled = [("Throttles", name) for name in FUNCTIONS]
    storm = [AT + late for late in range(0, 3 * HOUR, 20)]
    found = [
        Story(
            "FunctionErrorsAlarmOrders", "an import loses windows",
            each(orders, range(AT, AT + HOUR, 2)), ring(AT + 10, AT + 21),
        ),
        Story(
            "FunctionErrorsAlarmOrders", "an outage ends each run in eight minutes",
            each(orders, outages),
        ),
        Story("FunctionErrorsAlarmOrders", "an hourly step fails three times", each(orders, tries)),
        Story(
            "FunctionErrorsAlarmApi", "every call ends with an error",
            each(api, range(AT, AT + HOUR)), ring(AT + 5, AT + 16),
        ),
        Story("FunctionErrorsAlarmApi", "two calls end with an error", each(api, [AT, AT + 1])),
        Story(
            "FunctionErrorsAlarmFinish", "it ends with an error",
            each(finish, [AT]), ring(AT, AT + 10),
        ),
        Story(
            "FunctionErrorsAlarmFinish", "the database is away all night",
            each(finish, tries), ring(AT, AT + 10), DAY,
        ),
        Story("FunctionErrorsAlarmFinish", "another one ends with an error", each(orders, [AT])),
        Story(
            "FunctionThrottlesAlarm", "no room, now and then, for all",
            both(*[each(metric, storm) for metric in throttled]), ring(AT, AT + 5),
        ),
        Story("FunctionThrottlesAlarm", "room for all", each(("Errors", "Api"), storm)),
    ]
    found += [
        Story(
            "FunctionThrottlesAlarm", f"no room for {metric[1]}",
            each(metric, [AT]), ring(AT, AT + 5),
        )
        for metric in throttled
    ]
    return found


def of_steps() -> list[Story]:
    found = []
    for step in ["locations", "catalog", "inventory"]:
        alarm, used = f"NearTimeOutAlarm{step.capitalize()}", ("TimeOutUsed", step)
        usual = each(used, hourly(0, 7 * DAY), 5)
        found += [
            Story(
                alarm, "the daily listing nears its time-out",
                both(usual, each(used, range(AT, 7 * DAY, DAY), 85)), ring(AT, AT + HOUR), 6 * DAY,
            ),
            Story(
                alarm, "the daily listing takes long",
                both(usual, each(used, [AT, AT + DAY], 75)), (), 2 * DAY,
            ),
        ]
    return found


def of_queues() -> list[Story]:
    found = []
    for queue in ["Schedule", "Notification"]:
        alarm = f"DeadLettersAlarm{queue}"
        waiting = ("ApproximateNumberOfMessagesVisible", f"{queue}DeadLetters")
        found += [
            Story(alarm, "a message waits", each(waiting, range(AT, AT + DAY)), ring(AT, AT + 5)),
            Story(alarm, "none waits", each(waiting, range(AT, AT + 6 * HOUR), 0)),
        ]
    return found


def of_data_and_page() -> list[Story]:
    added, answers, errors = ("QuarantineAdded", STACK), ("5xx", "HttpApi"), ("Errors", "Api")
    crashes = range(AT, AT + HOUR)
    return [
        Story(
            "QuarantineGrowthAlarm", "rows are set aside again and again for a day",
            both(each(added, hourly(0, 2 * DAY), 0), each(added, range(AT, AT + DAY, 3 * HOUR), 2)),
            ring(AT, AT + 10), 2 * DAY,
        ),
        Story("QuarantineGrowthAlarm", "no row is set aside", each(added, hourly(0, 2 * DAY), 0)),
        Story(
            "ApiErrorsAlarm", "the page fails, now and then, for whoever reloads it",
            both(*[each(answers, range(at, at + 4)) for at in range(AT, AT + 3 * HOUR, 30)]),
            ring(AT, AT + 10),
        ),
        Story("ApiErrorsAlarm", "the first two views after weeks", each(answers, [AT, AT + 1])),
        Story(
            "ApiErrorsAlarm", "the function fails, of which its own alarm tells",
            both(each(answers, crashes), each(errors, crashes)),
        ),
    ]


def of_notifications() -> list[Story]:
    alarm, failed = "NotificationsFailedAlarm", ("NumberOfNotificationsFailed", "Notifications")
    return [
        Story(
            alarm, "a subscriber is gone",
            each(failed, range(AT, 3 * DAY, 6 * HOUR)), ring(AT, AT + HOUR), 4 * DAY,
        ),
        Story(
            alarm, "a subscriber is gone, and one mail is sent",
            each(failed, [AT]), ring(AT, AT + HOUR), 4 * DAY,
        ),
        Story(
            alarm, "all is delivered",
            each(("NumberOfNotificationsDelivered", "Notifications"), [AT]),
        ),
    ]


STORIES = [
    *of_runs(), *of_success(), *of_functions(), *of_steps(), *of_queues(), *of_data_and_page(),
    *of_notifications(),
]


def complaints(alarms: dict[str, dict], parameters: dict[str, dict]) -> list[str]:
    """What is to be said against alarms, by their logical ids."""
    found = []
    for name, properties in alarms.items():
        stories = [story for story in STORIES if story.alarm == name]
        if not any(story.mails for story in stories) or all(story.mails for story in stories):
            found.append(f"{name}: nobody says when it rings and when it is quiet")
            continue
        found += judged(name, json.dumps(properties), json.dumps(parameters))
    found += [
        f"{name}: there are stories of it, but no such alarm"
        for name in sorted({story.alarm for story in STORIES} - alarms.keys())
    ]
    return found


@functools.lru_cache(maxsize=None)
def judged(name: str, properties: str, parameters: str) -> list[str]:
    alarm = read(json.loads(properties), json.loads(parameters))
    fed = next((q.metric for q in alarm.queries.values() if q.metric[1] == "Notifications"), None)
    found = []
    for story in [story for story in STORIES if story.alarm == name]:
        recorded = Recorded()
        story.report(recorded)
        sent = mails(alarm, recorded, story.until, "OK", fed)
        if not fits(sent, story.mails):
            wanted = ", ".join(f"{state} at {first}–{last}" for state, first, last in story.mails)
            got = ", ".join(f"{state} at {at}" for state, at in sent[:6])
            found.append(
                f"{name}: {story.what}: mails {got or 'nothing'}, not {wanted or 'nothing'}"
            )
    # A new alarm has no news, unless it is that there was no success yet.
    sent = mails(alarm, Recorded(), HOUR, "INSUFFICIENT_DATA", fed)
    if any(state == "OK" for state, _ in sent):
        found.append(f"{name}: mails that all is well when it is new")
    return found


def fits(sent: list[tuple[str, int]], wanted: tuple[tuple[str, int, int], ...]) -> bool:
    return len(sent) == len(wanted) and all(
        state == wish and first <= at <= last
        for (state, at), (wish, first, last) in zip(sent, wanted)
    )


# ---------------------------------------------------------------- Reading an alarm


def read(properties: dict, parameters: dict[str, dict]) -> Alarm:
    def number(value) -> float:
        given = isinstance(value, dict)
        return float(parameters[value["Ref"]]["Default"] if given else value)

    evaluated = int(number(properties["EvaluationPeriods"]))
    queries, expression = {}, "only"
    if "Metrics" not in properties:
        queries["only"] = query(properties, properties["Statistic"], properties["Period"])
    for part in properties.get("Metrics", []):
        if "Expression" in part:
            expression = part["Expression"]
        else:
            stat = part["MetricStat"]
            queries[part["Id"]] = query(stat["Metric"], stat["Stat"], stat["Period"])
    return Alarm(
        queries=queries,
        expression=ast.parse(expression, mode="eval"),
        compare=properties["ComparisonOperator"],
        threshold=number(properties["Threshold"]),
        evaluated=evaluated,
        breaching=int(properties.get("DatapointsToAlarm", evaluated)),
        missing=properties.get("TreatMissingData", "missing"),
        tells_of_alarm=bool(properties.get("AlarmActions")),
        tells_of_ok=bool(properties.get("OKActions")),
    )


def query(metric: dict, statistic: str, period: int) -> Query:
    of = metric["Dimensions"][-1]["Value"]
    if isinstance(of, dict):
        of = of.get("Ref") or re.split(r"\.", ".".join(of["Fn::GetAtt"]))[0]
    return Query((metric["MetricName"], of), statistic, period // 60)
