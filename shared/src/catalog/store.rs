//! The catalog into PostgreSQL.
//!
//! Categories, then items, then variations, because each refers to the one
//! before. What hangs on a row goes with it: an item's categories, a variation's
//! overrides, and with a deleted variation its counts.

use tokio_postgres::Transaction;

use crate::error::SyncError;
use crate::guard;
use crate::postgres::table::Table;
use crate::quarantine;
use crate::run::stats::{Counts, Stats};
use crate::run::step::StepContext;

/// `catalog_categories`.
pub const CATEGORIES: Table = Table {
    name: "catalog_categories",
    data_type: "categories",
    key: &["id"],
    columns: &[
        "id",
        "name",
        "category_type",
        "parent_category_id",
        "is_top_level",
        "version",
        "updated_at",
        "is_deleted",
        "deleted_at",
    ],
    staging_only: &[],
    version: "version",
    rank: OBJECT_RANK,
    has_tombstones: true,
};

/// `catalog_items`.
pub const ITEMS: Table = Table {
    name: "catalog_items",
    data_type: "items",
    key: &["id"],
    columns: &[
        "id",
        "name",
        "description",
        "product_type",
        "category_id",
        "is_archived",
        "present_at_all_locations",
        "present_at_location_ids",
        "absent_at_location_ids",
        "version",
        "updated_at",
        "is_deleted",
        "deleted_at",
    ],
    staging_only: &["variation_ids", "categories"],
    version: "version",
    rank: OBJECT_RANK,
    has_tombstones: true,
};

/// `catalog_item_categories`.
pub const ITEM_CATEGORIES: Table = Table {
    name: "catalog_item_categories",
    data_type: "item_categories",
    key: &["item_id", "category_id"],
    columns: &["item_id", "category_id", "ordinal"],
    staging_only: &[],
    version: "",
    rank: "@.seq",
    has_tombstones: false,
};

/// `catalog_variations`.
pub const VARIATIONS: Table = Table {
    name: "catalog_variations",
    data_type: "variations",
    key: &["id"],
    columns: &[
        "id",
        "item_id",
        "name",
        "sku",
        "upc",
        "ordinal",
        "pricing_type",
        "price_amount",
        "price_currency",
        "track_inventory",
        "sellable",
        "stockable",
        "measurement_unit_id",
        "present_at_all_locations",
        "present_at_location_ids",
        "absent_at_location_ids",
        "version",
        "updated_at",
        "is_deleted",
        "deleted_at",
    ],
    staging_only: &["item_seq", "overrides"],
    version: "version",
    // A copy that does not name its item must not win over one that does.
    rank: "@.is_deleted, coalesce(@.version, 0), @.item_id is not null, @.seq",
    has_tombstones: true,
};

/// `catalog_variation_overrides`.
pub const OVERRIDES: Table = Table {
    name: "catalog_variation_overrides",
    data_type: "variation_overrides",
    key: &["variation_id", "location_id"],
    columns: &[
        "variation_id",
        "location_id",
        "price_amount",
        "price_currency",
        "pricing_type",
        "track_inventory",
        "sold_out",
        "inventory_alert_type",
        "inventory_alert_threshold",
    ],
    staging_only: &[],
    version: "",
    rank: "@.seq",
    has_tombstones: false,
};

/// Every table that this step stages.
pub const TABLES: [&Table; 5] = [
    &CATEGORIES,
    &ITEMS,
    &ITEM_CATEGORIES,
    &VARIATIONS,
    &OVERRIDES,
];

/// Ids are never used again and a deletion is final at Square, so a tombstone
/// wins over any copy that was read before it.
const OBJECT_RANK: &str = "@.is_deleted, coalesce(@.version, 0), @.seq";

/// Variations that an outdated copy of their item brought along. Parameter: attempt.
pub const DROP_OUTDATED_HELD: &str = "
    delete from staging.catalog_variations v
    where v.attempt = $1 and v.item_seq is not null and not exists (
        select from staging.catalog_items i where i.attempt = $1 and i.seq = v.item_seq)";

