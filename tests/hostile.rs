//! Whatever Square's JSON holds, wherever it stands: the run succeeds, the neighbours
//! arrive, nothing living is marked, what cannot be stored waits under its own id and
//! type, and a sound copy heals it.
//!
//! Each value is tried in every field that the simulated account's objects have, read
//! by us or not, one field an object.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::support::account::Account;
use crate::support::run::World;
use crate::support::{run, tables};

/// Values by what they are, as they stand in the JSON.
fn hostile() -> Vec<(&'static str, String)> {
    let text = |text: &str| format!("\"{text}\"");
    // Letters that no compression makes short.
    let mut state = 88_172_645_463_325_252_u64;
    let mut noise = |length: usize| {
        let letters = (0..length).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            char::from(b'0' + u8::try_from(state % 75).unwrap()).to_string()
        });
        letters.collect::<String>().replace(['\\', '"'], "_")
    };
    vec![
        ("first half of a pair", text(r"a\ud83cb")),
        ("second half of a pair", text(r"\udF66")),
        ("halves in the wrong order", text(r"\uDF66\uD83C")),
        ("U+0000", text(r"a\u0000b")),
        (
            "a text that begins with U+0000 in two",
            text(r"\ud83c\u0000\udf66"),
        ),
        ("an escape that is none", text(r"\\ud83c\\u0000")),
        ("6,000 characters", text(&noise(6_000))),
        ("300,000 characters", text(&noise(300_000))),
        ("an empty text", text("")),
        ("a number beyond 64 bit", "9223372036854775808".to_owned()),
        ("a number below 64 bit", "-9223372036854775809".to_owned()),
        ("a number beyond a float", "1e400".to_owned()),
        ("a number beyond numeric", "1e400000".to_owned()),
        ("a fraction", "0.5".to_owned()),
        ("no number", "NaN".to_owned()),
        ("no number as a text", text("NaN")),
        ("infinity", "-Infinity".to_owned()),
        ("another type", "true".to_owned()),
        ("a list", "[[],{}]".to_owned()),
        ("an object", r#"{"\u0000":"\ud800"}"#.to_owned()),
        ("null", "null".to_owned()),
        ("year 1", text("0001-01-01T00:00:00Z")),
        ("year 9999", text("9999-12-31T23:59:59Z")),
        ("year 9998", text("9998-12-31T23:59:59Z")),
        ("year 290,000", text("+290000-01-01T00:00:00Z")),
        (
            "a year before PostgreSQL's",
            text("-009000-01-01T00:00:00Z"),
        ),
        ("a key twice", r#"1,"name":"x","name":["y"]"#.to_owned()),
        (
            "200 levels",
            format!("{}{}", "[".repeat(200), "]".repeat(200)),
        ),
        (
            "20,000 levels",
            format!("{}{}", "[".repeat(20_000), "]".repeat(20_000)),
        ),
        ("bytes that are no UTF-8", String::new()),
    ]
}

fn marker(number: usize) -> String {
    format!("@{number}@")
}

/// Has the account give each marker as the value that it stands for.
async fn arm(account: &Account) {
    let rewrites: Vec<Value> = hostile()
        .iter()
        .enumerate()
        .map(|(number, (_, value))| {
            let find = format!("\"{}\"", marker(number));
            if value.is_empty() {
                json!({"endpoint": "*", "find": find, "with_hex": "2261eda0803fff22"})
            } else {
                json!({"endpoint": "*", "find": find, "with": value})
            }
        })
        .collect();
    account.rewrite(json!(rewrites)).await;
}

/// The place of every field in these objects, lists by their first element.
fn fields(objects: &[Value]) -> Vec<String> {
    fn walk(value: &Value, place: &str, found: &mut BTreeMap<String, ()>) {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    let place = format!("{place}/{name}");
                    found.insert(place.clone(), ());
                    walk(value, &place, found);
                }
            }
            Value::Array(values) => {
                if let Some(first) = values.first() {
                    walk(first, &format!("{place}/0"), found);
                }
            }
            _ => {}
        }
    }
    let mut found = BTreeMap::new();
    for object in objects {
        walk(object, "", &mut found);
    }
    found.into_keys().collect()
}

