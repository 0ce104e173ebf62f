//! Every table of the account is known to all that goes over the parts: nobody has a
//! list of their own that could lack one.

use std::collections::BTreeSet;

use serde_json::json;
use shared::account;
use shared::orders;
use shared::part::Part;
use shared::run::freshness;

use crate::support::account::Account;
use crate::support::run;
use crate::support::run::World;

/// The tables of the public schema that belong to no part: the log, and what is kept as
/// history.
const OTHERS: [&str; 2] = ["audit_log", "catalog_inventory_history"];

async fn names(world: &World, sql: &str) -> BTreeSet<String> {
    let rows = world.client.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[test]
fn every_table_of_the_account_is_known_to_all_that_goes_over_the_parts() {
    run(async {
        let world = World::new(Account::start(json!({"orders": 0})), &[]).await;
        let known: BTreeSet<String> = account::all_tables()
            .iter()
            .map(|table| table.name.to_owned())
            .collect();
        let objects: BTreeSet<&str> = account::objects()
            .iter()
            .map(|table| table.data_type)
            .collect();

        // No table of the schema is anybody's guess.
        let tables = "select relname::text from pg_class c
            where relnamespace = 'public'::regnamespace and relkind = 'r'
                and relname not like 'sync\\_%' and relname <> 'refinery_schema_history'
                and relname <> 'square_askers'";
        let mut found = names(&world, tables).await;
        let orders = orders::store::TABLES.map(|table| table.name);
        for other in OTHERS.into_iter().chain(orders) {
            assert!(found.remove(other), "{other}");
        }
        assert_eq!(found, known);
        // Each is staged.
        let staged = "select relname::text from pg_class
            where relnamespace = 'staging'::regnamespace and relkind = 'r' and relname <> 'quarantine'";
        assert_eq!(names(&world, staged).await, known);

        // A preview of an empty database shows every table.
        let preview = json!({"full_refresh": true, "dry_run": true});
        let report = world.sync(preview).await;
        let shown = "select jsonb_object_keys(result -> 'preview') from sync_steps
            where step = 'publish' and result ? 'preview'";
        let tables = account::all_tables().into_iter();
        let types = tables.map(|table| table.data_type.to_owned()).collect();
        assert_eq!(names(&world, shown).await, types);
        for data_type in &objects {
            assert!(report.counts(data_type).created > 0, "{data_type}");
        }

        // A refresh replaces, and a backup holds, every table.
        world.sync(json!({"full_refresh": true})).await;
        let refresh = world.sync(json!({"full_refresh": true})).await;
        for table in &known {
            let fresh = format!(
                "select count(*) from {table} where last_changed_by_run <> '{}'",
                refresh.run_id
            );
            assert_eq!(world.number(&fresh).await, 0, "{table}");
            let rows = format!("select count(*) from {table}");
            assert!(world.number(&rows).await > 0, "{table} is empty");
        }
        let kept = "select distinct relname::text from pg_class c
            join pg_namespace n on n.oid = c.relnamespace
            where n.nspname like 'backup%' and relkind = 'r' and relname <> 'sync_watermarks'";
        assert_eq!(names(&world, kept).await, known);
        let lists: BTreeSet<String> = account::lists().into_iter().map(str::to_owned).collect();
        let marked = "select list from sync_watermarks where list not like 'orders:%'";
        assert_eq!(names(&world, marked).await, lists);

        // The page counts each, and each part has its age.
        let (_, counts) = api::statements()
            .into_iter()
            .find(|(name, _)| *name == "counts")
            .unwrap();
        let rows = world.client.query(counts, &[&1_i64]).await.unwrap();
        let counted: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(counted, known);
        let client = world.env.database.client().await.unwrap();
        let fresh = freshness::read(&client).await.unwrap();
        // Preflight takes both of the pool's.
        drop(client);
        let fresh: Vec<&str> = fresh.iter().map(|one| one.data_type.as_str()).collect();
        assert_eq!(fresh, Part::ALL.map(Part::name));

        // Validation counts, and the guard of a refresh watches, whatever can be deleted.
        let nothing =
            |endpoint: &str| json!({"endpoint": endpoint, "kind": "nothing", "times": 100});
        let lists = [Part::Catalog, Part::Inventory].map(account::endpoint);
        let faults = lists.map(|endpoint| nothing(endpoint.path));
        world.account.faults(json!(faults)).await;
        let (name, report) = world.fail(json!({"full_refresh": true})).await;
        assert_eq!(name, "DeletionGuard");
        let message = report.error.unwrap().message;
        let validated = shared::validation::statements().join(" ");
        let objects = account::objects().into_iter();
        for table in objects.filter(|table| table.can_delete()) {
            assert!(message.contains(table.name), "{}: {message}", table.name);
            assert!(
                validated.contains(&format!("from {} t", table.name)),
                "{}",
                table.name
            );
        }
    });
}