/// A variation that came on its own may leave out its item; then it is the one
/// that we know, or the one that holds it in this very listing. Parameter: attempt.
pub const COMPLETE_ITEM_IDS: &str = "
    update staging.catalog_variations s set item_id = known.item_id
    from (
        select distinct on (l.id) l.id, coalesce(h.item_id, t.item_id) as item_id
        from staging.catalog_variations l
        left join staging.catalog_variations h
            on h.attempt = $1 and h.id = l.id and h.item_id is not null
        left join catalog_variations t on t.id = l.id
        where l.attempt = $1 and l.item_id is null and not l.is_deleted
        order by l.id, h.item_id) known
    where s.attempt = $1 and s.item_id is null and not s.is_deleted and s.id = known.id";

/// What Square gives of a deleted item's variations is as deleted as the item.
/// Parameter: attempt.
pub const FOLLOW_DELETED_ITEMS: &str = "
    update staging.catalog_variations s set is_deleted = true, updated_at = i.deleted_at
    from catalog_items i
    where s.attempt = $1 and not s.is_deleted and i.id = s.item_id and i.is_deleted";

/// Variations whose item Square never gave. Parameter: attempt.
pub const QUARANTINE_VARIATIONS: &str = "
    with orphans as (
        delete from staging.catalog_variations s
        where s.attempt = $1 and not s.is_deleted
            and not exists (select from catalog_items i where i.id = s.item_id)
        returning s.*)
    insert into staging.quarantine
        (attempt, seq, data_type, object_id, reason, payload, replayable)
    select attempt, seq, 'variations', id,
        format('Item %s is not known.', coalesce(item_id, '(none given)')),
        to_jsonb(orphans) - array['attempt', 'seq', 'item_seq'], true
    from orphans";

/// A variation marked as deleted lives after all: its counts, marked with it,
/// come back only by listing them all. Parameter: attempt.
pub const WANT_INVENTORY: &str = "
    update sync_watermarks set reconcile_wanted = true
    where list = 'inventory' and exists (
        select from staging.catalog_variations s
        join catalog_variations t on t.id = s.id and t.is_deleted
        where s.attempt = $1 and not s.is_deleted)";

/// Spreads the categories of the items that were applied. Parameter: attempt.
pub const STAGE_ITEM_CATEGORIES: &str = "
    insert into staging.catalog_item_categories (attempt, seq, item_id, category_id, ordinal)
    select distinct on (s.id, c.category_id) s.attempt, s.seq, s.id, c.category_id, c.ordinal
    from staging.catalog_items s
    join catalog_items t on t.id = s.id and t.version is not distinct from s.version
    cross join lateral jsonb_to_recordset(s.categories) as c (category_id text, ordinal bigint)
    where s.attempt = $1 and not s.is_deleted
    order by s.id, c.category_id, c.ordinal";

/// Categories that an item no longer lists. Parameter: attempt.
pub const DROP_ITEM_CATEGORIES: &str = "
    delete from catalog_item_categories t using staging.catalog_items s, catalog_items i
    where s.attempt = $1 and not s.is_deleted and t.item_id = s.id
        and i.id = s.id and i.version is not distinct from s.version
        and not exists (select from staging.catalog_item_categories c
            where c.attempt = $1 and c.item_id = t.item_id and c.category_id = t.category_id)";

/// Spreads the overrides of the variations that were applied. Parameter: attempt.
pub const STAGE_OVERRIDES: &str = "
    insert into staging.catalog_variation_overrides
        (attempt, seq, variation_id, location_id, price_amount, price_currency, pricing_type,
         track_inventory, sold_out, inventory_alert_type, inventory_alert_threshold)
    select distinct on (s.id, o.location_id)
        s.attempt, greatest(s.seq, 1), s.id, o.location_id, o.price_amount, o.price_currency,
        o.pricing_type, o.track_inventory, o.sold_out, o.inventory_alert_type,
        o.inventory_alert_threshold
    from staging.catalog_variations s
    join catalog_variations t on t.id = s.id and t.version is not distinct from s.version
    cross join lateral jsonb_to_recordset(s.overrides) as o
        (location_id text, price_amount bigint, price_currency text, pricing_type text,
         track_inventory boolean, sold_out boolean, inventory_alert_type text,
         inventory_alert_threshold bigint)
    where s.attempt = $1 and not s.is_deleted
    order by s.id, o.location_id";

