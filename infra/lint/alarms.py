"""Sees to it that each alarm of the template rings in the case that it is for and is
quiet otherwise: with the timing of real runs, by CloudWatch's own rules.
"""

import ast
import functools
import json
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
    "SpotChecks": "spot_check",
}
FUNCTIONS = [
    "Preflight", "Locations", "Catalog", "Inventory", "Publish",
    "Orders", "SpotCheck", "Migrate", "Finish", "Api",
]
# Trouble begins here in each story, after a quiet time.
AT = 10 * HOUR
# The longest that CloudWatch looks back, in seconds: by periods below an hour, and by
# others.
DAY_BACK, WEEK_BACK = 86_400, 604_800
# What of an alarm a parameter may say.
NUMBERS = {"EvaluationPeriods", "Threshold"}


def metric(namespace: str, name: str, **dimensions: str) -> Metric:
    return namespace, name, tuple(sorted(dimensions.items()))


def of_stack(name: str, **dimensions: str) -> Metric:
    return metric("SquareSync", name, Stack=STACK, **dimensions)


def of_machine(name: str, machine: str) -> Metric:
    return metric("AWS/States", name, StateMachineArn=machine)


def of_function(name: str, function: str) -> Metric:
    return metric("AWS/Lambda", name, FunctionName=function)


def of_topic(name: str) -> Metric:
    return metric("AWS/SNS", name, TopicName="Notifications.TopicName")


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


def told(failed: Metric, told_of: Metric, minutes, late: int) -> Callable[[Recorded], None]:
    """Failures, each told of so many minutes later."""
    return both(each(failed, minutes), each(told_of, [minute + late for minute in minutes]))


def of_runs() -> list[Story]:
    found = []
    for machine, kind in MACHINES.items():
        alarm = f"RunFailedAlarm{machine}"
        told_of = of_stack("FailuresTold", Kind=kind)
        for name in ["ExecutionsFailed", "ExecutionsTimedOut"]:
            failed = of_machine(name, machine)
            found += [
                Story(
                    alarm, f"{name}, and nobody is told",
                    each(failed, [AT]), ring(AT + 10, AT + 25),
                ),
                Story(
                    alarm, f"{name}, and nobody is told, after one that was told of",
                    both(told(failed, told_of, [AT - 30], 2), each(failed, [AT])),
                    ring(AT + 10, AT + 25),
                ),
                Story(
                    alarm, f"{name}, told of after some tries",
                    told(failed, told_of, [AT + 3], 10),
                ),
            ]
    return found + of_schedules()


def of_schedules() -> list[Story]:
    """Failures that follow each other, each told of in time."""
    alarm = "RunFailedAlarmCompleteSync"
    failed = of_machine("ExecutionsFailed", "CompleteSync")
    told_of = of_stack("FailuresTold", Kind="complete_sync")
    # Hourly, the nightly two, and somebody who tries it by hand in between.
    night = [*hourly(AT, AT + 10 * HOUR), AT + 195, AT + 210, AT + 225]
    found = []
    for late in [1, 2, 3, 5, 8]:
        found += [
            Story(
                alarm, f"a run fails every {every} minutes, each told of after {late}",
                told(failed, told_of, range(AT, AT + 4 * HOUR, every), late),
            )
            for every in [5, 10, 15, 20, 30]
        ]
        found.append(Story(
            alarm, f"all schedules and a retry fail, each told of after {late} minutes",
            told(failed, told_of, night, late), until=AT + 11 * HOUR,
        ))
    return found


def of_success() -> list[Story]:
    alarm, whole = "NoSuccessAlarm", of_stack("WholeSyncs")
    run = of_stack("RunsSucceeded", Kind="complete_sync")
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
    orders, finish = of_function("Errors", "Orders"), of_function("Errors", "Finish")
    outages = [AT + hour + late for hour in range(0, DAY, HOUR) for late in range(0, 9, 2)]
    tries = [AT + hour + late for hour in range(0, DAY, HOUR) for late in [0, 1, 3]]
    throttled = {name: of_function("Throttles", name) for name in FUNCTIONS}
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
            both(*[each(one, storm) for one in throttled.values()]), ring(AT, AT + 5),
        ),
        Story(
            "FunctionThrottlesAlarm", "room for all", each(of_function("Errors", "Api"), storm),
        ),
    ]
    found += [
        Story(
            "FunctionThrottlesAlarm", f"no room for {name}",
            each(one, [AT]), ring(AT, AT + 5),
        )
        for name, one in throttled.items()
    ]
    return found


def of_steps() -> list[Story]:
    found = []
    for step in ["locations", "catalog", "inventory"]:
        alarm, used = f"NearTimeOutAlarm{step.capitalize()}", of_stack("TimeOutUsed", Step=step)
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
        waiting = metric(
            "AWS/SQS", "ApproximateNumberOfMessagesVisible",
            QueueName=f"{queue}DeadLetters.QueueName",
        )
        found += [
            Story(alarm, "a message waits", each(waiting, range(AT, AT + DAY)), ring(AT, AT + 5)),
            Story(alarm, "none waits", each(waiting, range(AT, AT + 6 * HOUR), 0)),
        ]
    return found


