//! Runs, from the request to the end of the execution, with what befalls them.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use shared::error::SyncError;
use shared::run::start;

use crate::event::{Ask, Mishap, What};
use crate::execution::{Call, Ended, Execution, Machine};
use crate::history::FIRST_ORDER_AT;
use crate::mishap::struck;
use crate::support::patience::cut_off_after;
use crate::world::{World, ids, pick};

/// Lets everybody have the leases.
pub(crate) const EXPIRE: &str =
    "update sync_leases set expires_at = clock_timestamp() - interval '1 second'
     where holder is not null";

/// The kind of a run and its request, now that it is known what there is.
pub(crate) async fn request(
    world: &World,
    ask: &Ask,
    rng: &mut Rng,
) -> Option<(&'static str, Value)> {
    Some(match ask {
        Ask::Sync(request) => ("complete_sync", request.clone()),
        Ask::Import { days, limited } => {
            let day = |day: &i64| {
                let first: Timestamp = FIRST_ORDER_AT.parse().unwrap();
                json!((first + SignedDuration::from_hours(24 * day)).to_string())
            };
            let mut request = json!({"from": day(&-1)});
            if let Some((from, to)) = days {
                request = json!({"from": day(from), "to": day(to)});
            }
            if *limited {
                let location = pick(rng, &ids(&world.square.truth().await, "locations"))?;
                request["location_ids"] = json!([location]);
            }
            ("historical_orders", request)
        }
        Ask::Migration => ("migration", json!({})),
        Ask::SpotCheck { sample } => ("spot_check", json!({"sample": sample})),
        Ask::Restore => {
            let backups = world
                .texts("select backup_id from sync_backups order by 1")
                .await;
            ("restore", json!({"backup_id": pick(rng, &backups)?}))
        }
    })
}

/// A whole execution, with what befalls it on the way.
pub(crate) struct Course<'a> {
    pub(crate) world: &'a World,
    pub(crate) execution: Execution,
    pub(crate) mishap: Mishap,
    pub(crate) rng: Rng,
}

/// A mishap that is none.
pub(crate) const UNDISTURBED: Mishap = Mishap {
    what: What::Nothing,
    call: 0,
    waits: 0,
};

