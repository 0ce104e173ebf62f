//! A simulated Square account: one merchant's locations, catalog, inventory and
//! orders behind Square's own endpoints, for building and judging whatever reads
//! them. It is seeded and deterministic, of any size, fast enough never to be
//! the bottleneck, and it has the habits of the real thing that readers trip
//! over: exclusive and inclusive time filters, tombstones without data, cursors
//! that expire, short and empty pages, missing fields, unknown values, refusals
//! in Square's envelope.
//!
//! # Starting it
//!
//! As a library, [`start`] seeds an account from a [`Config`] and serves it until
//! the returned [`Running`] is dropped. As a program, `square-sim --port 0` prints
//! one line with its URL and ends when its standard input closes or a signal comes
//! (`--help` lists the sizes; `--stay` ignores the standard input).
//!
//! Square's side: `GET /v2/locations`, `GET /v2/merchants/me`,
//! `POST /oauth2/token/status`, `POST /v2/catalog/search`,
//! `POST /v2/catalog/batch-retrieve`, `POST /v2/inventory/counts/batch-retrieve`,
//! `POST /v2/orders/search` and `POST /v2/orders/batch-retrieve`, with `Authorization: Bearer sim-token`. A catalog
//! `query`, related objects, category paths and old catalog versions are not
//! simulated and answered with status 501.
//!
//! # The control interface
//!
//! Everything under `/__sim/` is for tests. It needs no token, speaks JSON,
//! refuses fields it does not know with status 400, and answers at once.
//!
//! | request | what it does |
//! |---|---|
//! | `POST /__sim/reset` | a fresh account; the body may replace fields of the [`Config`] it was started with. Token, faults, rewrites, waiting changes and counters start anew |
//! | `POST /__sim/change` | makes the changes listed, in order, and answers `{"done": […], "now"}` with the ids of what each touched |
//! | `POST /__sim/change-later` | `{"when": {"endpoint", "request": n}, "changes": […]}` makes them when the n-th request from now arrives there, before it is answered; `GET` tells what came of it, `DELETE` forgets |
//! | `POST /__sim/faults` | sets the faults listed; `PUT` sets them in place of all that were set, `DELETE` clears them |
//! | `POST /__sim/rewrites` | adds rewrites of answers (below); `DELETE` clears them |
//! | `POST /__sim/token` | changes what is accepted: `token`, `scopes`, `expires_at` (by the real clock, `null` for never), `revoked`; what is absent stays |
//! | `GET`, `POST /__sim/clock` | Square's clock: `{"now"}` or `{"advance_seconds"}` move it on |
//! | `GET /__sim/counters` | `requests` and `statuses` by endpoint, `bytes` sent, `largest_parallelism`, the last `bodies` by endpoint; `DELETE` clears |
//! | `GET /__sim/arrivals` | when each of the last 10,000 requests came: microseconds since the counters were last cleared, oldest first |
//! | `GET /__sim/truth` | the rows that a faultless copy holds now (below) |
//! | `GET /__sim/config` | the account's [`Config`] |
//!
//! ## Changes
//!
//! A change is `{"op": …}` with fields that are all optional: what it leaves
//! open, the seed picks among what is there. `count` (or `times`) repeats it,
//! each time on another object if no id is given. `set` is merged into the
//! object's JSON (RFC 7396). Every change has a moment of its own, strictly later
//! than all before, two to six seconds apart.
//!
//! | op | fields |
//! |---|---|
//! | `add_item` | `id`, `name`, `category_id`, `variations` (1), `price_amount`, `quantity` (puts so much in stock, at `location_id` or everywhere), `set`, `count` |
//! | `edit_item` | `id`, `name`, `description`, `is_archived`, `set`, `count`; a new name if nothing is given |
//! | `move_item` | `id`, `category_id` (else another than its own), `count` |
//! | `delete_item` | `id`, `count`, `cascade_tombstones` (true: its variations leave tombstones too; false: they just end) |
//! | `add_variation` | `id`, `item_id`, `name`, `price_amount`, `quantity`, `location_id`, `set`, `count`; the item gets a new version |
//! | `edit_variation` | `id`, `name`, `price_amount`, `sku`, `bump_item` (false), `set`, `count`; a new price if nothing is given |
//! | `delete_variation` | `id`, `count`, `bump_item` (true: its item gets a new version) |
//! | `add_category`, `edit_category`, `delete_category` | `id`, `name`, `parent_id` (add), `set`, `count`; items go on naming a deleted category |
//! | `add_location`, `edit_location` | `id`, `name`, `status` (add), `set`, `count` (add) |
//! | `deactivate_location`, `activate_location` | `id` |
//! | `remove_location` | `id`, `drop_counts` (false): it vanishes from the list |
//! | `sell`, `restock`, `recount` | `variation_id`, `location_id`, `state` (`IN_STOCK`), `quantity` (1, 10, any other), `times` |
//! | `add_order` | `kind` (`sale`, `return`, `exchange`, `empty`), `state`, `location_id`, `set`, `count` |
//! | `edit_order` | `id`, `state`, `set`, `count` |
//! | `delete_silently` | `id` or `type` (`ITEM`), `count`: the object, its variations and counts vanish without a tombstone; with `location_id` (and `state`) the count of variation `id` vanishes |
//! | `put_raw` | one of `object`, `inventory_count` (or `count`), `location`, `order`: JSON served exactly as given, broken or orphaned. Its place in time is its own timestamp, or now if it has none. Variations that a raw item no longer lists are deleted. A raw count replaces the one of its variation, location and state; one that lacks any of them, or is no object, replaces none |
//! | `serve_stale` | `id`, `stale` (true): wherever clients are given the object, it is as it was before the last change that touched it, always one behind; an item with the variations it then had, each as it is now, or if it is gone since as it was before that. `begin_time` goes on by its newest time, and the truth by what it is. `false` ends it; what has not changed since it came is refused |
//!
//! ## Faults
//!
//! `{"endpoint": "/v2/catalog/search" or "*", "request": n, "times": m, "kind": …}`
//! hits the n-th request from now and m - 1 more; without `request` every one,
//! without end unless `times` is given. With `body`, only requests whose body has that
//! text in it count. Any fault may have `delay_ms`. If several
//! hit one request, their delays and skips add up and the oldest other one counts.
//!
//! | kind | |
//! |---|---|
//! | `status` | `status` (500) in Square's envelope, with `code`, `category`, `detail`, `retry_after` |
//! | `errors_in_200` | the same errors with status 200 |
//! | `html`, `text` | a gateway's page (502) or line (503), or any `status` |
//! | `malformed_json` | status 200 and JSON that stops in the middle |
//! | `cut_body` | the right answer, but the connection breaks after half of it |
//! | `drop` | the connection closes without an answer |
//! | `delay` | the right answer after `delay_ms` |
//! | `cursor_expired`, `cursor_repeats` | wait for a request that has a cursor: it is refused, or given back |
//! | `empty_page` | nothing on the page, but a cursor that goes on |
//! | `nothing` | status 200 and `{}` |
//! | `skip` | the right answer without the object `id`, as if it had slipped between two pages; of counts those of the variation `catalog_object_id`, at `location_id` or everywhere. An item goes on holding a variation that is skipped |
//!
//! ## Rewrites
//!
//! `{"endpoint": "/v2/orders/search" or "*", "find": "text", "with": "text"}`
//! replaces each occurrence of `find` in the bodies of all answers there, faults'
//! included, as it stands in the JSON text. `with_hex` gives bytes in hexadecimal
//! in place of `with`. So a marker that `put_raw` or `set` put in can go out as what
//! no JSON value can hold: `"find": "\"@1@\""` makes a text `NaN`, `1e400` or
//! `"\ud83c"`, and gives an object a second key or bytes that are not UTF-8.
//!
//! ## The truth
//!
//! One array of rows a table: `locations`, `catalog_categories`, `catalog_items`,
//! `catalog_item_categories`, `catalog_variations`, `catalog_variation_overrides`,
//! `catalog_inventory`, `orders`, `order_line_items`, `order_return_line_items`,
//! `order_tenders`. Only what is live has a row. Times are RFC 3339 in UTC cut to
//! six digits, quantities decimal texts written the shortest way, money whole
//! numbers; absent values are null, absent lists empty, U+0000 is taken out.
//!
//! Beside the tables: `now`, Square's clock; `deleted`, what was deleted since
//! the reset (`categories`, `items`, `variations` with `deleted_at`, null for what
//! vanished silently; `locations` taken off the list); and `quarantined`, objects
//! that are broken or lack their parent and so have no row, as `table`, `id` and
//! `reason`.
//!
//! `?tables=orders,order_tenders` gives only these tables, and what they
//! quarantine; ask so if the account has many orders. A location taken off
//! the list counts as known, as to a copy that saw it before; `?fresh=true` gives
//! the truth of a copy that starts now.

mod account;
mod config;
mod control;
mod moment;
mod random;
mod seed;
mod server;
mod sim;
mod square;
mod truth;

pub use config::{Config, ConfigError};
pub use server::{Running, StartError, start};
