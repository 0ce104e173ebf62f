//! The statements that bring what was staged of the catalog into its tables. Each
//! has one sensible plan: see [`crate::postgres::plan`]. Parameter $1 is the attempt
//! throughout, and $2, where there is one, the run's id.

use super::rows::LISTED;
use super::tables::{TABLES, VARIATIONS};
use crate::inventory::store::INVENTORY;
use crate::postgres::plan::Access;
use crate::staging::table::{ALL_NAMED, REVIVED, Table, quarantined_sql};

/// Variations that an outdated copy of their item brought along.
pub(super) const DROP_OUTDATED_HELD: &str = "
    delete from staging.catalog_variations v
    where v.attempt = $1 and v.item_seq is not null and not exists (
        select from staging.catalog_items i where i.attempt = $1 and i.seq = v.item_seq)";

/// A variation that came on its own may leave out its item; then it is the one
/// that holds it in this very listing, or the one that we know.
pub(super) fn complete_item_ids(access: Access) -> String {
    format!(
        "
    update staging.catalog_variations s set item_id = known.item_id
    from (
        select l.ctid as at, coalesce(h.item_id, t.item_id) as item_id
        from staging.catalog_variations l
        left join (
            select id, min(item_id) as item_id from staging.catalog_variations
            where attempt = $1 and item_id is not null group by id) h on h.id = l.id
        {known}
        where l.attempt = $1 and l.item_id is null and not l.is_deleted) known
    where s.ctid = known.at",
        known = access.left_join("catalog_variations", "t", "t.id = l.id"),
    )
}

/// Removes what was set aside of objects that are deleted: of those nothing else
/// matters, and no later copy can come.
pub(super) fn deleted_asides() -> Vec<String> {
    let of_table = |table: &&'static Table| {
        format!(
            "
    delete from staging.quarantine where ctid = any (array(
        select q.ctid from staging.quarantine q
        join staging.{name} s on s.attempt = $1 and s.is_deleted and s.id = q.object_id
        where q.attempt = $1 and q.data_type = '{data_type}'))",
            name = table.name,
            data_type = table.data_type,
        )
    };
    let tables = TABLES.iter().filter(|table| table.has_tombstones);
    tables.map(of_table).collect()
}

/// Marks what Square gives of a deleted item's variations as deleted, like the item.
pub(super) fn follow_deleted_items(access: Access) -> String {
    format!(
        "
    update staging.catalog_variations v set is_deleted = true, updated_at = followed.deleted_at
    from (
        select s.ctid as at, i.deleted_at
        from staging.catalog_variations s
        {items}
        where s.attempt = $1 and not s.is_deleted and i.is_deleted) followed
    where v.ctid = followed.at",
        items = access.join("catalog_items", "i", "i.id = s.item_id"),
    )
}

/// Variations whose item Square never gave.
pub(super) fn quarantine_variations(access: Access) -> String {
    format!(
        "
    with orphans as (
        delete from staging.catalog_variations where ctid = any (array(
            select s.ctid from staging.catalog_variations s
            {items}
            where s.attempt = $1 and not s.is_deleted and i.id is null))
        returning *)
    insert into staging.quarantine
        (attempt, seq, data_type, object_id, reason, payload, replayable)
    select attempt, seq, 'variations', id,
        format('Item %s is not known.', coalesce(item_id, '(none given)')),
        to_jsonb(orphans) - array['attempt', 'seq', 'item_seq'], true
    from orphans",
        items = access.left_join("catalog_items", "i", "i.id = s.item_id"),
    )
}

/// A variation marked as deleted lives after all: its counts, marked with it,
/// come back only by listing them all.
pub(super) fn want_inventory(access: Access) -> String {
    format!(
        "
    update sync_watermarks set reconcile_wanted = true
    where list = 'inventory' and {}",
        variation_lives_after_all(access, "")
    )
}

/// Whether `want_inventory` will apply to what is staged, once the items are applied and
/// variations that are as deleted as their items are told apart.
pub(super) fn wants_inventory(access: Access) -> String {
    format!(
        "select {}",
        variation_lives_after_all(
            access,
            "and coalesce(not h.is_deleted, not i.is_deleted, false)"
        )
    )
}

/// `further` is a condition on the item as it is staged (`h`) and as it stands (`i`).
fn variation_lives_after_all(access: Access, further: &str) -> String {
    let revived = match access {
        Access::Sets => "true",
        Access::LookUps => REVIVED,
    };
    format!(
        "exists (
        select from staging.catalog_variations s
        {current}
        {items}
        where s.attempt = $1 and not s.is_deleted and t.is_deleted and {revived} {further})",
        current = access.join("catalog_variations", "t", "t.id = s.id"),
        items = if further.is_empty() {
            String::new()
        } else {
            format!(
                "left join staging.catalog_items h on h.attempt = $1 and h.id = s.item_id
        {}",
                access.left_join("catalog_items", "i", "i.id = s.item_id")
            )
        },
    )
}

