//! Vectors: as numbers, as bytes, and the similarity of two of them.

use std::{cmp::Ordering, collections::BinaryHeap};

/// The most numbers that a vector may have; the largest models give about 8,000.
pub const LONGEST: usize = 65_536;

/// Numbers that are multiplied at a time: the compiler turns them into a few vector instructions.
const LANES: usize = 16;

/// `numbers` scaled to length 1; `None` if they are no direction: no numbers, too many, all 0, or one that is not
/// finite.
pub fn unit(mut numbers: Vec<f32>) -> Option<Vec<f32>> {
    let squares: f64 = numbers.iter().map(|&it| f64::from(it) * f64::from(it)).sum();
    let length = squares.sqrt();
    if numbers.len() > LONGEST || !length.is_normal() {
        return None;
    }
    for number in &mut numbers {
        #[expect(clippy::cast_possible_truncation, reason = "at most 1")]
        let share = (f64::from(*number) / length) as f32;
        *number = share;
    }
    Some(numbers)
}

/// The direction between `vectors` of length 1 and of equal lengths; that of the first one if they cancel out, `None` if
/// there are none.
pub fn mean(vectors: &[Vec<f32>]) -> Option<Vec<f32>> {
    let first = vectors.first()?;
    let mut sums = vec![0.0; first.len()];
    for vector in vectors {
        for (sum, number) in sums.iter_mut().zip(vector) {
            *sum += number;
        }
    }
    Some(unit(sums).unwrap_or_else(|| first.clone()))
}

/// The cosine of the angle between two vectors of length 1, from -1 to 1; ignores the end of the longer one.
pub fn cosine(one: &[f32], other: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (one, one_rest) = one.as_chunks::<LANES>();
    let (other, other_rest) = other.as_chunks::<LANES>();
    for (one, other) in one.iter().zip(other) {
        for lane in 0..LANES {
            sums[lane] += one[lane] * other[lane];
        }
    }
    let rest: f32 = one_rest.iter().zip(other_rest).map(|(one, other)| one * other).sum();
    sums.iter().sum::<f32>() + rest
}

/// `vector` as the database stores it: f32, little-endian.
pub fn to_bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

/// Appends the vector stored as `bytes` to `numbers`.
pub fn read_into(numbers: &mut Vec<f32>, bytes: &[u8]) {
    numbers.extend(bytes.as_chunks::<4>().0.iter().map(|number| f32::from_le_bytes(*number)));
}

/// The most similar few of many.
#[derive(Debug)]
pub struct TopMatches {
    room: usize,
    /// The least similar on top.
    kept: BinaryHeap<RankedMatch>,
}

/// A row, and its similarity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RankedMatch {
    pub id: i64,
    pub similarity: f32,
}

impl TopMatches {
    /// Keeps at most `room`.
    pub fn of(room: usize) -> Self {
        Self { room, kept: BinaryHeap::new() }
    }

    /// Keeps `near`, if it is among the most similar so far.
    pub fn offer(&mut self, near: RankedMatch) {
        if self.kept.len() < self.room {
            self.kept.push(near);
        } else if let Some(mut last) = self.kept.peek_mut()
            && near < *last
        {
            *last = near;
        }
    }

    /// The kept ones, the most similar first.
    pub fn best_first(self) -> Vec<RankedMatch> {
        self.kept.into_sorted_vec()
    }
}

impl Eq for RankedMatch {}

impl PartialOrd for RankedMatch {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for RankedMatch {
    /// The most similar first; of two equal ones the older row, so that the answer is always the same.
    fn cmp(&self, other: &Self) -> Ordering {
        other.similarity.total_cmp(&self.similarity).then(self.id.cmp(&other.id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(numbers: &[f32]) -> Vec<f32> {
        unit(numbers.to_vec()).expect("a direction")
    }

    #[test]
    fn the_similarity_is_the_cosine_whatever_the_lengths() {
        let long: Vec<f32> = (0_u8..37).map(|it| f32::from(it) - 9.0).collect();
        let opposite: Vec<f32> = long.iter().map(|it| it * -3.0).collect();
        for (one, other, expected) in [
            (&[1.0, 0.0][..], &[0.0, 5.0][..], 0.0),
            (&[3.0, 4.0], &[30.0, 40.0], 1.0),
            (&[1.0, 0.0], &[1.0, 1.0], 0.5_f32.sqrt()),
            (&long, &long, 1.0),
            (&long, &opposite, -1.0),
            (&[f32::MAX, 0.0], &[f32::MIN_POSITIVE, 0.0], 1.0),
        ] {
            let found = cosine(&vector(one), &vector(other));
            assert!((found - expected).abs() < 1e-5, "{one:?} {other:?}: {found}");
        }
    }

    #[test]
    fn what_is_no_direction_is_refused() {
        let endless = vec![1.0; LONGEST + 1];
        for numbers in [&[][..], &[0.0, 0.0], &[f32::NAN, 1.0], &[f32::INFINITY], &endless] {
            assert_eq!(unit(numbers.to_vec()), None);
        }
    }

    #[test]
    fn the_mean_is_the_direction_between_and_never_none_of_some() {
        let (east, north, west) = (vector(&[1.0, 0.0]), vector(&[0.0, 1.0]), vector(&[-1.0, 0.0]));
        let found = mean(&[east.clone(), north]).expect("a direction");
        assert!((found[0] - 0.5_f32.sqrt()).abs() < 1e-6 && (found[1] - 0.5_f32.sqrt()).abs() < 1e-6);
        assert_eq!(mean(std::slice::from_ref(&east)), Some(east.clone()));
        assert_eq!(mean(&[east.clone(), west]), Some(east));
        assert_eq!(mean(&[]), None);
    }

    #[test]
    fn bytes_are_the_same_vector() {
        let numbers = [0.5, -1.25, f32::MIN_POSITIVE];
        let bytes = to_bytes(&numbers);
        assert_eq!(bytes[..4], [0, 0, 0, 0x3f]);
        let mut back = Vec::new();
        read_into(&mut back, &bytes);
        assert_eq!(back, numbers);
    }

    #[test]
    fn the_most_alike_are_kept_in_order_and_ties_go_by_row() {
        let mut top = TopMatches::of(3);
        for (id, similarity) in [(1, 0.1), (2, 0.9), (9, 0.5), (4, 0.5), (5, 0.7), (6, -1.0)] {
            top.offer(RankedMatch { id, similarity });
        }
        assert_eq!(top.best_first().iter().map(|it| it.id).collect::<Vec<_>>(), [2, 5, 4]);
        let mut none = TopMatches::of(0);
        none.offer(RankedMatch { id: 1, similarity: 1.0 });
        assert_eq!(none.best_first(), []);
    }
}
