//! Queue: which controller looks at which object next, each pair at most once.

use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};

use jiff::Timestamp;

use super::view::Place;

/// A controller, by its number, and an object.
type Task = (usize, Place);

/// What is to be looked at now, and what later.
#[derive(Debug, Default)]
pub struct Queue {
    now: VecDeque<Task>,
    waiting: HashSet<Task>,
    later: BTreeSet<(Timestamp, Task)>,
    times: HashMap<Task, Timestamp>,
}

// === impl Queue ===

impl Queue {
    /// Has a controller look at an object soon.
    pub fn push(&mut self, index: usize, place: Place) {
        let task = (index, place);
        if self.waiting.insert(task.clone()) {
            self.now.push_back(task);
        }
    }

    /// Has a controller look at an object at a time, in place of any time before; the earliest look wins.
    pub fn wake(&mut self, index: usize, place: Place, time: Timestamp) {
        let task = (index, place);
        self.forget(&task);
        self.times.insert(task.clone(), time);
        self.later.insert((time, task));
    }

    /// The next look that is due.
    pub fn next(&mut self, now: Timestamp) -> Option<Task> {
        while let Some((time, task)) = self.later.first().cloned()
            && time <= now
        {
            self.forget(&task);
            self.push(task.0, task.1);
        }
        let task = self.now.pop_front()?;
        self.waiting.remove(&task);
        Some(task)
    }

    /// When the next look is due that is not due yet.
    pub fn wakes(&self) -> Option<Timestamp> {
        self.later.first().map(|(time, _)| *time)
    }

    fn forget(&mut self, task: &Task) {
        if let Some(time) = self.times.remove(task) {
            self.later.remove(&(time, task.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> Place {
        Place {
            resource: "pods".into(),
            key: name.to_owned(),
        }
    }

    #[test]
    fn a_look_is_due_once_and_in_time() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let mut queue = Queue::default();
        queue.push(0, place("a"));
        queue.push(0, place("a"));
        queue.wake(0, place("b"), at(20));
        queue.wake(0, place("b"), at(10));
        assert_eq!(queue.next(at(0)), Some((0, place("a"))));
        assert_eq!(queue.next(at(0)), None);
        assert_eq!(queue.wakes(), Some(at(10)));
        assert_eq!(queue.next(at(10)), Some((0, place("b"))));
        assert_eq!(queue.wakes(), None);
    }
}
