//! The instances of one tracer: the kernel takes a filter of up to a page, so that many databases need several.

use std::{io, path::PathBuf};

use super::tracefs::{self, TraceInstance, TracedFile};

/// How many files one instance traces.
const MOST_FILES: usize = 64;
/// The longest filter, in bytes: the kernel refuses a page (`event_filter_write`).
const LONGEST_FILTER: usize = 4095;

#[derive(Debug)]
pub struct TraceInstances {
    root: PathBuf,
    instances: Vec<TraceInstance>,
    /// The instance of each database.
    places: Vec<usize>,
}

impl TraceInstances {
    /// Makes the first instance in the tracefs at `root`.
    ///
    /// # Errors
    ///
    /// As [`TraceInstance::create`].
    pub fn create(root: PathBuf) -> io::Result<Self> {
        let instances = vec![TraceInstance::create(&root)?];
        Ok(Self { root, instances, places: Vec::new() })
    }

    /// Traces the files of each database. Returns, for each, whether it now has another instance, so that requests may
    /// have been missed or seen in another order.
    ///
    /// # Errors
    ///
    /// The kernel refuses a filter or another instance.
    pub fn trace(&mut self, databases: &[Vec<TracedFile>]) -> io::Result<Vec<bool>> {
        let places = places(databases);
        let needed = places.last().map_or(1, |last| last + 1);
        while self.instances.len() < needed {
            self.instances.push(TraceInstance::create(&self.root)?);
        }
        self.instances.truncate(needed);
        for (number, instance) in self.instances.iter().enumerate() {
            let its = databases.iter().zip(&places).filter(|(_, place)| **place == number);
            let files: Vec<TracedFile> = its.flat_map(|(files, _)| files).copied().collect();
            if files.is_empty() {
                instance.pause()?;
            } else {
                instance.trace(&tracefs::filter(&files))?;
            }
        }
        let before = std::mem::replace(&mut self.places, places);
        let has_moved = |(at, place): (usize, &usize)| before.get(at).is_some_and(|before| before != place);
        Ok(self.places.iter().enumerate().map(has_moved).collect())
    }

    /// Calls `take` with each line that has arrived.
    ///
    /// # Errors
    ///
    /// An instance is gone.
    pub fn read(&mut self, mut take: impl FnMut(&str)) -> io::Result<()> {
        self.instances.iter_mut().try_for_each(|instance| instance.read(&mut take))
    }

    /// How many events were overwritten before they could be read.
    pub fn overruns(&self) -> u64 {
        self.instances.iter().map(TraceInstance::overruns).sum()
    }
}

/// The instance of each database: as many as fit into the first, then the next. The files of one, at most two, stay
/// together, because the order of requests is only known within an instance.
fn places(databases: &[Vec<TracedFile>]) -> Vec<usize> {
    let (mut number, mut files) = (0, Vec::new());
    let place = |its: &Vec<TracedFile>| {
        files.extend_from_slice(its);
        if files.len() > MOST_FILES || tracefs::filter(&files).len() > LONGEST_FILTER {
            number += 1;
            files.clone_from(its);
        }
        number
    };
    databases.iter().map(place).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Only `instance`.
    pub fn only(instance: TraceInstance) -> TraceInstances {
        TraceInstances { root: PathBuf::new(), instances: vec![instance], places: Vec::new() }
    }

    fn databases(count: u64, device: impl Fn(u64) -> u32) -> Vec<Vec<TracedFile>> {
        let file = |inode: u64, device: u32, (first, last): (u64, u64)| TracedFile {
            device: (device, 0xf_ffff),
            inode: u64::MAX - inode,
            first,
            last,
        };
        (0..count)
            .map(|number| {
                let device = device(number);
                vec![
                    file(2 * number, device, (1_073_741_824, 1_073_742_335)),
                    file(2 * number + 1, device, (120, 128)),
                ]
            })
            .collect()
    }

    fn assert_fits(databases: &[Vec<TracedFile>], places: &[usize]) {
        for number in 0..=*places.last().expect("one") {
            let its = databases.iter().zip(places).filter(|(_, place)| **place == number);
            let files: Vec<TracedFile> = its.flat_map(|(files, _)| files).copied().collect();
            assert!(!files.is_empty() && files.len() <= MOST_FILES);
            let length = tracefs::filter(&files).len();
            assert!(length <= LONGEST_FILTER, "{length}");
        }
    }

    #[test]
    fn an_instance_has_sixty_four_files_on_one_device() {
        let databases = databases(100, |_| 254);
        let places = places(&databases);
        assert_fits(&databases, &places);
        assert_eq!((places[31], places[32], places[63], places[64], places[99]), (0, 1, 1, 2, 3));
    }

    #[test]
    fn files_on_many_devices_have_longer_filters_and_so_more_instances() {
        let databases = databases(64, |number| u32::try_from(number).expect("small"));
        let places = places(&databases);
        assert_fits(&databases, &places);
        assert!(places[63] > 1, "{places:?}");
    }

    #[test]
    fn one_database_has_one_instance() {
        assert_eq!(places(&databases(1, |_| 1)), [0]);
        assert!(places(&[]).is_empty());
    }
}
