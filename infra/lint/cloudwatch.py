"""How CloudWatch decides whether an alarm rings, as far as our alarms use it.

After AWS's user guide, "Evaluating an alarm" and "Configuring how alarms treat missing
data": once a minute the last periods are looked at, and more of them than
EvaluationPeriods. Real data points in that wider range count before missing ones are
filled in; the values of an expression with FILL are real.
"""

import ast
import operator
from bisect import bisect_left, insort
from collections import defaultdict
from dataclasses import dataclass

# Periods that are looked at beside EvaluationPeriods.
RANGE_MORE = 2

SUMS = {ast.Add: operator.add, ast.Sub: operator.sub}
COMPARISONS = {
    "GreaterThanThreshold": operator.gt,
    "GreaterThanOrEqualToThreshold": operator.ge,
    "LessThanThreshold": operator.lt,
    "LessThanOrEqualToThreshold": operator.le,
}
STATISTICS = {"Sum": sum, "Maximum": max, "Minimum": min, "SampleCount": len}

# A metric: its namespace, its name, and its dimensions, each a name and a value.
Metric = tuple[str, str, tuple[tuple[str, str], ...]]


@dataclass(frozen=True)
class Query:
    """A metric that an alarm reads."""

    metric: Metric
    statistic: str
    period: int  # in minutes


@dataclass(frozen=True)
class Alarm:
    queries: dict[str, Query]
    expression: ast.Expression  # over the queries' ids
    compare: str
    threshold: float
    evaluated: int
    breaching: int
    missing: str
    tells_of_alarm: bool
    tells_of_ok: bool

    @property
    def period(self) -> int:
        return max(query.period for query in self.queries.values())


class Recorded:
    """Values of metrics by the minute in which they were reported."""

    def __init__(self):
        self.values: dict[Metric, list[tuple[int, float]]] = defaultdict(list)
        # Each period is looked at many times.
        self.known: dict[tuple[int, int], float | None] = {}

    def add(self, metric: Metric, minute: int, value: float = 1) -> None:
        insort(self.values[metric], (minute, value))
        self.known.clear()

    def has_any(self, metric: Metric, begin: int, end: int) -> bool:
        values = self.values.get(metric, [])
        first = bisect_left(values, (begin,))
        return first < len(values) and values[first][0] < end

    def point(self, query: Query, end: int) -> float | None:
        """The data point of the period that ends there; none if nothing was reported."""
        key = (id(query), end)
        if key not in self.known:
            self.known[key] = self.summed_up(query, end)
        return self.known[key]

    def summed_up(self, query: Query, end: int) -> float | None:
        values = self.values.get(query.metric, [])
        first = bisect_left(values, (end - query.period,))
        last = bisect_left(values, (end,))
        found = [value for _, value in values[first:last]]
        return STATISTICS[query.statistic](found) if found else None


def points(alarm: Alarm, recorded: Recorded, now: int) -> list[float | None]:
    """The data points of the evaluation range, the oldest first."""
    number = alarm.evaluated + RANGE_MORE
    ends = [now - alarm.period * back for back in reversed(range(number))]
    series = {
        name: [recorded.point(query, end) for end in ends] for name, query in alarm.queries.items()
    }
    return computed(alarm.expression.body, series)


def computed(node: ast.expr, series: dict[str, list[float | None]]) -> list[float | None]:
    """Metric math: names, sums, FILL, RUNNING_SUM and SUM, which is one number for all."""
    match node:
        case ast.Name(id=name):
            return series[name]
        case ast.BinOp(left=left, op=op, right=right) if type(op) in SUMS:
            both = zip(computed(left, series), computed(right, series))
            return [None if None in pair else SUMS[type(op)](*pair) for pair in both]
        case ast.Call(func=ast.Name(id="FILL"), args=[values, ast.Constant(value=filler)]):
            return [filler if value is None else value for value in computed(values, series)]
        case ast.Call(func=ast.Name(id="SUM"), args=[values]):
            given = computed(values, series)
            return [sum(value or 0 for value in given)] * len(given)
        case ast.Call(func=ast.Name(id="RUNNING_SUM"), args=[values]):
            total, sums = 0, []
            for value in computed(values, series):
                total += value or 0
                sums.append(total)
            return sums
    raise ValueError(f"no such metric math: {ast.unparse(node)}")


def state(alarm: Alarm, recorded: Recorded, now: int, before: str) -> str:
    """The alarm's state after an evaluation."""
    found = points(alarm, recorded, now)
    newest = found[-alarm.evaluated:]
    real = [value for value in found if value is not None]
    if None in newest:
        # The real ones farther back come before any filling.
        newest = real[-alarm.evaluated:]
    filled = alarm.evaluated - len(newest)
    if filled and not newest and alarm.missing in {"missing", "ignore"}:
        return "INSUFFICIENT_DATA" if alarm.missing == "missing" else before
    breaches = sum(COMPARISONS[alarm.compare](value, alarm.threshold) for value in newest)
    if alarm.missing == "breaching":
        breaches += filled
    return "ALARM" if breaches >= alarm.breaching else "OK"


def mails(
    alarm: Alarm, recorded: Recorded, until: int, before: str, fed: Metric | None
) -> list[tuple[str, int]]:
    """What the alarm mails, and in which minute. Each mail is reported under `fed`."""
    sent = []
    looked_at = alarm.period * (alarm.evaluated + RANGE_MORE)
    silent = None  # the state after a time in which nothing was reported
    for now in range(1, until, max(1, alarm.period // 10)):
        heard = any(
            recorded.has_any(query.metric, now - looked_at, now) for query in alarm.queries.values()
        )
        if heard or alarm.missing == "ignore":
            after = state(alarm, recorded, now, before)
        else:
            after = silent = silent or state(alarm, recorded, now, before)
        told = {"ALARM": alarm.tells_of_alarm, "OK": alarm.tells_of_ok}.get(after, False)
        if after != before and told:
            sent.append((after, now))
            if fed:
                recorded.add(fed, now + 1)
        before = after
    return sent
