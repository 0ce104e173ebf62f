//! The tests that need more than one part: each step against a real PostgreSQL
//! and the simulated Square account, and the whole through the local AWS. One
//! binary, so that it links once and starts PostgreSQL once.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test ends where something is not as expected, its helpers included"
)]

mod asked_anew;
mod browser_harness;
mod cancels;
mod changes;
mod clocks;
mod deletion;
mod drift;
mod elements;
mod end_to_end;
mod ended_sign_ins;
mod faults;
mod figures;
mod fresh_orders;
mod freshness;
mod gate;
mod hostile;
mod judges;
mod kept;
mod leases;
mod migration;
mod notifications;
mod operation_end_to_end;
mod order_parts;
mod order_views;
mod orders;
mod orders_end_to_end;
mod outages;
mod page_end_to_end;
mod page_history;
mod page_people;
mod page_pictures;
mod page_runs;
mod page_trust;
mod parts;
mod places;
mod plans;
mod previews;
mod quarantine;
mod refresh;
mod refresh_end_to_end;
mod refused_locations;
mod request_limit;
mod scrub;
mod siblings;
mod spot_check;
mod spot_check_end_to_end;
mod state_machine;
mod statements;
mod stops;
mod support;
mod times;
mod yielding;
