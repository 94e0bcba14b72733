//! What a few hundred measured values say.

/// Where the median lies of what `values` were drawn from, with 95 % confidence: by the binomial distribution of
/// how many of them are below it, whatever theirs is.
pub fn interval(values: &[f64]) -> (f64, f64) {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    #[expect(clippy::cast_precision_loss, reason = "some hundreds")]
    let count = sorted.len() as f64;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some dozens")]
    let reach = (0.98 * count.sqrt()).ceil() as usize;
    let middle = sorted.len() / 2;
    (sorted[middle.saturating_sub(reach)], sorted[(middle + reach).min(sorted.len() - 1)])
}

/// The smallest of `values` that so many in a hundred do not exceed.
pub fn rank(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() * percent).div_ceil(100)).max(1) - 1]
}
