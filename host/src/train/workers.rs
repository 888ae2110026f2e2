//! Runs the parts of a batch on all cores with results that do not depend on how many there are.
//!
//! Burn's CPU backend hardly uses a second core for one small graph, so a batch is cut into parts of a fixed size
//! and every core works on whole parts. Each worker is a rayon pool of one thread: the backend's own
//! parallel loops then stay inside it. Results are handed over in part order.

use crate::error::{Context, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// One-thread pools, one per core.
#[derive(Debug)]
pub struct Workers {
    pools: Vec<ThreadPool>,
}

impl Workers {
    /// `count` workers, at least one.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn new(count: usize) -> Result<Self> {
        let pools = (0..count.max(1))
            .map(|_| ThreadPoolBuilder::new().num_threads(1).build())
            .collect::<std::result::Result<_, _>>()
            .context(|| "cannot start the training threads")?;
        Ok(Workers { pools })
    }

    /// As many workers as rayon would use threads (all cores unless `RAYON_NUM_THREADS` says otherwise).
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn all_cores() -> Result<Self> {
        Self::new(rayon::current_num_threads())
    }

    /// Computes `part(i)` for i in 0..count on the workers and passes the results to `take` in the order of i.
    pub fn for_each_in_order<R: Send>(
        &self,
        count: usize,
        part: impl Fn(usize) -> R + Sync,
        take: impl FnMut(usize, R) + Send,
    ) {
        struct Turn<R, F> {
            next: usize,
            waiting: BTreeMap<usize, R>,
            take: F,
        }
        let (part, next_part) = (&part, AtomicUsize::new(0));
        let turn = Mutex::new(Turn { next: 0, waiting: BTreeMap::new(), take });
        let work = || {
            loop {
                let i = next_part.fetch_add(1, Ordering::Relaxed);
                if i >= count {
                    break;
                }
                let result = part(i);
                let mut turn = turn.lock().expect("no worker panicked");
                turn.waiting.insert(i, result);
                loop {
                    let next = turn.next;
                    let Some(result) = turn.waiting.remove(&next) else { break };
                    (turn.take)(next, result);
                    turn.next += 1;
                }
            }
        };
        std::thread::scope(|scope| {
            for pool in self.pools.iter().take(count) {
                scope.spawn(|| pool.install(work));
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_from_any_number_of_workers() {
        for workers in [1, 2, 5] {
            let workers = Workers::new(workers).unwrap();
            for count in [0, 1, 3, 40] {
                let mut seen = Vec::new();
                let slow_first = |i: usize| {
                    std::thread::sleep(std::time::Duration::from_micros(500 / (i as u64 + 1)));
                    (i, rayon::current_num_threads())
                };
                workers.for_each_in_order(count, slow_first, |i, r| seen.push((i, r)));
                assert_eq!(seen, (0..count).map(|i| (i, (i, 1))).collect::<Vec<_>>());
            }
        }
    }
}