/// Spreads the categories of the items that were applied.
pub(super) fn stage_item_categories(access: Access) -> String {
    format!(
        "
    insert into staging.catalog_item_categories (attempt, seq, item_id, category_id, ordinal)
    select distinct on (s.id, c.category_id) s.attempt, s.seq, s.id, c.category_id, c.ordinal
    from staging.catalog_items s
    {applied}
    cross join lateral jsonb_to_recordset(s.categories) as c (category_id text, ordinal bigint)
    where s.attempt = $1 and not s.is_deleted and t.version is not distinct from s.version
    order by s.id, c.category_id, c.ordinal",
        applied = access.join("catalog_items", "t", "t.id = s.id"),
    )
}

/// Categories that an item no longer lists.
pub(super) fn drop_item_categories(access: Access) -> String {
    format!(
        "
    delete from catalog_item_categories where ctid = any (array(
        select t.ctid from staging.catalog_items s
        {applied}
        {listed}
        left join staging.catalog_item_categories c
            on c.attempt = $1 and c.item_id = t.item_id and c.category_id = t.category_id
        where s.attempt = $1 and not s.is_deleted
            and i.version is not distinct from s.version and c.attempt is null))",
        applied = access.join("catalog_items", "i", "i.id = s.id"),
        listed = access.join("catalog_item_categories", "t", "t.item_id = s.id"),
    )
}

/// Spreads the overrides of the variations that were applied.
pub(super) fn stage_overrides(access: Access) -> String {
    format!(
        "
    insert into staging.catalog_variation_overrides
        (attempt, seq, variation_id, location_id, price_amount, price_currency, pricing_type,
         track_inventory, sold_out, inventory_alert_type, inventory_alert_threshold)
    select distinct on (s.id, o.location_id)
        s.attempt, greatest(s.seq, 1), s.id, o.location_id, o.price_amount, o.price_currency,
        o.pricing_type, o.track_inventory, o.sold_out, o.inventory_alert_type,
        o.inventory_alert_threshold
    from staging.catalog_variations s
    {applied}
    cross join lateral jsonb_to_recordset(s.overrides) as o
        (location_id text, price_amount bigint, price_currency text, pricing_type text,
         track_inventory boolean, sold_out boolean, inventory_alert_type text,
         inventory_alert_threshold bigint)
    where s.attempt = $1 and not s.is_deleted and t.version is not distinct from s.version
    order by s.id, o.location_id",
        applied = access.join("catalog_variations", "t", "t.id = s.id"),
    )
}

/// An override that waited in quarantine counts no more once a newer copy of its
/// variation was applied.
pub(super) fn drop_outdated_replays(access: Access) -> String {
    format!(
        "
    delete from staging.catalog_variation_overrides where ctid = any (array(
        select o.ctid from staging.catalog_variation_overrides o
        join staging.catalog_variations s on s.attempt = $1 and s.id = o.variation_id
        {applied}
        where o.attempt = $1 and o.seq = 0 and t.version is not distinct from s.version))",
        applied = access.join("catalog_variations", "t", "t.id = s.id"),
    )
}

/// Overrides without their variation or location.
pub(super) fn quarantine_overrides(access: Access) -> String {
    format!(
        "
    with orphans as (
        delete from staging.catalog_variation_overrides where ctid = any (array(
            select s.ctid from staging.catalog_variation_overrides s
            {variations}
            {locations}
            where s.attempt = $1 and (v.id is null or l.id is null)))
        returning *)
    insert into staging.quarantine
        (attempt, seq, data_type, object_id, reason, payload, replayable)
    select attempt, seq, 'variation_overrides', variation_id || ':' || location_id,
        format('Location %s or variation %s is not known.', location_id, variation_id),
        to_jsonb(orphans) - array['attempt', 'seq'], true
    from orphans",
        variations = access.left_join("catalog_variations", "v", "v.id = s.variation_id"),
        locations = access.left_join("locations", "l", "l.id = s.location_id"),
    )
}

/// Closes overrides that waited with an earlier copy of a variation than the one that
/// was applied, unless they wait with this one again.
pub(super) fn settle_overrides(access: Access) -> String {
    format!(
        "
    update sync_quarantine set resolved_at = now() where ctid = any (array(
        select w.ctid from sync_quarantine w
        join staging.catalog_variations s
            on s.attempt = $1 and s.seq > 0 and s.id = w.payload ->> 'variation_id'
        {applied}
        {aside}
        where w.data_type = 'variation_overrides' and w.resolved_at is null
            and q.object_id is null and t.version is not distinct from s.version))",
        applied = access.join("catalog_variations", "t", "t.id = s.id"),
        aside = quarantined_sql("variation_overrides", "w.object_id"),
    )
}

