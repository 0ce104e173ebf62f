//! Plays a history, and looks after each event whether all is as it must be.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::run::start;

use crate::event::{Event, Kind, Mishap, Outage, What};
use crate::execution::{self, Call, Execution};
use crate::history::History;
use crate::reader::Seen;
use crate::runs::{self, Course, EXPIRE, UNDISTURBED};
use crate::story::Story;
use crate::support::database;
use crate::world::{World, all_parts, ids, pick};
use crate::{change, end, held, rows};

/// Nothing takes as long, whatever happened: it would hang for ever.
const PATIENCE: Duration = Duration::from_secs(300);

/// Plays it from the first event to the end.
///
/// # Errors
/// What went wrong, and at which event.
pub(crate) async fn play(history: History, story: Story) -> Result<(), String> {
    let world = World::new(&history, story.clone()).await;
    through(&history, world, story).await
}

/// The same in a world that is there.
pub(crate) async fn through(history: &History, world: World, story: Story) -> Result<(), String> {
    for (number, event) in history.events.iter().enumerate() {
        story.tell(format!("{}. {event}", number + 1));
        let played = async {
            let is_restored = happen(&world, event).await?;
            look(&world, is_restored).await
        };
        let played = tokio::time::timeout(PATIENCE, Box::pin(played)).await;
        played.unwrap_or_else(|_| Err("it hangs".to_owned()))?;
    }
    story.tell("In the end, all faults are gone:".to_owned());
    let ended = tokio::time::timeout(PATIENCE, Box::pin(end::end(&world))).await;
    ended.unwrap_or_else(|_| Err("the end hangs".to_owned()))?;
    world.end().await;
    Ok(())
}

/// So often are the rules looked at where somebody may still be at work.
const LOOKS: usize = 5;

/// Whether all is as it must be. In the local AWS a function may go on for a while after its
/// execution was aborted, and what is looked at is not of one moment: what is wrong stays so.
async fn look(world: &World, is_restored: bool) -> Result<(), String> {
    let Some(aws) = world.local_aws() else {
        return held::check(world, is_restored).await;
    };
    for _ in 1..LOOKS {
        aws.settle(world).await;
        if held::check(world, is_restored).await.is_ok() {
            return Ok(());
        }
    }
    aws.settle(world).await;
    held::check(world, is_restored).await
}

/// Has an event happen, with a reader beside it; returns whether a backup was put back.
async fn happen(world: &World, event: &Event) -> Result<bool, String> {
    world.keep_time().await;
    let (mut seen, is_over) = (Seen::default(), AtomicBool::new(false));
    let client = world.client();
    let work = async {
        let result = Box::pin(act(world, event)).await;
        is_over.store(true, Ordering::Relaxed);
        result
    };
    let (acted, read) = tokio::join!(work, seen.read(&client, &is_over));
    read?;
    acted
}

async fn act(world: &World, event: &Event) -> Result<bool, String> {
    let mut rng = Rng::with_seed(event.seed ^ 0x5eed);
    if matches!(event.kind, Kind::Stale | Kind::Slip) {
        world.may_drift.store(true, Ordering::Relaxed);
    }
    match &event.kind {
        Kind::Change { times } => world.change_any(&mut rng, *times).await,
        Kind::ChangeLater { endpoint, request } => {
            let change = change::any(&mut rng);
            // Others may be removed before it is time.
            if world.may(&change, 3).await {
                world.story.tell(format!("  {change}"));
                world.note(&change);
                world.square.change_later(endpoint, *request, &change).await;
            }
        }
        Kind::Fault(fault) => world.square.fault(fault).await,
        Kind::ShowsUpLate => shows_up_late(world, &mut rng).await,
        Kind::Stale => stale(world, &mut rng).await,
        Kind::Slip => slip(world, &mut rng).await,
        Kind::Hostile { value } => hostile(world, &mut rng, *value).await,
        Kind::Run { ask, mishap } => {
            let Some((kind, request)) = runs::request(world, ask, &mut rng).await else {
                return Ok(false);
            };
            let run_id = world.name(&format!("r{:06x}", event.seed & 0xff_ffff));
            let execution = Execution {
                run_id,
                kind,
                request,
                redrives: 0,
            };
            world.story.tell(format!(
                "  {} {} {}",
                execution.run_id, kind, execution.request
            ));
            let course = Course {
                world,
                execution,
                mishap: *mishap,
                rng,
            };
            let ended = course.run(vec![Call::Open]).await?;
            world.story.tell(format!("    {ended:?}"));
            return Ok(kind == "restore");
        }
        Kind::LeasesRunOut => world.sql(EXPIRE).await,
        Kind::Reported => report(world).await?,
        Kind::Stop => {
            if let Some(run_id) = pick(&mut rng, &open_runs(world).await) {
                if let Some(aws) = world.local_aws() {
                    aws.stop_run(world, &run_id).await;
                    return Ok(false);
                }
                let functions = world.functions();
                let mut client = functions
                    .database
                    .client()
                    .await
                    .map_err(|error| error.to_string())?;
                let stopped = start::stop(&mut client, &run_id).await;
                world.story.tell(format!("  {run_id}: {stopped:?}"));
            }
        }
        Kind::LateCall => return late_call(world, &mut rng).await,
        Kind::Redrive => return redrive(world, &mut rng).await,
        Kind::Server(outage) => server(world, &mut rng, *outage).await?,
    }
    Ok(false)
}