/// Objects that each have one field spoilt: all fields with all values, as far as the
/// objects last. Returns what was done to each, by its place in the list.
fn spoil(objects: &mut [Value], keys: &[&str]) -> Vec<(usize, String)> {
    let mut places = fields(objects);
    places.retain(|place| !keys.contains(&place.as_str()));
    let values = hostile();
    let mut spoilt = Vec::new();
    let mut left: BTreeSet<usize> = (0..objects.len()).collect();
    for place in &places {
        let having = left.iter().copied();
        let having = having.filter(|at| objects[*at].pointer(place).is_some());
        let having: Vec<usize> = having.take(values.len()).collect();
        for (at, (number, (what, _))) in having.into_iter().zip(values.iter().enumerate()) {
            left.remove(&at);
            *objects[at].pointer_mut(place).unwrap() = json!(marker(number));
            spoilt.push((at, format!("{what} at {place}")));
        }
    }
    spoilt
}

/// What waits in quarantine: data type and id, with the reason.
async fn waiting(world: &World) -> BTreeMap<(String, String), String> {
    let sql = "select data_type, object_id, reason from sync_quarantine where resolved_at is null";
    let rows = world.client.query(sql, &[]).await.unwrap();
    rows.iter()
        .map(|row| ((row.get(0), row.get(1)), row.get(2)))
        .collect()
}

/// Each spoilt object is in its table or waits under its id, and nothing else waits.
async fn all_accounted_for(
    world: &World,
    table: &str,
    data_type: &str,
    spoilt: &BTreeMap<String, String>,
    held: &BTreeSet<String>,
) {
    let waiting = waiting(world).await;
    for ((found, id), reason) in &waiting {
        // What an object holds waits under its own id, an override under its variation's
        // and its location's.
        let own = id.split(':').next().unwrap_or_default();
        let is_held = found.starts_with("variation") && held.contains(own);
        let is_own = found == data_type && spoilt.contains_key(id);
        assert!(is_held || is_own, "{found} {id}: {reason}");
        assert!(!reason.contains("unavailable"), "{id}: {reason}");
    }
    let sql = format!("select id from {table}");
    let rows = world.client.query(&sql, &[]).await.unwrap();
    let stored: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    for (id, what) in spoilt {
        let waits = waiting.contains_key(&(data_type.to_owned(), id.clone()));
        assert!(waits || stored.contains(id), "{what} ({id}) is lost");
    }
    assert!(!waiting.is_empty(), "nothing was hostile");
    assert!(waiting.len() < spoilt.len(), "nothing could be stored");
}

/// The variations that are, or are held by, these objects.
fn variations_of(objects: &[Value]) -> BTreeSet<String> {
    let held = objects.iter().flat_map(|object| {
        let within = object
            .pointer("/item_data/variations")
            .and_then(Value::as_array);
        within.into_iter().flatten().chain([object])
    });
    held.filter(|object| object["type"] == "ITEM_VARIATION")
        .filter_map(|object| object["id"].as_str().map(str::to_owned))
        .collect()
}

fn by_id(objects: &[Value], spoilt: Vec<(usize, String)>) -> BTreeMap<String, String> {
    let id = |at: usize| objects[at]["id"].as_str().unwrap().to_owned();
    spoilt
        .into_iter()
        .map(|(at, what)| (id(at), what))
        .collect()
}

/// As the account has them, later than they were.
fn renewed(objects: &[Value], kind: &str) -> Value {
    let changes = objects
        .iter()
        .map(|object| json!({"op": "put_raw", kind: object}));
    json!(changes.collect::<Vec<_>>())
}

async fn number(world: &World, sql: &str) -> i64 {
    world.number(sql).await
}

#[test]
fn locations_take_any_value() {
    run(async {
        let account = Account::start(json!({"locations": 900, "categories": 1, "items": 1,
            "variations": 1, "counts": 0, "orders": 0}));
        let world = World::new(account, &[]).await;
        world.sync(json!({"only": ["locations"]})).await;
        let sound = world.account.square("/v2/locations", Value::Null).await;
        let sound = sound["locations"].as_array().unwrap().clone();
        let mut objects = sound.clone();
        let spoilt = by_id(&objects.clone(), spoil(&mut objects, &["/id"]));
        arm(&world.account).await;
        world.account.change(renewed(&objects, "location")).await;
        let report = world.sync(json!({"only": ["locations"]})).await;
        assert_eq!(report.counts("locations").deleted, 0, "{report:?}");
        all_accounted_for(&world, "locations", "locations", &spoilt, &BTreeSet::new()).await;
        let inactive = "select count(*) from locations where status = 'INACTIVE'
            and last_changed_by_run = 'R'"
            .replace('R', &report.run_id);
        assert_eq!(number(&world, &inactive).await, 0);

        world.account.change(renewed(&sound, "location")).await;
        world.sync(json!({"only": ["locations"]})).await;
        assert_eq!(waiting(&world).await, BTreeMap::new());
    });
}

