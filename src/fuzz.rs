//! Random input for parsers: a few hundred cases in an ordinary test run, and for as long as `WALTOP_FUZZ_SECONDS` says
//! (for each target) where that is set. The names of the tests begin with `fuzz_`, so that one filter runs them all.

use std::{
    env, fmt,
    time::{Duration, Instant},
};

use proptest::test_runner::{Config, TestError, TestRunner};

/// The seconds for each target.
const SECONDS: &str = "WALTOP_FUZZ_SECONDS";

/// Cases of one round. Without a time there is one round.
const CASES: u32 = 256;

/// Calls `round` with a fresh runner, whose seed is random, once or until the time is over. A failure names the
/// smallest input that fails.
///
/// # Panics
///
/// Where a case fails, or the time is not a number.
pub(crate) fn for_a_while<T: fmt::Debug>(
    name: &str,
    mut round: impl FnMut(&mut TestRunner) -> Result<(), TestError<T>>,
) {
    let seconds = env::var(SECONDS).ok().map(|text| text.parse().expect("a number of seconds"));
    let time = Duration::from_secs_f64(seconds.unwrap_or(0.0));
    let (begin, mut cases) = (Instant::now(), 0_u64);
    loop {
        let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
        if let Err(error) = round(&mut TestRunner::new(config)) {
            panic!("{name}, after {cases} cases: {error}");
        }
        cases += u64::from(CASES);
        if begin.elapsed() >= time {
            break;
        }
    }
    eprintln!("fuzz {name}: {cases} cases in {:.1} s", begin.elapsed().as_secs_f64());
}

#[test]
#[should_panic(expected = "minimal failing input: 100")]
fn fuzz_reports_the_smallest_input_that_fails() {
    for_a_while("the harness", |runner| {
        runner.run(&(0_u32..10_000), |input| {
            proptest::prop_assert!(input < 100);
            Ok(())
        })
    });
}
