//! What `waltop doctor` says: of a machine that hides nothing, and of each limit.

use super::{Lines, compare};
use crate::diagnose::doctor::{
    DoctorReport, LimitKind,
    tests::{facts_with, open},
};

#[test]
fn the_report_on_a_machine_says_what_is_in_its_file() {
    let mut lines = Lines::default();
    lines.add("nothing hidden", &DoctorReport::new(&open()));
    for &kind in LimitKind::ALL {
        let report = DoctorReport::new(&facts_with(kind));
        let check = report.checks.iter().find(|it| it.limits.iter().any(|limit| limit.kind == kind));
        lines.add(&format!("{kind:?}"), check.expect("a row with the limit"));
    }
    compare("doctor.txt", &lines);
}
