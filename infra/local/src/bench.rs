//! `make bench`: what an import of orders costs, and one of twice as many. Both
//! run on this machine, one after the other, so that their ratio says something
//! even where the machine is slow or busy.

use std::path::Path;

use comfy_table::{CellAlignment, Table};
use tokio_postgres::NoTls;

use crate::api::{Api, ImportRequest, Wanted};
use crate::error::StackError;
use crate::stack::{Options, Stack};

/// The cost of one import.
struct Cost {
    orders: i64,
    lines: i64,
    seconds: f64,
    /// The most that any process of the orders function held, in MiB.
    memory_mib: f64,
    /// Of the order tables with their indexes, in MB.
    size_mb: f64,
    /// Of `orders.raw` alone, as it is stored, in MB.
    raw_mb: f64,
}

/// Imports that many orders, then twice as many, and says what both cost. Returns
/// whether both came in.
///
/// # Errors
/// The error that kept a stack from standing, or its API from answering.
pub async fn bench(stack_dir: &Path, orders: u32, say: impl Fn(&str)) -> Result<bool, StackError> {
    let mut costs = Vec::new();
    for orders in [orders, orders.saturating_mul(2)] {
        say(&format!("Importing {orders} orders"));
        let Some(cost) = import(stack_dir, orders, &say).await? else {
            return Ok(false);
        };
        costs.push(cost);
    }
    say(&table(&costs).to_string());
    if let [one, two] = costs.as_slice() {
        let ratio = two.seconds / one.seconds;
        say(&format!(
            "Twice as many orders took {ratio:.2} times as long."
        ));
    }
    Ok(true)
}

/// One import into an empty database, on a stack of its own.
async fn import(
    stack_dir: &Path,
    orders: u32,
    say: &impl Fn(&str),
) -> Result<Option<Cost>, StackError> {
    let mut options = Options::quiet(stack_dir.join(format!("bench-{orders}")));
    options.sim_args = vec![format!("--orders={orders}"), "--locations=12".to_owned()];
    // The limit is Square's, and this is not about Square.
    options
        .settings
        .set("SQUARE_MAX_REQUESTS_PER_SECOND", "1000");
    let stack = Stack::start(options).await?;
    let file = stack.file();
    let api = Api::new(&file.api_url, &file.bearer_token, stack.aws().clone());
    let started = api.start(&Wanted::Import(ImportRequest::default())).await?;
    let run = api.follow(&started, |_| {}).await?;
    let cost = if run.succeeded() {
        Some(cost(&stack, run.duration_ms).await?)
    } else {
        let why = run.error.map(|error| error.message).unwrap_or_default();
        say(&format!("The import {}. {why}", run.status));
        None
    };
    stack.stop().await;
    Ok(cost)
}

async fn cost(stack: &Stack, duration_ms: Option<u64>) -> Result<Cost, StackError> {
    let (client, connection) = tokio_postgres::connect(&stack.file().database_url, NoTls)
        .await
        .map_err(StackError::database("while measuring"))?;
    tokio::spawn(connection);
    let row = client
        .query_one(MEASURE, &[])
        .await
        .map_err(StackError::database("while measuring"))?;
    let processes = stack.aws().processes().into_iter();
    let peak = processes
        .filter(|process| process.function.ends_with("-orders"))
        .map(|process| process.peak_memory_kib)
        .max()
        .unwrap_or(0);
    let milliseconds = u32::try_from(duration_ms.unwrap_or(0)).unwrap_or(u32::MAX);
    Ok(Cost {
        orders: row.get("orders"),
        lines: row.get("lines"),
        seconds: f64::from(milliseconds) / 1000.0,
        memory_mib: f64::from(u32::try_from(peak).unwrap_or(u32::MAX)) / 1024.0,
        size_mb: row.get("size_mb"),
        raw_mb: row.get("raw_mb"),
    })
}

const MEASURE: &str = "
    select (select count(*) from orders) as orders,
        (select count(*) from order_line_items) as lines,
        (select sum(pg_total_relation_size(oid)) / 1e6 from pg_class
            where oid in ('orders'::regclass, 'order_line_items'::regclass,
                'order_return_line_items'::regclass, 'order_tenders'::regclass))::float8 as size_mb,
        (select sum(pg_column_size(raw)) / 1e6 from orders)::float8 as raw_mb";

fn table(costs: &[Cost]) -> Table {
    let mut table = Table::new();
    table.set_header([
        "orders",
        "lines",
        "seconds",
        "orders/s",
        "memory",
        "tables",
        "of it raw",
    ]);
    for cost in costs {
        let orders = f64::from(i32::try_from(cost.orders).unwrap_or(i32::MAX));
        table.add_row([
            cost.orders.to_string(),
            cost.lines.to_string(),
            format!("{:.1}", cost.seconds),
            format!("{:.0}", orders / cost.seconds.max(0.001)),
            format!("{:.0} MiB", cost.memory_mib),
            format!("{:.0} MB", cost.size_mb),
            format!("{:.0} MB", cost.raw_mb),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}
