//! Pressure stall information of the disk (`Documentation/accounting/psi.rst` of the kernel): the share of the time in which
//! tasks waited for it.

use std::path::Path;

use super::{FIGURES, ProcessFolder, mounts::MountTable};
use crate::{bounded, snapshot::DiskPressure};

/// The pressure of the machine; `None` if the kernel does not measure it.
pub fn io_pressure(proc: &Path) -> Option<DiskPressure> {
    read(&proc.join("pressure/io"))
}

impl ProcessFolder {
    /// The pressure of its control group, by the `mounts` of this process; `None` if it is in none but the root, or if
    /// the group is not visible.
    pub fn io_pressure(&self, mounts: &MountTable) -> Option<DiskPressure> {
        let groups = self.control_groups()?;
        let path =
            groups.lines().find_map(|line| line.strip_prefix("0::/")).filter(|path| !path.is_empty())?;
        mounts.all_of("cgroup2").find_map(|root| read(&root.join(path).join("io.pressure")))
    }
}

fn read(file: &Path) -> Option<DiskPressure> {
    parse(&bounded::read_text(file, FIGURES).ok()?)
}

// `some avg10=2.19 avg60=2.29 avg300=1.16 total=1425413421`, in percent, and the same for `full`.
fn parse(text: &str) -> Option<DiskPressure> {
    let share = |kind: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(kind))?;
        let field = line.split_whitespace().find_map(|field| field.strip_prefix("avg10="))?;
        let percent: f64 = field.parse().ok()?;
        (0.0..=100.0).contains(&percent).then_some(percent / 100.0)
    };
    Some(DiskPressure { some: share("some ")?, full: share("full ") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::proc::fake::FakeProc;

    const TEXT: &str = "some avg10=62.50 avg60=2.29 avg300=1.16 total=1425413421\n\
                        full avg10=50.00 avg60=1.77 avg300=0.48 total=445073442\n";

    #[test]
    fn the_last_ten_seconds_are_read() {
        let proc = FakeProc::new();
        assert_eq!(io_pressure(proc.path()), None);
        proc.write("pressure/io", TEXT);
        assert_eq!(io_pressure(proc.path()), Some(DiskPressure { some: 0.625, full: Some(0.5) }));
        for wrong in
            ["", "some avg60=1", "some avg10=x", "some avg10=-1.00", "some avg10=NaN", "full avg10=1.00"]
        {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_group_is_found_below_its_mount_and_the_root_is_no_group() {
        let proc = FakeProc::new();
        let root = proc.path().join("groups");
        proc.write("groups/app/io.pressure", TEXT).write("70/cgroup", "4:memory:/x\n0::/app\n");
        let row = format!("30 29 0:26 / {} rw - cgroup2 cgroup2 rw\n", root.display());
        proc.write("self/mountinfo", &row).write("71/cgroup", "0::/\n").write("72/cgroup", "0::/gone\n");
        let mounts = MountTable::read(proc.path());
        let of = |pid| ProcessFolder::of(proc.path(), pid).io_pressure(&mounts).map(|it| it.some);
        assert_eq!([of(70), of(71), of(72), of(73)], [Some(0.625), None, None, None]);
    }
}