/// An account of catalog objects only.
async fn catalog(sizes: Value) -> World {
    let world = World::new(Account::start(sizes), &[("CATALOG_BATCH_SIZE", "100")]).await;
    world.sync(json!({})).await;
    world
}

/// All objects of a type that the account lists.
async fn listed(world: &World, object_type: &str) -> Vec<Value> {
    let mut objects = Vec::new();
    let mut cursor = Value::Null;
    loop {
        let mut body = json!({"object_types": [object_type], "limit": 1000});
        if !cursor.is_null() {
            body["cursor"] = cursor;
        }
        let page = world.account.square("/v2/catalog/search", body).await;
        objects.extend(page["objects"].as_array().cloned().unwrap_or_default());
        cursor = page["cursor"].clone();
        if cursor.is_null() {
            return objects;
        }
    }
}

/// Spoils living objects of a type, by a delta and by a whole listing.
async fn spoilt_catalog(world: &World, object_type: &str, table: &str, data_type: &str) {
    let sound = listed(world, object_type).await;
    let mut objects = sound.clone();
    // What an object is, and whether it is there, is no matter of what it holds.
    let keys = [
        "/id",
        "/type",
        "/is_deleted",
        "/updated_at",
        "/item_data/variations",
        "/item_data/variations/0/id",
        "/item_data/variations/0/type",
        "/item_data/variations/0/is_deleted",
        "/item_data/variations/0/updated_at",
    ];
    let spoilt = by_id(&sound, spoil(&mut objects, &keys));
    assert!(spoilt.len() > 300, "{} objects are too few", objects.len());
    for object in &mut objects {
        object.as_object_mut().unwrap().remove("updated_at");
    }
    arm(&world.account).await;
    world.account.change(renewed(&objects, "object")).await;
    let live = format!("select count(*) from {table} where not is_deleted");
    let before = number(world, &live).await;
    for request in [json!({}), json!({"reconcile": true})] {
        let report = world.sync(request.clone()).await;
        let counts = report.counts(data_type);
        assert_eq!(counts.deleted, 0, "{request}: {report:?}");
        all_accounted_for(world, table, data_type, &spoilt, &variations_of(&sound)).await;
        assert_eq!(number(world, &live).await, before, "{request}");
    }
    let marked = "select count(*) from catalog_variations where is_deleted
        and last_changed_by_run like 'run-%'";
    assert_eq!(number(world, marked).await, 0);

    // Sound copies, newer than the spoilt ones, come with the next delta.
    let mut sound = sound;
    for object in &mut sound {
        object.as_object_mut().unwrap().remove("updated_at");
    }
    world.account.change(renewed(&sound, "object")).await;
    world.sync(json!({})).await;
    assert_eq!(waiting(world).await, BTreeMap::new(), "{object_type}");
}

#[test]
fn categories_take_any_value() {
    run(async {
        let world = catalog(json!({"locations": 1, "categories": 700, "items": 2,
            "variations": 2, "counts": 2, "orders": 0}))
        .await;
        spoilt_catalog(&world, "CATEGORY", "catalog_categories", "categories").await;
    });
}

#[test]
fn items_take_any_value() {
    run(async {
        let world = catalog(json!({"locations": 2, "categories": 2, "items": 1200,
            "variations": 1500, "counts": 50, "orders": 0}))
        .await;
        spoilt_catalog(&world, "ITEM", "catalog_items", "items").await;
    });
}

#[test]
fn variations_take_any_value() {
    run(async {
        let world = catalog(json!({"locations": 2, "categories": 2, "items": 500,
            "variations": 1500, "counts": 50, "orders": 0}))
        .await;
        spoilt_catalog(&world, "ITEM_VARIATION", "catalog_variations", "variations").await;
    });
}

