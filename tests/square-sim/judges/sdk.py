"""Reads a simulated Square account with Square's official Python SDK.

Usage: sdk.py URL TOKEN

The SDK pages through locations, catalog, inventory and orders as it would
through the real Square; what it found must equal the account's truth, id for
id. It also must report a wrong token as Square's error.
"""

import json
import sys
import urllib.request

from square import Square
from square.core.api_error import ApiError

# Seconds; longer than any answer takes on the slowest machine.
PATIENCE = 1200


def objects(client):
    """Every live category, item and variation, by type."""
    found = {"CATEGORY": set(), "ITEM": set(), "ITEM_VARIATION": set()}
    nested, cursor = set(), None
    while True:
        answer = client.catalog.search(object_types=list(found), limit=1000, **given(cursor))
        for thing in answer.objects or []:
            found[thing.type].add(thing.id)
            if thing.type == "ITEM":
                nested.update(inner.id for inner in thing.item_data.variations or [])
        cursor = answer.cursor
        if not cursor:
            return found, nested


def retrieved(client, ids):
    """The ids of the objects that are retrieved by these ids."""
    found, ids = set(), sorted(ids)
    for start in range(0, len(ids), 1000):
        answer = client.catalog.batch_get(object_ids=ids[start : start + 1000])
        found.update(thing.id for thing in answer.objects or [])
    return found


def counts(client):
    """Every count's variation, location and state; the SDK pages on its own."""
    pager = client.inventory.batch_get_counts(limit=1000)
    return {(count.catalog_object_id, count.location_id, count.state) for count in pager}


def orders(client, locations):
    """Every order's id, oldest first, ten locations at a time."""
    found = set()
    for start in range(0, len(locations), 10):
        cursor = None
        query = {
            "filter": {"date_time_filter": {"updated_at": {"start_at": "2018-01-01T00:00:00Z"}}},
            "sort": {"sort_field": "UPDATED_AT", "sort_order": "ASC"},
        }
        while True:
            some = locations[start : start + 10]
            answer = client.orders.search(location_ids=some, limit=500, query=query, **given(cursor))
            found.update(order.id for order in answer.orders or [])
            cursor = answer.cursor
            if not cursor:
                break
    return found


def given(cursor):
    return {"cursor": cursor} if cursor else {}


def same(what, found, truth):
    if found != truth:
        missing, extra = sorted(truth - found)[:3], sorted(found - truth)[:3]
        sys.exit(f"{what}: {len(found)} found, {len(truth)} true; missing {missing}, too many {extra}")
    return len(found)


def main():
    url, token = sys.argv[1].rstrip("/"), sys.argv[2]
    client = Square(token=token, base_url=url, timeout=PATIENCE)
    with urllib.request.urlopen(f"{url}/__sim/truth") as answer:
        truth = json.load(answer)

    def ids(table):
        return {row["id"] for row in truth[table]}

    locations = [location.id for location in client.locations.list().locations or []]
    found, nested = objects(client)
    keys = {(row["variation_id"], row["location_id"], row["state"]) for row in truth["catalog_inventory"]}
    same("variations within items", nested, ids("catalog_variations"))
    for kind, some in found.items():
        same(f"{kind} by id", retrieved(client, some), some)
    totals = {
        "locations": same("locations", set(locations), ids("locations")),
        "categories": same("categories", found["CATEGORY"], ids("catalog_categories")),
        "items": same("items", found["ITEM"], ids("catalog_items")),
        "variations": same("variations", found["ITEM_VARIATION"], ids("catalog_variations")),
        "counts": same("counts", counts(client), keys),
        "orders": same("orders", orders(client, locations), ids("orders")),
    }
    if not all(totals.values()):
        sys.exit(f"nothing to judge in {totals}")
    try:
        Square(token="wrong", base_url=url, timeout=PATIENCE).locations.list()
    except ApiError as error:
        if error.status_code != 401:
            sys.exit(f"a wrong token gives status {error.status_code}")
    else:
        sys.exit("a wrong token is accepted")
    print(f"the SDK found it all: {totals}")


if __name__ == "__main__":
    main()
