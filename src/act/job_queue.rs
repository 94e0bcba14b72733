//! Queries that wait for their turn, so that a console with many databases does not start a worker for each at once.

use std::collections::{HashSet, VecDeque};

/// How many are answered at once: a dozen new processes slow a small machine down, and one that hangs must not block
/// all others.
const AT_ONCE: usize = 2;

/// Queries, each about a different subject, in the order in which they were submitted.
#[derive(Debug)]
pub struct JobQueue<Q> {
    waiting: VecDeque<(usize, Q)>,
    /// The subjects of those that wait, and of those that are being answered.
    subjects: HashSet<usize>,
    at_work: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// The caller starts to work, and continues until [`JobQueue::next`] returns nothing.
    Now,
    /// A caller that is already working answers it when its turn comes; or it is already queued.
    Later,
}

impl<Q> Default for JobQueue<Q> {
    fn default() -> Self {
        Self { waiting: VecDeque::new(), subjects: HashSet::new(), at_work: 0 }
    }
}

impl<Q> JobQueue<Q> {
    /// Adds a query about `subject`. Each subject has at most one waiting query, the newest.
    pub fn admit(&mut self, subject: usize, question: Q) -> Admission {
        if !self.subjects.insert(subject) {
            if let Some(waiting) = self.waiting.iter_mut().find(|(known, _)| *known == subject) {
                waiting.1 = question;
            }
            return Admission::Later;
        }
        self.waiting.push_back((subject, question));
        if self.at_work == AT_ONCE {
            return Admission::Later;
        }
        self.at_work += 1;
        Admission::Now
    }

    /// The next query for a working caller; with none left the caller stops working.
    pub fn next(&mut self) -> Option<(usize, Q)> {
        let next = self.waiting.pop_front();
        if next.is_none() {
            self.at_work -= 1;
        }
        next
    }

    /// Records that the query about `subject` was answered; it may be submitted again.
    pub fn done(&mut self, subject: usize) {
        self.subjects.remove(&subject);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_work_at_once_and_take_the_questions_in_their_order() {
        let mut turns = JobQueue::default();
        let begun: Vec<Admission> = (0..5).map(|subject| turns.admit(subject, ())).collect();
        assert_eq!(
            begun,
            [Admission::Now, Admission::Now, Admission::Later, Admission::Later, Admission::Later]
        );
        let mut answered = Vec::new();
        while let Some((subject, ())) = turns.next() {
            answered.push(subject);
            turns.done(subject);
        }
        assert_eq!(answered, [0, 1, 2, 3, 4]);
        assert_eq!(turns.admit(5, ()), Admission::Now, "one of the two has gone home");
        assert_eq!(turns.admit(6, ()), Admission::Later, "and the other is still at work");
        assert_eq!(turns.next(), Some((5, ())));
    }

    #[test]
    fn a_question_is_asked_once_until_it_is_answered() {
        let mut turns = JobQueue::default();
        assert_eq!(turns.admit(7, "first"), Admission::Now);
        assert_eq!(turns.admit(7, "again"), Admission::Later);
        assert_eq!(turns.next(), Some((7, "again")), "the newest: the first may be out of date");
        assert_eq!(turns.admit(7, "while it is answered"), Admission::Later);
        turns.done(7);
        assert_eq!(turns.next(), None);
        assert_eq!(turns.admit(7, "later"), Admission::Now);
    }
}