#[test]
fn counts_take_any_value() {
    run(async {
        let account = Account::start(json!({"locations": 3, "categories": 2, "items": 200,
            "variations": 400, "counts": 1000, "orders": 0}));
        let world = World::new(account, &[("INVENTORY_BATCH_SIZE", "200")]).await;
        world.sync(json!({})).await;
        let body = json!({"limit": 1000});
        let path = "/v2/inventory/counts/batch-retrieve";
        let sound = world.account.square(path, body).await["counts"]
            .as_array()
            .unwrap()
            .clone();
        let mut objects = sound.clone();
        let keys = [
            "/catalog_object_id",
            "/location_id",
            "/state",
            "/calculated_at",
        ];
        let spoilt = spoil(&mut objects, &keys);
        let live = "select count(*) from catalog_inventory where not is_deleted";
        let before = number(&world, live).await;
        arm(&world.account).await;
        let put = |objects: &[Value]| {
            let changed = objects.iter().map(|count| {
                let mut count = count.clone();
                count.as_object_mut().unwrap().remove("calculated_at");
                json!({"op": "put_raw", "inventory_count": count})
            });
            json!(changed.collect::<Vec<_>>())
        };
        let of = |objects: &[Value]| -> Vec<Value> {
            spoilt.iter().map(|(at, _)| objects[*at].clone()).collect()
        };
        world.account.change(put(&of(&objects))).await;
        for request in [json!({}), json!({"reconcile": true})] {
            let report = world.sync(request.clone()).await;
            assert_eq!(
                report.counts("inventory").deleted,
                0,
                "{request}: {report:?}"
            );
            assert_eq!(number(&world, live).await, before, "{request}");
            for ((data_type, id), reason) in waiting(&world).await {
                let known = |count: &Value| {
                    let parts = ["catalog_object_id", "location_id", "state"];
                    parts.map(|part| count[part].as_str().unwrap()).join(":") == id
                };
                assert!(
                    data_type == "inventory" && of(&sound).iter().any(known),
                    "{id}: {reason}"
                );
            }
            assert!(!waiting(&world).await.is_empty(), "nothing was hostile");
        }
        world.account.change(put(&of(&sound))).await;
        world.sync(json!({})).await;
        assert_eq!(waiting(&world).await, BTreeMap::new());
        assert_eq!(number(&world, live).await, before);
    });
}

/// All orders of the account.
async fn orders(world: &World) -> Vec<Value> {
    let sql = "select raw::text from orders order by id";
    let rows = world.client.query(sql, &[]).await.unwrap();
    rows.iter()
        .map(|row| serde_json::from_str(row.get(0)).unwrap())
        .collect()
}

#[test]
fn orders_take_any_value() {
    run(async {
        let account = Account::start(json!({"locations": 2, "categories": 2, "items": 20,
            "variations": 40, "counts": 2, "orders": 3000}));
        let world = World::new(account, &[("ORDERS_BATCH_SIZE", "200")]).await;
        world.sync(json!({})).await;
        world.import(json!({})).await;
        let sound = orders(&world).await;
        let mut objects = sound.clone();
        // Orders are found by their times and places, so those stay as they are.
        let keys = ["/id", "/location_id", "/updated_at", "/created_at"];
        let spoilt = by_id(&sound, spoil(&mut objects, &keys));
        assert!(spoilt.len() > 1_500, "{} of {}", spoilt.len(), sound.len());
        let later = |objects: &[Value], minutes: i64| -> Vec<Value> {
            let mut changed = Vec::new();
            for object in objects
                .iter()
                .filter(|order| spoilt.contains_key(order["id"].as_str().unwrap()))
            {
                let mut order = object.clone();
                let old: jiff::Timestamp = order["updated_at"].as_str().unwrap().parse().unwrap();
                let new = old + jiff::SignedDuration::from_mins(minutes);
                order["updated_at"] = json!(new.to_string());
                changed.push(order);
            }
            changed
        };
        arm(&world.account).await;
        world
            .account
            .change(renewed(&later(&objects, 1), "order"))
            .await;
        // By the import of an empty database: by creation, window by window.
        let second = World::beside(&world).await;
        second.sync(json!({})).await;
        second.import(json!({})).await;
        all_accounted_for(&second, "orders", "orders", &spoilt, &BTreeSet::new()).await;
        let neighbours = format!(
            "select count(*) from orders where not id = any ('{{{}}}')",
            spoilt.keys().cloned().collect::<Vec<_>>().join(",")
        );
        assert_eq!(
            number(&second, &neighbours).await,
            i64::try_from(sound.len() - spoilt.len()).unwrap()
        );

        // And by what changed since.
        let look_back = json!({"only": ["orders"], "reconcile": true});
        world
            .client
            .batch_execute(
                "update sync_watermarks set position = '2018-01-01'
            where list like 'orders:%'",
            )
            .await
            .unwrap();
        world.sync(look_back.clone()).await;
        all_accounted_for(&world, "orders", "orders", &spoilt, &BTreeSet::new()).await;
        assert_eq!(
            number(&world, "select count(*) from orders").await,
            i64::try_from(sound.len()).unwrap()
        );

        world
            .account
            .change(renewed(&later(&sound, 2), "order"))
            .await;
        world
            .client
            .batch_execute(
                "update sync_watermarks set position = '2018-01-01'
            where list like 'orders:%'",
            )
            .await
            .unwrap();
        world.sync(look_back).await;
        assert_eq!(waiting(&world).await, BTreeMap::new());
        tables::assert_orders_equal_truth(&world.client, &world.account).await;
    });
}