/// An override that waited in quarantine counts no more once its variation came
/// anew. Parameter: attempt.
pub const DROP_OUTDATED_REPLAYS: &str = "
    delete from staging.catalog_variation_overrides o
    where o.attempt = $1 and o.seq = 0 and exists (
        select from staging.catalog_variations s where s.attempt = $1 and s.id = o.variation_id)";

/// Overrides without their variation or location. Parameter: attempt.
pub const QUARANTINE_OVERRIDES: &str = "
    with orphans as (
        delete from staging.catalog_variation_overrides s
        where s.attempt = $1 and (
            not exists (select from catalog_variations v where v.id = s.variation_id)
            or not exists (select from locations l where l.id = s.location_id))
        returning s.*)
    insert into staging.quarantine
        (attempt, seq, data_type, object_id, reason, payload, replayable)
    select attempt, seq, 'variation_overrides', variation_id || ':' || location_id,
        format('Location %s or variation %s is not known.', location_id, variation_id),
        to_jsonb(orphans) - array['attempt', 'seq'], true
    from orphans";

/// Overrides that a variation no longer has. Parameter: attempt.
pub const DROP_OVERRIDES: &str = "
    delete from catalog_variation_overrides t using staging.catalog_variations s, catalog_variations v
    where s.attempt = $1 and not s.is_deleted and t.variation_id = s.id
        and v.id = s.id and v.version is not distinct from s.version
        and not exists (select from staging.catalog_variation_overrides o
            where o.attempt = $1 and o.variation_id = t.variation_id
                and o.location_id = t.location_id)";

/// Marks variations as deleted, drops their overrides and marks their counts: by
/// tombstone, with their item, because their item no longer holds them, or
/// because a whole listing lacks them. Parameters: attempt, run id, whether
/// everything was listed.
pub const MARK_VARIATIONS: &str = "
    with gone as (
        select v.id, coalesce(s.updated_at, i.deleted_at, now()) as deleted_at
        from catalog_variations v
        join catalog_items i on i.id = v.item_id
        left join staging.catalog_variations s on s.attempt = $1 and s.id = v.id
        left join staging.catalog_items h
            on h.attempt = $1 and h.id = v.item_id and not h.is_deleted
        where not v.is_deleted
            and (s.is_deleted or i.is_deleted or s.id is null
                and ($3 or not v.id = any (h.variation_ids)))
            and not exists (select from staging.quarantine q where q.attempt = $1
                and q.data_type = 'variations' and q.object_id = v.id)),
    marked as (
        update catalog_variations v set is_deleted = true, deleted_at = gone.deleted_at,
            last_changed_at = now(), last_changed_by_run = $2
        from gone where v.id = gone.id
        returning v.id, v.deleted_at),
    dropped as (
        delete from catalog_variation_overrides o using marked where o.variation_id = marked.id),
    emptied as (
        update catalog_inventory c set is_deleted = true, deleted_at = marked.deleted_at,
            last_changed_at = now(), last_changed_by_run = $2
        from marked where c.variation_id = marked.id and not c.is_deleted
        returning 1)
    select (select count(*) from marked) as variations, (select count(*) from emptied) as inventory";

/// For the test that prepares every statement.
pub const STATEMENTS: [&str; 12] = [
    DROP_OUTDATED_HELD,
    COMPLETE_ITEM_IDS,
    FOLLOW_DELETED_ITEMS,
    QUARANTINE_VARIATIONS,
    WANT_INVENTORY,
    STAGE_ITEM_CATEGORIES,
    DROP_ITEM_CATEGORIES,
    STAGE_OVERRIDES,
    DROP_OUTDATED_REPLAYS,
    QUARANTINE_OVERRIDES,
    DROP_OVERRIDES,
    MARK_VARIATIONS,
];