/// Runs that nobody has closed, by their names.
pub(crate) async fn open_runs(world: &World) -> Vec<String> {
    let open = "select run_id from sync_runs where status in ('queued', 'running') order by 1";
    world.texts(open).await
}

/// EventBridge reports executions that ended without closing their runs.
pub(crate) async fn report(world: &World) -> Result<(), String> {
    let functions = world.new_functions();
    for run_id in open_runs(world).await {
        let mut client = functions
            .database
            .client()
            .await
            .map_err(|error| error.to_string())?;
        let why = "The execution was aborted in the console.";
        let closed = start::close_failed(&mut client, &run_id, "ExecutionAborted", why).await;
        closed.map_err(|error| format!("{run_id} cannot be closed: {error}"))?;
    }
    Ok(())
}

/// Something of up to a minute and a half ago, which lists do not have before now.
async fn shows_up_late(world: &World, rng: &mut Rng) {
    let truth = world.square.truth().await;
    let at = (Timestamp::now() - SignedDuration::from_secs(rng.i64(5..90))).to_string();
    let id = format!("LATE{}", rng.u32(..));
    let Some(location) = pick(rng, &ids(&truth, "locations")) else {
        return;
    };
    let variation = pick(rng, &ids(&truth, "catalog_variations"));
    let change = match (rng.u8(..3), variation) {
        (0, _) => {
            json!({"op": "put_raw", "object": {"type": "CATEGORY", "id": id, "updated_at": at,
            "version": Timestamp::now().as_millisecond(), "category_data": {"name": "late"}}})
        }
        (1, Some(variation)) => json!({"op": "put_raw", "count": {"catalog_object_id": variation,
            "location_id": location, "state": "SOLD_ONLINE", "quantity": "3", "calculated_at": at}}),
        _ => {
            world.debts.lock().unwrap().late.insert(id.clone());
            json!({"op": "put_raw", "order": {"id": id, "location_id": location,
                "state": "COMPLETED", "created_at": at, "updated_at": at}})
        }
    };
    world.story.tell(format!("  {change}"));
    world.change(&change).await;
}

/// A replica of Square's lags behind.
async fn stale(world: &World, rng: &mut Rng) {
    let truth = world.square.truth().await;
    let table = ["catalog_items", "catalog_variations", "catalog_categories"][rng.usize(..3)];
    if let Some(id) = pick(rng, &ids(&truth, table))
        && world
            .change(&json!({"op": "serve_stale", "id": id}))
            .await
            .is_some()
    {
        world.story.tell(format!("  {table} {id}"));
        world.debts.lock().unwrap().stale.insert(id);
    }
}

/// An object of the catalog, or a variation's counts, slip off a page of their list.
async fn slip(world: &World, rng: &mut Rng) {
    let truth = world.square.truth().await;
    let (endpoint, table) = [
        ("/v2/catalog/search", "catalog_items"),
        ("/v2/catalog/search", "catalog_variations"),
        ("/v2/inventory/counts/batch-retrieve", "catalog_variations"),
    ][rng.usize(..3)];
    if let Some(id) = pick(rng, &ids(&truth, table)) {
        let times = rng.u64(1..=6);
        let fault = json!({"endpoint": endpoint, "kind": "skip", "id": id, "times": times});
        world.story.tell(format!("  {fault}"));
        world.square.fault(&fault).await;
        world.debts.lock().unwrap().is_blind = true;
    }
}

/// An object gets what no sound one has; what heals it is remembered.
async fn hostile(world: &World, rng: &mut Rng, value: usize) {
    let (mut spoil, mut heal) = change::hostile(rng, value);
    let table = match spoil["op"].as_str() {
        Some("edit_item") => "catalog_items",
        Some("edit_variation") => "catalog_variations",
        Some("edit_category") => "catalog_categories",
        Some("edit_location") => "locations",
        _ => "orders",
    };
    let Some(id) = pick(rng, &ids(&world.square.truth().await, table)) else {
        return;
    };
    spoil["id"] = json!(id);
    heal["id"] = json!(id);
    if world.change(&spoil).await.is_some() {
        world.story.tell(format!("  {}", shortened(&spoil)));
        world.debts.lock().unwrap().heal.push(heal);
        if matches!(table, "locations" | "catalog_items" | "catalog_variations") {
            world.known.lock().unwrap().lose_sight();
        }
    }
}

fn shortened(value: &Value) -> String {
    value.to_string().chars().take(160).collect()
}

