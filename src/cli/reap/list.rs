//! The printed list of the processes for which a cause holds.

use crate::{
    act::reap,
    snapshot::{PastMaxAge, Process, Snapshot},
    units,
};

use super::{LONG_WATCH, ReapArgs, ReapPlan, report_line};

impl ReapPlan {
    /// Prints what is stale and why, and what is not stopped; to stderr if stdout is for JSON.
    pub(super) fn list(&self, args: &ReapArgs, snapshot: &Snapshot) -> anyhow::Result<()> {
        let watched = units::duration(units::milliseconds(args.watch));
        for (index, database) in snapshot.databases.iter().enumerate() {
            let of_it: Vec<&Process> =
                self.candidates.iter().filter(|(at, _)| *at == index).map(|(_, it)| it).collect();
            let stale = of_it.iter().filter(|it| !self.refused.contains_key(&it.pid)).count();
            let path = database.path.display();
            let all = database.processes.len();
            report_line(args, &format!("{path}: {stale} of {all} stale, watched for {watched}"))?;
            for process in of_it {
                let age = process.started_at.map(|it| snapshot.taken_at.duration_since(it).as_secs_f64());
                let age = age.map_or_else(|| "of unknown age".to_owned(), |it| units::duration(it * 1e3));
                report_line(args, &format!("  {}, {age}: {}", process.who(), process.command_line()))?;
                for cause in reap::causes(process) {
                    report_line(args, &format!("    {}: {}", cause.name(), cause))?;
                }
                if let Some(refusal) = self.refused.get(&process.pid) {
                    report_line(args, &format!("    left alone: {refusal}"))?;
                }
            }
            for (process, past) in database.processes.iter().filter_map(|it| Some((it, past_max_age(it)?))) {
                report_line(args, &format!("  {}: {past}", process.who()))?;
            }
        }
        let mut causes = self.candidates.iter().flat_map(|(_, process)| reap::causes(process));
        if args.watch < LONG_WATCH && causes.any(|cause| cause.idle_ms().is_some()) {
            let advice = "--for 30s watches longer";
            report_line(args, &format!("work that is rarer than every {watched} looks idle; {advice}"))?;
        }
        Ok(())
    }
}

/// Why a process that has outlived the `max_age` of its rule is not stale.
pub(super) fn past_max_age(process: &Process) -> Option<&PastMaxAge> {
    process.stale.as_ref()?.past_max_age.as_ref()
}
