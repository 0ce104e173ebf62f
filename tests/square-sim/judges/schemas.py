"""Holds every answer of a simulated Square account to Square's published schemas.

Usage: schemas.py URL TOKEN SCHEMAS_JSON

SCHEMAS_JSON is Square's API description as JSON Schema 2020-12 with a "$defs"
entry for each type. Pages through every endpoint, with several requests each,
and validates each answer, refusals included. Fields that the schemas do not
know are errors too, so that a misspelt field cannot hide. The account must be
without drift (values newer than the schemas), because the schemas close their
enums, which Square itself does not.
"""

import json
import sys
import urllib.error
import urllib.request

from jsonschema import Draft202012Validator

# Seconds; longer than any answer takes on the slowest machine.
PATIENCE = 1200


OBJECTS = ("BatchRetrieveCatalogObjectsResponse", "/v2/catalog/batch-retrieve")


class Judge:
    def __init__(self, url, token, schemas):
        self.url, self.token = url, token
        self.definitions = closed(schemas["$defs"])
        self.answers = 0

    def ask(self, method, path, body=None, token=None):
        """One request; the parsed answer, whatever its status."""
        request = urllib.request.Request(
            self.url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refusal:
            return refusal.code, json.load(refusal)

    def hold(self, definition, answer, what):
        """Validates one answer; the first error ends the judgement."""
        schema = {"$ref": f"#/$defs/{definition}", "$defs": self.definitions}
        error = next(Draft202012Validator(schema).iter_errors(answer), None)
        if error is not None:
            place = "/".join(str(step) for step in error.absolute_path)
            sys.exit(f"{what}: not a valid {definition} at {place}: {error.message[:500]}")
        self.answers += 1

    def get(self, definition, path):
        status, answer = self.ask("GET", path)
        self.expect(status, 200, path)
        self.hold(definition, answer, path)
        return answer

    def pages(self, definition, path, body, field):
        """Reads a list to its end; how many objects it gave."""
        found, body = 0, dict(body)
        while True:
            status, answer = self.ask("POST", path, body)
            self.expect(status, 200, f"{path} {body}")
            self.hold(definition, answer, f"{path} {body}")
            found += len(answer.get(field, []))
            if not answer.get("cursor"):
                return found
            body["cursor"] = answer["cursor"]

    def refusal(self, definition, wanted, method, path, body=None, token=None):
        status, answer = self.ask(method, path, body, token)
        self.expect(status, wanted, f"{path} {body}")
        self.hold(definition, answer, f"refusal of {path} {body}")
        if not answer.get("errors"):
            sys.exit(f"refusal of {path} {body}: no errors in {answer}")

    @staticmethod
    def expect(status, wanted, what):
        if status != wanted:
            sys.exit(f"{what}: status {status} instead of {wanted}")


def closed(schema):
    """The schemas, with fields they do not name forbidden."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    copy = {name: closed(part) for name, part in schema.items()}
    if isinstance(copy.get("properties"), dict) and isinstance(schema.get("type"), (str, list)):
        copy.setdefault("additionalProperties", False)
    return copy


def batches(judge, types):
    """Retrieves every object by its id, tombstones too; how many there were."""
    ids, body = [], {"object_types": types, "include_deleted_objects": True, "limit": 1000}
    while True:
        _, answer = judge.ask("POST", "/v2/catalog/search", body)
        ids += [thing["id"] for thing in answer.get("objects", [])]
        if not answer.get("cursor"):
            break
        body["cursor"] = answer["cursor"]
    found = 0
    for start in range(0, len(ids), 1000):
        some = {"object_ids": ids[start : start + 1000], "include_deleted_objects": True}
        found += judge.pages(*OBJECTS, some, "objects")
    if found != len(ids):
        sys.exit(f"{found} objects retrieved of {len(ids)}")
    return found


def main():
    url, token, path = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        judge = Judge(url.rstrip("/"), token, json.load(file))
    _, config = judge.ask("GET", "/__sim/config")
    if config["drift"]:
        sys.exit("the account drifts from the schemas on purpose; start it without drift to judge it")

    catalog, counts, orders = (
        ("SearchCatalogObjectsResponse", "/v2/catalog/search"),
        ("BatchRetrieveInventoryCountsResponse", "/v2/inventory/counts/batch-retrieve"),
        ("SearchOrdersResponse", "/v2/orders/search"),
    )
    locations = judge.get("ListLocationsResponse", "/v2/locations")["locations"]
    judge.get("RetrieveMerchantResponse", "/v2/merchants/me")
    status, answer = judge.ask("POST", "/oauth2/token/status")
    judge.expect(status, 200, "/oauth2/token/status")
    judge.hold("RetrieveTokenStatusResponse", answer, "/oauth2/token/status")

    types = ["ITEM", "ITEM_VARIATION", "CATEGORY"]
    found = {"locations": len(locations)}
    found["objects"] = judge.pages(*catalog, {"object_types": types, "limit": 1000}, "objects")
    judge.pages(*catalog, {"limit": 50}, "objects")
    judge.pages(*catalog, {"object_types": types, "include_deleted_objects": True}, "objects")
    judge.pages(*catalog, {"begin_time": "2024-01-01T00:00:00Z", "limit": 77}, "objects")
    found["retrieved"] = batches(judge, types)
    found["counts"] = judge.pages(*counts, {"limit": 1000}, "counts")
    judge.pages(*counts, {"limit": 33, "states": ["WASTE"]}, "counts")
    judge.pages(*counts, {"updated_after": "2026-01-01T00:00:00Z"}, "counts")
    chosen = {"location_ids": [location["id"] for location in locations][:10]}
    found["orders"] = judge.pages(*orders, chosen, "orders")
    judge.pages(*orders, {**chosen, "return_entries": True, "limit": 100}, "order_entries")

    # Nothing at all, and refusals.
    for definition, path in (catalog, counts):
        later = {"begin_time": "2200-01-01T00:00:00Z"} if "Catalog" in definition else {"updated_after": "2200-01-01T00:00:00Z"}
        if judge.pages(definition, path, later, "objects"):
            sys.exit(f"{path}: something changed after the year 2200")
    judge.refusal("ListLocationsResponse", 401, "GET", "/v2/locations", token="wrong")
    judge.refusal(catalog[0], 400, "POST", catalog[1], {"object_types": ["NONSENSE"]})
    judge.pages(*OBJECTS, {"object_ids": ["UNKNOWN"]}, "objects")
    judge.refusal(OBJECTS[0], 400, "POST", OBJECTS[1], {"object_ids": []})
    judge.refusal(counts[0], 400, "POST", counts[1], {"limit": 1001})
    judge.refusal(orders[0], 400, "POST", orders[1], {"location_ids": [str(n) for n in range(11)]})

    missing = [name for name, number in found.items() if number == 0]
    if missing:
        sys.exit(f"nothing to judge: the account has no {', '.join(missing)}")
    print(f"{judge.answers} answers are valid: {found}")


if __name__ == "__main__":
    main()
