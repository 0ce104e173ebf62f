"""What the API's description says in words, because no schema can.

An import begins before it ends, and no later than a day from now: of what is made up by
the description alone, both times together are cut to one, and the future to the past.
"""

from datetime import date

import schemathesis


@schemathesis.hook
def before_call(context, case, kwargs):
    if case.operation.path != "/admin/historical-orders-sync" or not is_allowed(case):
        return
    if not isinstance(case.body, dict):
        return
    begin, end = case.body.get("from"), case.body.get("to")
    if begin and end:
        del case.body["to"]
    if begin and begin[:10] > date.today().isoformat():
        # A leap year, so that every day is one.
        case.body["from"] = "2024" + begin[4:]


def is_allowed(case):
    """Whether the description allows the request."""
    return case.meta is not None and case.meta.generation.mode.is_positive
