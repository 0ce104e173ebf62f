//! Statistics that lie: what PostgreSQL can believe of tables that are not so.

use tokio_postgres::Client;

/// What PostgreSQL believes of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Belief {
    /// Nothing at all, not even after an analyze.
    Nothing,
    /// All tables are empty: an autoanalyze looked while a load was under way.
    Empty,
    /// Each value of each column is there once, so that keys of several columns that
    /// depend on each other seem to find next to nothing.
    AllDiffer,
    /// All values of each column are the same.
    AllSame,
}

impl Belief {
    pub(crate) const ALL: [Self; 4] = [Self::Nothing, Self::Empty, Self::AllDiffer, Self::AllSame];

    /// For good: nothing is learnt by itself, and little by an analyze.
    pub(crate) async fn hold(self, client: &Client) {
        let option = match self {
            Self::Nothing => "set statistics 0",
            Self::Empty => "",
            Self::AllDiffer => "set (n_distinct = -1)",
            Self::AllSame => "set (n_distinct = 1)",
        };
        let sql = "select format('alter table %I.%I set (autovacuum_enabled = off)', n.nspname, c.relname),
            array(select format('alter table %I.%I alter column %I ', n.nspname, c.relname, a.attname)
                from pg_attribute a where a.attrelid = c.oid and a.attnum > 0)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind = 'r' and n.nspname in ('public', 'staging')";
        for row in client.query(sql, &[]).await.unwrap() {
            client.batch_execute(row.get(0)).await.unwrap();
            let columns: Vec<String> = row.get(1);
            for column in columns.iter().filter(|_| !option.is_empty()) {
                client
                    .batch_execute(&format!("{column}{option}"))
                    .await
                    .unwrap();
            }
        }
    }

    /// Makes the tables look so, before the next run.
    pub(crate) async fn mislead(self, client: &Client) {
        // What earlier runs left behind is for the server to clear, as it does in life.
        client.batch_execute("vacuum").await.unwrap();
        match self {
            Self::Nothing => client.batch_execute(FORGET).await.unwrap(),
            Self::Empty => client.batch_execute(EMPTY).await.unwrap(),
            Self::AllDiffer | Self::AllSame => {}
        }
    }
}

/// As if no table had ever been analyzed.
const FORGET: &str = "
    do $$ begin
        perform pg_clear_relation_stats(n.nspname, c.relname)
        from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where c.relkind in ('r', 'i') and n.nspname in ('public', 'staging');
    end $$";

/// What an analyze writes down of a transaction's own deletions stays when that is
/// rolled back.
const EMPTY: &str = "
    begin; set local session_replication_role = replica;
    do $$ declare one text; begin
        for one in select format('%I.%I', n.nspname, c.relname)
            from pg_class c join pg_namespace n on n.oid = c.relnamespace
            where c.relkind = 'r' and n.nspname in ('public', 'staging')
                and c.relname <> 'audit_log'
        loop
            execute 'delete from ' || one;
            execute 'analyze ' || one;
        end loop;
    end $$;
    rollback";
