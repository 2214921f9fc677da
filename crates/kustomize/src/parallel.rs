//! Parallel: work on many objects that do not depend on each other, on the threads that the machine has.

use std::sync::{Mutex, PoisonError};
use std::{iter, thread};

/// More threads than this would wait for memory rather than work.
const MAX_THREADS: usize = 8;
/// Parts for each thread, so that one with large objects does not keep the others waiting.
const PARTS: usize = 4;

/// Objects for which another thread is worth while.
pub(crate) const OBJECTS: usize = 64;

/// Maps a list in its order. Fewer than `least` items for each thread are not worth another one.
pub(crate) fn map<T: Send, R: Send>(items: Vec<T>, least: usize, f: impl Fn(T) -> R + Sync) -> Vec<R> {
    let worthwhile = items.len() / least.max(1);
    let threads = if worthwhile > 1 {
        let available = thread::available_parallelism().map_or(1, usize::from);
        available.min(worthwhile).min(MAX_THREADS)
    } else {
        1
    };
    if threads == 1 {
        return items.into_iter().map(f).collect();
    }
    let size = items.len().div_ceil(threads * PARTS);
    let mut items = items.into_iter();
    let parts =
        iter::from_fn(|| Some(items.by_ref().take(size).collect::<Vec<T>>()).filter(|part| !part.is_empty()));
    let queue = Mutex::new(parts.collect::<Vec<_>>().into_iter().enumerate());
    let done = Mutex::new(Vec::new());
    let work = || {
        loop {
            let next = queue.lock().unwrap_or_else(PoisonError::into_inner).next();
            let Some((at, part)) = next else { return };
            let part: Vec<R> = part.into_iter().map(&f).collect();
            done.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push((at, part));
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // Without another thread this one does all of it.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    let mut done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    done.sort_unstable_by_key(|(at, _)| *at);
    done.into_iter().flat_map(|(_, part)| part).collect()
}

/// Changes the items of a list; the first of them that cannot be, and why.
pub(crate) fn change<T: Send, E: Send>(
    items: &mut [T],
    least: usize,
    f: impl Fn(&mut T) -> Result<(), E> + Sync,
) -> Result<(), (usize, E)> {
    let changed = map(items.iter_mut().collect(), least, f);
    let failed = |(at, result): (usize, Result<(), E>)| result.map_err(|error| (at, error));
    changed.into_iter().enumerate().try_for_each(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_kept() {
        for count in [0, 1, 7, 8, 9, 1000] {
            let squares: Vec<usize> = (0..count).map(|n| n * n).collect();
            assert_eq!(map((0..count).collect(), 4, |n: usize| n * n), squares, "{count}");
        }
    }
}
