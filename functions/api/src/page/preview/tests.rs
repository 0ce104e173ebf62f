//! Samples as they are stored, those of earlier releases too, and the tables made of them.

use serde_json::json;

use super::*;
use crate::runs::view;

fn shown(row: &Row) -> String {
    let cell = |cell: &Option<Cell>| cell.as_ref().map_or_else(String::new, Cell::to_string);
    let columns = row.columns.iter().map(|column| {
        let Column { name, from, to } = column;
        format!(" {name}: {} → {}", cell(from), cell(to))
    });
    let key = row.key.as_deref().unwrap_or("-");
    let start = format!("{} {} ({key})", row.fate, row.name);
    start + &columns.collect::<Vec<_>>().join(",")
}

/// The tables of a preview by a run that has created three variations and an item.
fn preview(mode: &str, samples: Value) -> Vec<(String, Vec<String>)> {
    let run = view::tests::succeeded("sync-1", mode).with_preview(Some(samples));
    let preview = Preview::of(&run).unwrap();
    let tables = preview.tables.iter().map(|table| {
        let title = format!("{}: {}", table.name, table.summary);
        (title, table.rows.iter().map(shown).collect())
    });
    tables.collect()
}

#[test]
fn rows_come_and_go_by_name_and_change_column_by_column() {
    let sample = json!({
        "counts": {"created": 1, "updated": 1_041, "deleted": 1, "purged": 1},
        "created": [{"id": "A", "label": "Tea · Large", "sku": "1"}],
        "updated": [{"label": "Tea · Small", "key": {"id": "B"}, "changes": {
            "version": {"from": 1, "to": 2},
            "price_amount": {"from": null, "to": 350},
            "name": {"from": "", "to": "Small"}}}],
        // Square gave it no name.
        "deleted": [{"id": "C", "label": "", "name": null}],
        "purged": [{"id": "D", "label": "Old"}],
    });
    let tables = preview("incremental", json!({"variations": sample}));
    let title = "Variations: 1 created; 1,041 changed, 1 of them shown; 1 deleted; 1 purged";
    let rows = [
        "created Tea · Large (A)",
        "changed Tea · Small (B) name: <i>empty</i> → Small, price amount: <i>none</i> → 350, \
         version: 1 → 2",
        "deleted C (-)",
        "purged Old (D)",
    ];
    let rows = rows.map(str::to_owned).to_vec();
    assert_eq!(tables, [(title.to_owned(), rows)]);
}

#[test]
fn a_row_is_known_by_its_whole_key() {
    let key = json!({"state": "IN_STOCK", "location_id": "L", "variation_id": "V"});
    let mut row = key.clone();
    row["label"] = "Tea · Large · Berlin".into();
    let changes = json!({"quantity": {"from": "3", "to": "2"}});
    let counts = json!({"created": [row], "deleted": [], "updated":
        [{"key": key, "label": "", "changes": changes}]});
    let category = json!({"label": "Tea", "item_id": "I", "category_id": "C"});
    // In the order of the tables.
    let samples = json!({"inventory": counts, "item_categories": {"deleted": [category]}});
    let rows: Vec<String> = preview("incremental", samples)
        .into_iter()
        .flat_map(|(_, rows)| rows)
        .collect();
    assert_eq!(
        rows,
        [
            "deleted Tea (I C)",
            "created Tea · Large · Berlin (V L IN_STOCK)",
            "changed V L IN_STOCK (-) quantity: 3 → 2",
        ]
    );
}

/// A refresh's own figures are those of a table that was emptied and filled.
#[test]
fn a_refreshs_totals_are_those_of_what_differs() {
    let updated = json!([{"key": {"id": "A"}, "label": "Tea", "changes": {}}]);
    let counts = json!({"created": 0, "updated": 1, "deleted": 0, "purged": 0});
    let samples = json!({"items": {"counts": counts, "updated": updated}});
    let titles = |mode: &str, samples: Value| -> Vec<String> {
        let tables = preview(mode, samples).into_iter();
        tables.map(|(title, _)| title).collect()
    };
    assert_eq!(titles("full_refresh", samples), ["Items: 1 changed"]);

    let old = json!({"variations": {"created": [{"id": "A", "name": "Large"}]}});
    let title = "Variations: 3 created, 1 of them shown";
    assert_eq!(titles("incremental", old.clone()), [title]);
    let title = "Variations: 1 created shown";
    assert_eq!(titles("full_refresh", old), [title]);
}

#[test]
fn what_an_earlier_release_has_stored_has_names() {
    let items = json!({"created": [{"id": "A", "name": "Tea"}, {"id": "B", "name": ""}],
        "updated": [{"key": {"id": "C"}, "changes": {}}], "deleted": []});
    let tables = preview("incremental", json!({"items": items}));
    let rows = ["created Tea (A)", "created B (-)", "changed C (-)"];
    assert_eq!(tables[0].1, rows);
}

#[test]
fn what_only_comes_is_not_compared() {
    let created = json!({"created": [{"id": "A"}]});
    assert!(!Table::new("items", &created, [None; 4]).compares);
    let updated = json!({"updated": [{"key": {"id": "A"}, "changes": {}}]});
    assert!(Table::new("items", &updated, [None; 4]).compares);
}