/// The runs there are, with their kinds; in the order of their names.
async fn runs_of(world: &World, status: &str) -> Vec<Execution> {
    let sql = "select run_id, kind, request, redrive_count from sync_runs
        where status = any(string_to_array($1, ',')) order by run_id";
    let rows = world.client().query(sql, &[&status]).await.unwrap();
    let kinds = [
        "complete_sync",
        "historical_orders",
        "migration",
        "restore",
        "spot_check",
    ];
    let execution = |row: &tokio_postgres::Row| {
        let kind: &str = row.get("kind");
        Some(Execution {
            run_id: row.get("run_id"),
            kind: kinds.into_iter().find(|known| *known == kind)?,
            request: row.get("request"),
            redrives: row.get("redrive_count"),
        })
    };
    rows.iter().filter_map(execution).collect()
}

/// Lambda makes a call that should have come long ago.
async fn late_call(world: &World, rng: &mut Rng) -> Result<bool, String> {
    let all = runs_of(world, "queued,running,succeeded,failed,stopped,skipped").await;
    let Some(execution) = pick(rng, &all) else {
        return Ok(false);
    };
    let calls = execution::left(&world.client(), &execution.run_id, execution.kind).await;
    let Some(call) = pick(rng, &calls) else {
        return Ok(false);
    };
    let functions = world.functions();
    let answer = Box::pin(execution.call(&functions, &call)).await;
    let said = answer.map_or_else(
        |error| format!("{}: {error}", error.name()),
        |_| "done".to_owned(),
    );
    world
        .story
        .tell(format!("  {} {call:?}: {said}", execution.run_id));
    Ok(execution.kind == "restore")
}

/// Somebody has a failed execution go on in the console.
async fn redrive(world: &World, rng: &mut Rng) -> Result<bool, String> {
    if world.local_aws().is_some() {
        // It knows no redrive.
        return Ok(false);
    }
    let Some(failed) = pick(rng, &runs_of(world, "failed").await) else {
        return Ok(false);
    };
    let execution = Execution {
        redrives: failed.redrives + 1,
        ..failed
    };
    let (run_id, kind) = (execution.run_id.clone(), execution.kind);
    world.fenced.lock().unwrap().goes_on(&run_id);
    world
        .story
        .tell(format!("  {run_id} {kind} {}", execution.request));
    let calls = execution::left(&world.client(), &run_id, kind).await;
    let course = Course {
        world,
        execution,
        mishap: UNDISTURBED,
        rng: rng.fork(),
    };
    let ended = course.run(calls).await?;
    world.story.tell(format!("    {ended:?}"));
    Ok(kind == "restore")
}

/// A sync under way while the server fails it.
async fn server(world: &World, rng: &mut Rng, outage: Outage) -> Result<(), String> {
    let name = world
        .texts("select current_database()::text")
        .await
        .remove(0);
    let read_only = format!("alter database {name} set default_transaction_read_only");
    let end_all = "select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and application_name like 'square-sync%'";
    let mut mishap = UNDISTURBED;
    match outage {
        Outage::AllSessionsEnd => world.sql(end_all).await,
        Outage::ReadOnly => {
            world.sql(&format!("{read_only} = on")).await;
            world.sql(end_all).await;
        }
        Outage::DiskFull => {
            let tables = rows::tables();
            let table = tables[rng.usize(..tables.len())].name;
            // Orders are staged in tables that are each session's own.
            let is_staged = !table.starts_with("order") && rng.bool();
            let schema = if is_staged { "staging" } else { "public" };
            world.story.tell(format!("  {schema}.{table}"));
            world
                .sql(&FULL.replace("of_table", &format!("{schema}.{table}")))
                .await;
        }
        Outage::Killed => {
            mishap = Mishap {
                what: What::ServerDies,
                call: rng.usize(..5),
                waits: rng.usize(1..40),
            };
        }
    }
    let parts = if rng.bool() {
        json!({})
    } else {
        json!({"only": all_parts(), "reconcile": true})
    };
    let execution = Execution {
        run_id: world.name(&format!("s{:06x}", rng.u32(..0x100_0000))),
        kind: "complete_sync",
        request: parts,
        redrives: 0,
    };
    let course = Course {
        world,
        execution,
        mishap,
        rng: rng.fork(),
    };
    let ended = course.run(vec![Call::Open]).await;
    match outage {
        Outage::ReadOnly => {
            world.sql(&format!("{read_only} = off")).await;
            world.sql(end_all).await;
        }
        Outage::DiskFull => world.sql("drop function is_full cascade").await,
        Outage::AllSessionsEnd | Outage::Killed => {}
    }
    world.story.tell(format!("    {:?}", ended?));
    Ok(())
}

/// A table that cannot grow, as PostgreSQL says it where there is no room on the disk.
const FULL: &str = "
    create function is_full() returns trigger language plpgsql as $$ begin
        raise exception using errcode = '53100', message = 'could not extend file';
    end $$;
    create trigger is_full before insert or update on of_table
        for each row execute function is_full()";

/// Starts the server that all histories share, before they are timed.
pub(crate) async fn prepare() {
    database::migrated().await;
}