impl Course<'_> {
    /// Calls and calls again, until the execution has ended.
    ///
    /// # Errors
    /// What is against the rules.
    pub(crate) async fn run(self, calls: Vec<Call>) -> Result<Ended, String> {
        match self.world.local_aws() {
            Some(aws) => {
                let carried_out = aws.carry_out(self.world, &self.execution, self.mishap, self.rng);
                carried_out.await
            }
            None => self.call(calls).await,
        }
    }

    async fn call(mut self, calls: Vec<Call>) -> Result<Ended, String> {
        let mut machine = Machine::new(calls);
        let mut number = 0;
        while let Some(call) = machine.due().cloned() {
            let is_hit = number == self.mishap.call && self.mishap.what != What::Nothing;
            number += 1;
            let answer = if is_hit {
                match Box::pin(self.hit(&call)).await? {
                    Some(answer) => answer,
                    None => {
                        self.world
                            .story
                            .tell(format!("    {call:?}: the execution ends"));
                        return Ok(Ended::Silently);
                    }
                }
            } else {
                let functions = self.world.functions();
                Box::pin(self.execution.call(&functions, &call)).await
            };
            self.tell(&call, &answer);
            if let (Call::Finish, Ok(output)) = (&call, &answer)
                && output["status"] != "succeeded"
            {
                return Err(format!("finish answered {output}"));
            }
            machine.answered(self.execution.kind, answer);
        }
        if self.mishap.what == What::TokenRevoked {
            self.world.square.set_revoked(false).await;
        }
        Ok(machine.ended.unwrap_or(Ended::Silently))
    }

    fn tell(&self, call: &Call, answer: &Result<Value, SyncError>) {
        let said = match answer {
            Ok(output) => match output.get("stats") {
                Some(stats) => format!("{} {stats}", output["scope"].as_str().unwrap_or("")),
                None => output["status"].as_str().unwrap_or("done").to_owned(),
            },
            Err(error) => format!("{}: {error}", error.name()),
        };
        self.world.story.tell(format!("    {call:?}: {said}"));
    }

    /// The call during which it happens; none if the execution has ended with it.
    async fn hit(&mut self, call: &Call) -> Result<Option<Result<Value, SyncError>>, String> {
        let Mishap { what, waits, .. } = self.mishap;
        let (world, execution) = (self.world, self.execution.clone());
        let functions = world.functions();
        let work = Box::pin(execution.call(&functions, call));
        match what {
            What::CutOff | What::Aborted => {
                let answer = cut_off_after(waits, work).await;
                if answer.is_none() {
                    world.story.tell(format!("    {call:?} was cut off"));
                    world.lose_functions();
                }
                match answer {
                    None if what == What::Aborted => Ok(None),
                    // The state machine calls once more.
                    None => {
                        let functions = world.functions();
                        Ok(Some(Box::pin(execution.call(&functions, call)).await))
                    }
                    answer => Ok(answer),
                }
            }
            What::TwiceAtOnce => {
                let others = world.new_functions();
                let twin = Box::pin(execution.call(&others, call));
                let (one, other) = tokio::join!(work, twin);
                self.tell(call, &other);
                if let (Ok(one), Ok(other)) = (&one, &other) {
                    same(call, one, other)?;
                }
                Ok(Some(if one.is_ok() { one } else { other }))
            }
            What::TwiceInARow => {
                let one = work.await;
                let other = Box::pin(execution.call(&functions, call)).await;
                if let Ok(one) = &one {
                    match &other {
                        Ok(other) => same(call, one, other)?,
                        Err(error) => {
                            return Err(format!("{call:?} was called again: {error}"));
                        }
                    }
                }
                Ok(Some(if one.is_ok() { one } else { other }))
            }
            _ => {
                let mut rng = self.rng.fork();
                let strike = Box::pin(self.strike(&mut rng));
                let (answer, hit) = struck(waits, work, strike).await;
                let is_hit = hit.transpose()?.is_some();
                if what == What::Stopped && is_hit {
                    self.tell(call, &answer);
                    return Ok(None);
                }
                Ok(Some(answer))
            }
        }
    }

    /// What happens beside a call.
    async fn strike(&self, rng: &mut Rng) -> Result<(), String> {
        let (world, execution) = (self.world, &self.execution);
        let run_id = &execution.run_id;
        world.story.tell(format!("    {:?}", self.mishap.what));
        match self.mishap.what {
            What::Stopped => {
                let functions = world.new_functions();
                let mut client = functions
                    .database
                    .client()
                    .await
                    .map_err(|error| error.to_string())?;
                let stopped = start::stop(&mut client, run_id).await;
                drop(client);
                world.story.tell(format!("    stopped: {stopped:?}"));
                world.look(execution.kind == "restore").await?;
            }
            What::SessionEnds => end_a_session(world, Some(run_id), rng).await,
            What::LeaseRunsOut => world.sql(EXPIRE).await,
            What::TakenOver | What::SecondStart => {
                if self.mishap.what == What::TakenOver {
                    world.sql(EXPIRE).await;
                }
                let request = if rng.bool() {
                    json!({})
                } else {
                    json!({"only": crate::world::all_parts()})
                };
                self.other_run(format!("{run_id}-b"), "complete_sync", request)
                    .await?;
            }
            What::Redelivered => {
                let functions = world.new_functions();
                let again = Box::pin(execution.call(&functions, &Call::Open)).await;
                self.tell(&Call::Open, &again);
                let has_key = execution.request.get("idempotency_key").is_some()
                    || execution.request.get("scheduled_time").is_some();
                if has_key {
                    let second = Execution {
                        run_id: format!("{run_id}-c"),
                        ..execution.clone()
                    };
                    let opened = Box::pin(second.call(&functions, &Call::Open)).await;
                    self.tell(&Call::Open, &opened);
                    if opened.is_ok_and(|opened| opened["status"] == "running") {
                        return Err(format!(
                            "a second execution began for the request of {run_id}"
                        ));
                    }
                }
            }
            What::AccountChanges => {
                world.keep_time().await;
                let times = rng.usize(1..=3);
                world.change_any(rng, times).await;
            }
            What::ServerDies => world.kill_server().await,
            What::TokenRevoked => world.square.set_revoked(true).await,
            _ => {}
        }
        Ok(())
    }

    /// Another run, which nothing disturbs but this one.
    async fn other_run(
        &self,
        run_id: String,
        kind: &'static str,
        request: Value,
    ) -> Result<(), String> {
        let world = self.world;
        let functions = world.new_functions();
        let execution = Execution {
            run_id,
            kind,
            request,
            redrives: 0,
        };
        let mut machine = Machine::new([Call::Open]);
        while let Some(call) = machine.due().cloned() {
            let answer = Box::pin(execution.call(&functions, &call)).await;
            world.story.tell(format!(
                "      other {call:?}: {}",
                match &answer {
                    Ok(_) => "done".to_owned(),
                    Err(error) => format!("{}: {error}", error.name()),
                }
            ));
            machine.answered(kind, answer);
        }
        world.look(self.execution.kind == "restore").await?;
        Ok(())
    }
}

/// Two answers to one call say the same of its work.
fn same(call: &Call, one: &Value, other: &Value) -> Result<(), String> {
    let is_same = match call {
        // They tell of their own part only, or of an error that was there first.
        Call::Window(_) | Call::Close { .. } | Call::Migrate(_) => one["done"] == other["done"],
        Call::Open | Call::Plan | Call::Finish => one == other,
        Call::Step(_) | Call::Restore => one["stats"] == other["stats"],
    };
    if is_same {
        Ok(())
    } else {
        Err(format!("{call:?} was called twice: {one} and {other}"))
    }
}

/// Ends a session of the run, or of any.
pub(crate) async fn end_a_session(world: &World, run_id: Option<&str>, rng: &mut Rng) {
    let name = run_id.map_or_else(|| "%".to_owned(), |run_id| format!("%{run_id}"));
    let sessions = format!(
        "select pid::text from pg_stat_activity where datname = current_database()
             and application_name like 'square-sync{name}' order by pid"
    );
    let sessions = world.texts(&sessions).await;
    if let Some(pid) = pick(rng, &sessions) {
        world
            .sql(&format!("select pg_terminate_backend({pid})"))
            .await;
    }
}
