//! Advice on what somebody who is told of an error can do about it, beyond what the
//! error's own message says.

const BY_ITSELF: &str = "Nothing yet: the next scheduled sync tries again by itself. If more of \
these mails come, look at the status page of the service that is named above.";
const MEND_FIRST: &str = "Mend what is said above. Until then every sync fails in the same way; \
after it, the next one catches up by itself.";
const REPORT: &str = "If the next scheduled sync fails too, report it with the run's id: a fault \
of the program or of an answer does not pass by itself.";

/// Returns the advice on an error of that name.
pub(crate) fn for_error(name: &str) -> &'static str {
    match name {
        "SquareRateLimited" | "SquareUnavailable" | "AwsUnavailable" | "DatabaseUnavailable" => {
            BY_ITSELF
        }
        "ConfigInvalid" | "SquareUnauthorized" | "SquareForbidden" | "DatabaseRejected" => {
            MEND_FIRST
        }
        "DatabaseSchemaOutdated" => {
            "Start the migration from the admin page (or by POST /admin/migrate-order-line-items). \
Until it has run no sync starts; after it, the next one catches up by itself."
        }
        "DeletionGuard" => {
            "See in Square whether so much was really deleted. If it was, start the sync from the \
admin page with the box ticked that allows it (or with allow_mass_deletion); if not, find out what \
Square answers before you do. Until then the data stays as it is."
        }
        "RunInProgress" | "LeaseLost" => {
            "Nothing, if another run is at work: the data is in its hands. Otherwise start a new run."
        }
        "StepTimeout" => {
            "Nothing yet: the next scheduled sync tries again by itself. If it stops at the same \
time-out, raise the setting named above."
        }
        "Cancelled" => "Start a new run, if none has succeeded since.",
        "InputInvalid" => {
            "Start it again with the input put right; the admin page makes no such mistakes."
        }
        "Sandbox.Timedout" | "States.Timeout" | "Runtime.OutOfMemory" => {
            "Wait for the next scheduled sync, which goes on by itself. If it ends the same way, \
raise StepMemoryMegabytes and deploy again: time and memory both come with it."
        }
        _ => REPORT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::SyncError;

    #[test]
    fn what_may_pass_is_waited_for_and_what_cannot_is_not() {
        for name in SyncError::NAMES {
            let waits = for_error(name) == BY_ITSELF;
            assert_eq!(waits, SyncError::RETRYABLE.contains(&name), "{name}");
        }
    }

    #[test]
    fn only_faults_of_a_program_are_to_be_reported() {
        let reported: Vec<&str> = SyncError::NAMES
            .into_iter()
            .filter(|name| for_error(name) == REPORT)
            .collect();
        let faults = [
            "SquareRejected",
            "SquareMalformed",
            "SquarePageLimit",
            "Internal",
        ];
        assert_eq!(reported, faults);
    }
}
