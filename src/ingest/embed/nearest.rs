//! Which documents are near each other, by their vectors: pure.
//!
//! A document has edges to the [`MOST`] documents that are most similar, from a minimum similarity on. So a changed
//! document can change the edges of others: those that had an edge to it, and those that are similar enough to get one
//! now.

use std::collections::{HashMap, HashSet};

use super::vector::{self, RankedMatch, TopMatches};
use crate::ingest::StopFlag;

/// The most edges from a document to near ones.
pub const MOST: usize = 8;

/// All vectors of a model that match the current text of their document.
#[derive(Debug, Default)]
pub struct ModelVectors {
    dimension: usize,
    ids: Vec<i64>,
    /// The minimum similarity at which their nearest are already edges.
    nearest_from: Vec<Option<f32>>,
    /// The vectors, one after another.
    numbers: Vec<f32>,
}

/// Edges to write for one document: the rows of the nearest ones, the most similar first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearestRows {
    pub id: i64,
    pub to: Vec<i64>,
}

impl ModelVectors {
    /// Adds the vector of row `id` as the database stores it. A vector whose length differs from the first is left out.
    pub fn push(&mut self, id: i64, nearest_from: Option<f32>, bytes: &[u8]) {
        if self.ids.is_empty() {
            self.dimension = bytes.len() / 4;
        }
        if self.dimension > 0 && bytes.len() == self.dimension * 4 {
            self.ids.push(id);
            self.nearest_from.push(nearest_from);
            vector::read_into(&mut self.numbers, bytes);
        }
    }

    pub fn len(&self) -> usize {
        self.ids.len()
    }

    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// The edges to write so that every document has its edges from the similarity `from` on; `edges` are the existing
    /// ones: rows, and `None` for a deleted one. Documents with a new vector come last: until those are written, the
    /// next run finds all of them again. `None` if `stop` was raised.
    pub fn nearest(
        &self,
        from: f32,
        edges: &[(i64, Option<i64>)],
        stop: &StopFlag,
    ) -> Option<Vec<NearestRows>> {
        let fresh: Vec<usize> = (0..self.len())
            .filter(|&row| self.nearest_from[row].is_none_or(|it| it.to_bits() != from.to_bits()))
            .collect();
        let is_fresh: HashSet<i64> = fresh.iter().map(|&row| self.ids[row]).collect();
        let row_of: HashMap<i64, usize> = self.ids.iter().copied().zip(0..).collect();
        let mut touched: HashSet<usize> = HashSet::new();
        let mut had: HashMap<i64, HashSet<i64>> = HashMap::new();
        for &(source, target) in edges {
            let stands = target.filter(|id| row_of.contains_key(id) && !is_fresh.contains(id));
            if stands.is_none() {
                touched.extend(row_of.get(&source));
            }
            had.entry(source).or_default().extend([target.unwrap_or(i64::MIN)]);
        }
        let mut own = Vec::new();
        for &row in &fresh {
            if stop.is_raised() {
                return None;
            }
            own.push(self.of(row, from, |other| {
                touched.insert(other);
            }));
        }
        let mut others: Vec<usize> =
            touched.into_iter().filter(|&row| !is_fresh.contains(&self.ids[row])).collect();
        others.sort_unstable();
        let mut nearest = Vec::new();
        for row in others {
            if stop.is_raised() {
                return None;
            }
            let it = self.of(row, from, |_| {});
            let is_same = match had.get(&it.id) {
                Some(had) => had.len() == it.to.len() && it.to.iter().all(|id| had.contains(id)),
                None => it.to.is_empty(),
            };
            if !is_same {
                nearest.push(it);
            }
        }
        nearest.append(&mut own);
        Some(nearest)
    }

    fn of(&self, row: usize, from: f32, mut near: impl FnMut(usize)) -> NearestRows {
        let own = self.vector(row);
        let mut top = TopMatches::of(MOST);
        for other in (0..self.len()).filter(|&other| other != row) {
            let similarity = vector::cosine(own, self.vector(other));
            if similarity >= from {
                near(other);
                top.offer(RankedMatch { id: self.ids[other], similarity });
            }
        }
        NearestRows { id: self.ids[row], to: top.best_first().into_iter().map(|near| near.id).collect() }
    }

    fn vector(&self, row: usize) -> &[f32] {
        &self.numbers[row * self.dimension..(row + 1) * self.dimension]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Directions in the plane, in degrees; `true` if the edges are already known.
    fn plane(directions: &[(i64, f32, bool)]) -> ModelVectors {
        let mut vectors = ModelVectors::default();
        for &(id, degrees, is_known) in directions {
            let (sine, cosine) = degrees.to_radians().sin_cos();
            vectors.push(id, is_known.then_some(0.9), &vector::to_bytes(&[cosine, sine]));
        }
        vectors
    }

    fn found(vectors: &ModelVectors, edges: &[(i64, Option<i64>)]) -> Vec<(i64, Vec<i64>)> {
        let nearest = vectors.nearest(0.9, edges, &StopFlag::default()).expect("nobody stops it");
        nearest.into_iter().map(|NearestRows { id, to }| (id, to)).collect()
    }

    #[test]
    fn the_nearest_are_found_and_nothing_is_done_twice() {
        let fresh = plane(&[(1, 0.0, false), (2, 10.0, false), (3, 20.0, false), (4, 90.0, false)]);
        let expected = [(1, vec![2, 3]), (2, vec![1, 3]), (3, vec![2, 1]), (4, vec![])];
        let mut now = found(&fresh, &[]);
        now[1].1.sort_unstable();
        assert_eq!(now, expected);
        let known = plane(&[(1, 0.0, true), (2, 10.0, true)]);
        assert_eq!(found(&known, &[(1, Some(2)), (2, Some(1))]), []);
    }

    #[test]
    fn a_document_that_turned_away_or_went_takes_the_edges_to_it_along() {
        let turned = plane(&[(1, 0.0, true), (2, 90.0, false), (3, 5.0, true)]);
        let edges = [(1, Some(2)), (1, Some(3)), (3, Some(1))];
        assert_eq!(found(&turned, &edges), [(1, vec![3]), (2, vec![])]);
        let gone = plane(&[(1, 0.0, true), (3, 5.0, true)]);
        assert_eq!(found(&gone, &[(1, None), (1, Some(3)), (3, Some(1))]), [(1, vec![3])]);
    }

    #[test]
    fn one_that_comes_near_gets_an_edge_from_who_was_there() {
        let come = plane(&[(1, 0.0, true), (2, 3.0, false), (3, 80.0, true)]);
        assert_eq!(found(&come, &[]), [(1, vec![2]), (2, vec![1])]);
    }

    #[test]
    fn no_document_has_more_than_its_share_and_the_best_stay() {
        let many: Vec<(i64, f32, bool)> =
            (0..20_u8).map(|it| (i64::from(it), f32::from(it) / 10.0, false)).collect();
        let nearest = found(&plane(&many), &[]);
        assert!(nearest.iter().all(|(_, to)| to.len() == MOST));
        assert_eq!(nearest[0].1, [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn another_threshold_is_found_out_again_and_a_stop_ends_it() {
        let known = plane(&[(1, 0.0, true), (2, 10.0, true)]);
        let stop = StopFlag::default();
        let nearest = known.nearest(0.999, &[(1, Some(2)), (2, Some(1))], &stop).expect("nobody stops it");
        assert!(nearest.len() == 2 && nearest.iter().all(|it| it.to.is_empty()));
        stop.raise();
        assert_eq!(known.nearest(0.5, &[], &stop), None);
    }
}
