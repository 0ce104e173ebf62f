//! `tokio_postgres` checks no statement when it compiles, so this test has the
//! migrated schema prepare every one that the steps are made of.

use shared::postgres::plan::{self, Access};
use shared::postgres::sessions;
use shared::staging::quarantine;
use shared::staging::table::Table;
use shared::{account, catalog, inventory, locations, merchant, orders, publish, validation};

use crate::support::{database, run};

#[test]
fn every_statement_prepares_against_the_migrated_schema() {
    run(async {
        let client = database::connect(&database::migrated().await).await;
        let mut statements: Vec<String> = Vec::new();
        for table in account::all_tables() {
            statements.extend([
                table.replay_sql(),
                table.dedupe_sql(),
                table.staged_sql(),
                table.upsert_sql(Access::Sets),
                table.upsert_sql(Access::LookUps),
                table.is_empty_sql(),
                table.insert_sql(),
            ]);
            statements.extend(table.first_history_sql());
            statements.extend(table.drift_sql());
            for child in account::all_tables() {
                statements.extend(table.child_drift_sql(child));
            }
            statements.extend(quarantine::statements(table));
        }
        // Variations are marked together with what hangs on them.
        let marked = |table: &&Table| table.can_delete() && table.data_type != "variations";
        for table in account::objects().into_iter().filter(marked) {
            statements.push(table.absent_count_sql());
            statements.push(table.absent_sql(table.key[0]));
            statements.push(table.mark_deleted_sql(Access::Sets));
            statements.push(table.mark_deleted_sql(Access::LookUps));
        }
        statements.extend(catalog::statements::statements());
        statements.extend(inventory::store::statements());
        statements.extend(plan::STATEMENTS.map(str::to_owned));
        statements.extend(sessions::STATEMENTS.map(str::to_owned));
        statements.extend(validation::statements());
        statements.push(locations::store::mark_inactive_sql());
        statements.push(locations::store::LISTED.to_owned());
        statements.push(locations::store::add_staged_sql());
        statements.push(locations::store::add_missing_sql());
        statements.push(locations::zones::UNKNOWN.to_owned());
        statements.extend(merchant::STATEMENTS.map(str::to_owned));
        statements.extend(orders::statements().into_iter().map(str::to_owned));
        statements.extend(publish::statements());
        statements.extend(publish::backups::STATEMENTS.map(str::to_owned));
        statements.extend(shared::run::share::STATEMENTS.map(str::to_owned));
        statements.extend(shared::run::summary::STATEMENTS.map(str::to_owned));
        let freshness = shared::run::freshness::statements();
        statements.extend(
            freshness
                .into_iter()
                .map(|(_, statement)| statement.to_owned()),
        );
        let (creates, uses) = orders::store::statements();
        client.batch_execute(&creates.join("; ")).await.unwrap();
        statements.extend(uses);
        // Its temporary tables last as long as the transaction.
        let (creates, uses) = shared::spot_check::statements();
        client.batch_execute("begin").await.unwrap();
        client.batch_execute(&creates.join("; ")).await.unwrap();
        statements.extend(uses);
        let api = api::statements();
        statements.extend(api.into_iter().map(|(_, statement)| statement.to_owned()));
        statements.extend(api::SIGN_IN_STATEMENTS.map(str::to_owned));
        for statement in statements {
            if let Err(error) = client.prepare(&statement).await {
                panic!("{error:?}: {statement}");
            }
        }
    });
}