/// Overrides that a variation no longer has.
pub(super) fn drop_overrides(access: Access) -> String {
    format!(
        "
    delete from catalog_variation_overrides where ctid = any (array(
        select t.ctid from staging.catalog_variations s
        {applied}
        {present}
        left join staging.catalog_variation_overrides o
            on o.attempt = $1 and o.variation_id = t.variation_id and o.location_id = t.location_id
        where s.attempt = $1 and not s.is_deleted
            and v.version is not distinct from s.version and o.attempt is null))",
        applied = access.join("catalog_variations", "v", "v.id = s.id"),
        present = access.join("catalog_variation_overrides", "t", "t.variation_id = s.id"),
    )
}

/// Marks variations as deleted, drops their overrides and marks their counts: by
/// tombstone, with their item, because their item no longer holds them, or
/// because a whole listing lacks them. Of two copies that disagree the newer counts:
/// an item's, if it was applied and came after the listing that the variation's came
/// with, outweighs an older one of the variation.
pub(super) fn mark_variations(access: Access) -> String {
    let (candidates, is_absent) = match access {
        Access::Sets => (
            "catalog_variations".to_owned(),
            format!(
                "s.id is null and not coalesce(v.id = any (h.variation_ids), false) and {ALL_NAMED}"
            ),
        ),
        // Those that are named themselves, and those of the items that are.
        Access::LookUps => (
            format!(
                "(select distinct on (id) * from (
                    select v.* from staging.catalog_variations s {named}
                    where s.attempt = $1 and s.is_deleted
                    union all
                    select v.* from staging.catalog_items h {held}
                    where h.attempt = $1) named order by id)",
                named = access.join("catalog_variations", "v", "v.id = s.id"),
                held = access.join("catalog_variations", "v", "v.item_id = h.id"),
            ),
            "false".to_owned(),
        ),
    };
    format!(
        "
    with gone as (
        select v.*, coalesce(s.updated_at, i.deleted_at, now()) as gone_at,
            not coalesce(s.is_deleted, false) and ih.id is null as is_unsaid
        from {candidates} v
        {items}
        left join staging.catalog_variations s on s.attempt = $1 and s.id = v.id
        left join staging.catalog_items ih
            on ih.attempt = $1 and ih.id = v.item_id and ih.is_deleted
        left join staging.catalog_items h
            on h.attempt = $1 and h.id = v.item_id and not h.is_deleted
                and h.variation_ids is not null and h.version is not distinct from i.version
        {aside}
        where not v.is_deleted and q.object_id is null
            and (s.is_deleted or i.is_deleted or {is_absent}
                or not v.id = any (h.variation_ids)
                    and (s.id is null and coalesce(h.version, 0) >= coalesce({known}, 0)
                        or s.seq <= {LISTED} and h.seq > {LISTED}
                            and coalesce(h.version, 0) > coalesce({known}, 0)))),
    marked as (
        {mark}
        returning id, deleted_at),
    dropped as (
        delete from catalog_variation_overrides where ctid = any (array(
            select o.ctid from marked {overrides}))),
    emptied as (
        {empty}
        returning variation_id)
    select (select count(*) from marked) as variations, (select count(*) from emptied) as inventory,
        (select count(*) from emptied join gone on gone.id = emptied.variation_id
            where gone.is_unsaid) as unsaid_inventory",
        // A version of a time still to come is newer than nothing.
        known = format!("case when v.version <= {} then v.version end", VARIATIONS.soon()),
        items = access.join("catalog_items", "i", "i.id = v.item_id"),
        aside = quarantined_sql("variations", "v.id"),
        mark = VARIATIONS.mark_sql("gone"),
        overrides = access.join(
            "catalog_variation_overrides",
            "o",
            "o.variation_id = marked.id"
        ),
        empty = INVENTORY.mark_sql(&format!(
            "(select c.*, marked.deleted_at as gone_at from marked {counts} where not c.is_deleted)",
            counts = access.join("catalog_inventory", "c", "c.variation_id = marked.id"),
        )),
    )
}

/// For the test that prepares every statement.
#[must_use]
pub fn statements() -> Vec<String> {
    let by_access = |access| {
        [
            complete_item_ids(access),
            follow_deleted_items(access),
            quarantine_variations(access),
            want_inventory(access),
            wants_inventory(access),
            stage_item_categories(access),
            drop_item_categories(access),
            drop_outdated_replays(access),
            settle_overrides(access),
            stage_overrides(access),
            quarantine_overrides(access),
            drop_overrides(access),
            mark_variations(access),
        ]
    };
    let mut statements = vec![DROP_OUTDATED_HELD.to_owned()];
    statements.extend(deleted_asides());
    statements.extend(by_access(Access::Sets));
    statements.extend(by_access(Access::LookUps));
    statements
}
