//! The table of ended sign-ins, as the API asks it: also where a schema is older than
//! the table, or there is none.

use api::EndedSignIns;
use shared::postgres::Database;

use crate::support::{database, run};

/// A sign-in began then, in seconds before now.
async fn began(before: i64, client: &tokio_postgres::Client) -> i64 {
    let row = client
        .query_one(
            "select extract(epoch from clock_timestamp())::bigint - $1",
            &[&before],
        )
        .await
        .unwrap();
    row.get(0)
}

#[test]
fn an_ended_sign_in_is_told_from_the_others() {
    run(async {
        let url = database::migrated().await;
        let client = database::connect(&url).await;
        let ended = EndedSignIns::kept_in(&Database::connect(&url.into()).unwrap());
        let (earlier, later) = (began(60, &client).await, began(-60, &client).await);
        assert!(!ended.have("one", "ada", earlier).await.unwrap());

        // Twice, as two tabs would; and however much the clocks differ.
        ended.end("one").await.unwrap();
        ended.end("one").await.unwrap();
        for began_at in [earlier, later] {
            assert!(ended.have("one", "ada", began_at).await.unwrap());
            assert!(!ended.have("two", "ada", began_at).await.unwrap());
        }

        // All of a person's, as the runbook says; who signs in anew is in.
        let all = "insert into sync_ended_sign_ins (whose) values ('ada')
            on conflict (whose) do update set ended_at = now()";
        for _ in 0..2 {
            client.batch_execute(all).await.unwrap();
            assert!(ended.have("two", "ada", earlier).await.unwrap());
            assert!(!ended.have("two", "bob", earlier).await.unwrap());
            assert!(!ended.have("two", "ada", later).await.unwrap());
        }

        // What is over anyway is forgotten, and nothing else.
        let age = "update sync_ended_sign_ins set ended_at = now() - interval '25 hours'
            where whose = 'one'";
        client.batch_execute(age).await.unwrap();
        ended.end("three").await.unwrap();
        let left = "select whose from sync_ended_sign_ins order by whose";
        let rows = client.query(left, &[]).await.unwrap();
        let left: Vec<&str> = rows.iter().map(|row| row.get(0)).collect();
        assert_eq!(left, ["ada", "three"]);
    });
}

/// Only an admin can bring an older schema to this release's version.
#[test]
fn without_the_table_admins_are_let_in() {
    run(async {
        let url = database::empty().await;
        let ended = EndedSignIns::kept_in(&Database::connect(&url.into()).unwrap());
        assert!(!ended.have("one", "ada", 0).await.unwrap());
        assert!(ended.end("one").await.is_err(), "who ends one is told");

        let nowhere = "postgres://nobody@127.0.0.1:1/nothing?sslmode=disable";
        let gone = EndedSignIns::kept_in(&Database::connect(&nowhere.to_owned().into()).unwrap());
        assert!(
            gone.have("one", "ada", 0).await.is_err(),
            "nothing is known of a database that does not answer"
        );
    });
}