def of_data_and_page() -> list[Story]:
    added, answers = of_stack("QuarantineAdded"), metric("AWS/ApiGateway", "5xx", ApiId="HttpApi")
    drift = of_stack("Drift")
    # What the function's own metric says of it too changes nothing.
    crashed = [answers, of_function("Errors", "Api")]
    return [
        Story(
            "QuarantineGrowthAlarm", "rows are set aside again and again for a day",
            both(each(added, hourly(0, 2 * DAY), 0), each(added, range(AT, AT + DAY, 3 * HOUR), 2)),
            ring(AT, AT + 10), 2 * DAY,
        ),
        Story("QuarantineGrowthAlarm", "no row is set aside", each(added, hourly(0, 2 * DAY), 0)),
        Story(
            "DriftAlarm", "the nightly listing finds rows that no delta has brought",
            both(each(drift, hourly(0, 2 * DAY), 0), each(drift, [AT], 3)), ring(AT, AT + HOUR),
            2 * DAY,
        ),
        Story("DriftAlarm", "no row has drifted", each(drift, hourly(0, 2 * DAY), 0)),
        Story(
            "ApiErrorsAlarm", "the page fails, now and then, for whoever reloads it",
            both(*[each(answers, range(at, at + 4)) for at in range(AT, AT + 3 * HOUR, 30)]),
            ring(AT, AT + 10),
        ),
        Story("ApiErrorsAlarm", "the first two views after weeks", each(answers, [AT, AT + 1])),
        Story(
            "ApiErrorsAlarm", "the function crashes under whoever reloads the page",
            both(*[each(one, range(AT, AT + 9)) for one in crashed]), ring(AT, AT + 10),
        ),
        Story(
            "ApiErrorsAlarm", "the function crashes under eight views an hour",
            both(*[
                each(one, range(at, at + 8))
                for one in crashed for at in hourly(AT, AT + 10 * HOUR)
            ]),
            ring(AT, AT + 10), AT + 10 * HOUR,
        ),
    ]


def of_notifications() -> list[Story]:
    failed, lost = of_topic("NumberOfNotificationsFailed"), of_topic("NumberOfNotificationsRedrivenToDlq")
    found = []
    for alarm, unreached in [
        ("NotificationsFailedAlarmEmail", failed), ("NotificationsFailedAlarmHttps", lost),
    ]:
        again = AT + 3 * DAY
        found += [
            Story(
                alarm, "a subscriber is gone",
                each(unreached, range(AT, 3 * DAY, 6 * HOUR)), ring(AT, AT + HOUR), 4 * DAY,
            ),
            Story(
                alarm, "a subscriber is gone, and one mail is sent",
                each(unreached, [AT]), ring(AT, AT + HOUR), 4 * DAY,
            ),
            Story(
                alarm, "a hiccup, and some days later a subscriber is gone",
                each(unreached, [AT, *range(again, again + DAY, 6 * HOUR)]),
                ring(AT, AT + HOUR) + ring(again, again + HOUR), 6 * DAY,
            ),
            Story(alarm, "all is delivered", each(of_topic("NumberOfNotificationsDelivered"), [AT])),
        ]
    found.append(Story(
        "NotificationsFailedAlarmHttps", "the address takes at the second try what it did not at the first",
        each(failed, range(AT, 3 * DAY, 6 * HOUR)), (), 4 * DAY,
    ))
    return found


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
        found += too_far_back(name, properties, parameters)
        found += judged(name, json.dumps(with_defaults(properties, parameters)))
    found += [
        f"{name}: there are stories of it, but no such alarm"
        for name in sorted({story.alarm for story in STORIES} - alarms.keys())
    ]
    return found


@functools.lru_cache(maxsize=None)
def judged(name: str, properties: str) -> list[str]:
    alarm = read(json.loads(properties))
    # A mail of its is a notification as well.
    fed = next((q.metric for q in alarm.queries.values() if q.metric[0] == "AWS/SNS"), None)
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


def too_far_back(name: str, properties: dict, parameters: dict[str, dict]) -> list[str]:
    """AWS refuses alarms that look back further than this, whatever their numbers are."""
    evaluated = properties["EvaluationPeriods"]
    if isinstance(evaluated, dict):
        evaluated = parameters[evaluated["Ref"]]["MaxValue"]
    stats = [part["MetricStat"] for part in properties.get("Metrics", []) if "MetricStat" in part]
    period = max(stat["Period"] for stat in stats or [properties])
    most = DAY_BACK if period < HOUR * 60 else WEEK_BACK
    back = period * int(evaluated)
    return [f"{name}: it looks back {back} seconds, and AWS allows {most}"] if back > most else []


def fits(sent: list[tuple[str, int]], wanted: tuple[tuple[str, int, int], ...]) -> bool:
    return len(sent) == len(wanted) and all(
        state == wish and first <= at <= last
        for (state, at), (wish, first, last) in zip(sent, wanted)
    )


# ---------------------------------------------------------------- Reading an alarm


def with_defaults(properties: dict, parameters: dict[str, dict]) -> dict:
    """The alarm with numbers where parameters give them."""
    return {
        name: parameters[value["Ref"]]["Default"] if name in NUMBERS and isinstance(value, dict) else value
        for name, value in properties.items()
    }


def read(properties: dict) -> Alarm:
    evaluated = int(properties["EvaluationPeriods"])
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
        threshold=float(properties["Threshold"]),
        evaluated=evaluated,
        breaching=int(properties.get("DatapointsToAlarm", evaluated)),
        missing=properties.get("TreatMissingData", "missing"),
        tells_of_alarm=bool(properties.get("AlarmActions")),
        tells_of_ok=bool(properties.get("OKActions")),
    )


def query(of: dict, statistic: str, period: int) -> Query:
    dimensions = {one["Name"]: plain(one["Value"]) for one in of["Dimensions"]}
    return Query(metric(of["Namespace"], of["MetricName"], **dimensions), statistic, period // 60)


def plain(value) -> str:
    """A dimension's value: a text, or what it refers to."""
    if isinstance(value, dict):
        return value.get("Ref") or ".".join(value["Fn::GetAtt"])
    return value
