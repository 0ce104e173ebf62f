//! A run that has ended writes nothing any more, whoever of its functions goes on.

use std::collections::{BTreeMap, BTreeSet};

use crate::rows::Row;

/// What each run was seen to have written.
#[derive(Debug, Default)]
pub(crate) struct Fenced {
    written: BTreeMap<String, BTreeSet<String>>,
    ended: BTreeSet<String>,
}

impl Fenced {
    /// Looks at the rows there are, which were read after it was known which runs had
    /// ended. Rows that a backup brought back are no new ones.
    pub(crate) fn look(
        &mut self,
        ended: BTreeSet<String>,
        rows: &[Row],
        is_restored: bool,
    ) -> Result<(), String> {
        let mut written: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
        for row in rows {
            let at = format!("{} {} at {}", row.table, row.key, row.at);
            written.entry(&row.run).or_default().insert(at);
        }
        for (run, found) in written {
            let before = self.written.entry(run.to_owned()).or_default();
            let mut late = found.difference(before);
            // A run that was redriven has not ended any more.
            let had_ended = self.ended.contains(run) && ended.contains(run) && !is_restored;
            if let Some(late) = late.next().filter(|_| had_ended) {
                return Err(format!("run {run} had ended, and wrote {late}"));
            }
            before.extend(found);
        }
        self.ended = ended;
        Ok(())
    }

    /// A run that had ended goes on.
    pub(crate) fn goes_on(&mut self, run_id: &str) {
        self.ended.remove(run_id);
    }
}