/// Applies what was staged, and says what became of it.
pub(crate) async fn apply(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    listed_all: bool,
) -> Result<Stats, SyncError> {
    let mut stats = Stats::new();
    let categories = apply_objects(context, transaction, &CATEGORIES, listed_all).await?;
    stats.insert("categories".to_owned(), categories);
    let items = apply_items(context, transaction, listed_all).await?;
    stats.insert("items".to_owned(), items);
    let (variations, inventory) = apply_variations(context, transaction, listed_all).await?;
    stats.insert("variations".to_owned(), variations);
    if inventory.deleted > 0 {
        stats.insert("inventory".to_owned(), inventory);
    }
    for table in TABLES {
        let run_id = context.run.run_id.as_str();
        quarantine::settle(transaction, table, context.attempt, run_id, listed_all).await?;
    }
    Ok(stats)
}

async fn apply_objects(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    table: &Table,
    listed_all: bool,
) -> Result<Counts, SyncError> {
    let mut counts = upsert(context, transaction, table).await?;
    let marked = transaction
        .execute(
            &table.mark_deleted_sql(),
            &[&context.attempt, &context.run.run_id, &listed_all],
        )
        .await?;
    counts.deleted = i64::try_from(marked).unwrap_or(i64::MAX);
    check(context, transaction, table.name, &counts).await?;
    Ok(counts)
}

async fn apply_items(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    listed_all: bool,
) -> Result<Counts, SyncError> {
    let counts = apply_objects(context, transaction, &ITEMS, listed_all).await?;
    let attempt = context.attempt;
    transaction
        .execute(STAGE_ITEM_CATEGORIES, &[&attempt])
        .await?;
    ITEM_CATEGORIES.analyze(transaction).await?;
    let run_id = context.run.run_id.as_str();
    ITEM_CATEGORIES
        .upsert(transaction, &ITEM_CATEGORIES.upsert_sql(), attempt, run_id)
        .await?;
    transaction
        .execute(DROP_ITEM_CATEGORIES, &[&attempt])
        .await?;
    Ok(counts)
}

/// The figures of the variations, and of the counts that went with them.
async fn apply_variations(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    listed_all: bool,
) -> Result<(Counts, Counts), SyncError> {
    let attempt = context.attempt;
    for statement in [FOLLOW_DELETED_ITEMS, QUARANTINE_VARIATIONS, WANT_INVENTORY] {
        transaction.execute(statement, &[&attempt]).await?;
    }
    let mut variations = upsert(context, transaction, &VARIATIONS).await?;
    for statement in [DROP_OUTDATED_REPLAYS, STAGE_OVERRIDES, QUARANTINE_OVERRIDES] {
        transaction.execute(statement, &[&attempt]).await?;
    }
    OVERRIDES.analyze(transaction).await?;
    let run_id = context.run.run_id.as_str();
    OVERRIDES
        .upsert(transaction, &OVERRIDES.upsert_sql(), attempt, run_id)
        .await?;
    transaction.execute(DROP_OVERRIDES, &[&attempt]).await?;
    let marked = transaction
        .query_one(MARK_VARIATIONS, &[&attempt, &run_id, &listed_all])
        .await?;
    variations.deleted = marked.get("variations");
    let inventory = Counts {
        deleted: marked.get("inventory"),
        ..Counts::default()
    };
    check(context, transaction, VARIATIONS.name, &variations).await?;
    check(context, transaction, "catalog_inventory", &inventory).await?;
    Ok((variations, inventory))
}

async fn upsert(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    table: &Table,
) -> Result<Counts, SyncError> {
    let attempt = context.attempt;
    let staged = transaction
        .query_one(&table.staged_sql(), &[&attempt])
        .await?
        .get(0);
    let run_id = context.run.run_id.as_str();
    let written = table
        .upsert(transaction, &table.upsert_sql(), attempt, run_id)
        .await?;
    let mut counts = Counts::new(staged, written);
    counts.quarantined = quarantine::count(transaction, attempt, table.data_type).await?;
    Ok(counts)
}

async fn check(
    context: &StepContext<'_>,
    transaction: &Transaction<'_>,
    table: &'static str,
    counts: &Counts,
) -> Result<(), SyncError> {
    let (deleted, created) = (counts.deleted, counts.created);
    guard::check(
        context,
        transaction,
        table,
        "not is_deleted",
        deleted,
        created,
    )
    .await
}
