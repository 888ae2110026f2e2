//! Several devices of one machine: one thread per device, each with a replica of the model, as [`Ranks`] of one process.
//!
//! Gradients of NVIDIA GPUs are added by Burn's all-reduce (NCCL), others through memory in the order of ranks, so that replicas
//! stay equal to the last bit. A thread that fails ends all: those that wait for it stop waiting with a panic
//! that says nothing.

use super::ranks::{Ranks, through_memory};
use crate::Result;
use crate::model::is_cpu;
use burn::tensor::distributed::{DistributedConfig, DistributedContext, ReduceOperation, all_reduce};
use burn::tensor::{Device, Tensor};
use std::panic::{panic_any, resume_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

/// What a waiting thread unwinds with when another one failed.
struct Ended;

/// What threads wait for each other with.
#[derive(Debug, Default)]
struct Meeting {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What each rank brought, in this round.
    brought: Vec<Option<Vec<f32>>>,
    /// Threads that have taken what they came for.
    left: usize,
    failed: bool,
}

impl Meeting {
    fn lock(&self) -> MutexGuard<'_, State> {
        let state = self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.failed {
            drop(state);
            resume_unwind(Box::new(Ended));
        }
        state
    }

    fn wait<'a>(&'a self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        let state = self.changed.wait(state).unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.failed {
            drop(state);
            resume_unwind(Box::new(Ended));
        }
        state
    }

    /// Brings `values`, waits for all, and takes a look at what everyone brought.
    fn exchange<R>(&self, rank: usize, values: Vec<f32>, look: impl FnOnce(&[Option<Vec<f32>>]) -> R) -> R {
        let mut state = self.lock();
        state.brought[rank] = Some(values);
        self.changed.notify_all();
        while !state.brought.iter().all(Option::is_some) {
            state = self.wait(state);
        }
        let seen = look(&state.brought);
        state.left += 1;
        if state.left == state.brought.len() {
            state.left = 0;
            state.brought.iter_mut().for_each(|slot| *slot = None);
            self.changed.notify_all();
        } else {
            // Nobody brings anything new before all have looked.
            while state.brought[rank].is_some() {
                state = self.wait(state);
            }
        }
        seen
    }
}

/// The devices of a run.
#[derive(Debug)]
pub struct Replicas {
    devices: Vec<Device>,
    meeting: Arc<Meeting>,
    /// Burn's communication, of GPUs.
    _context: Option<DistributedContext>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct Replica {
    rank: usize,
    devices: Vec<Device>,
    meeting: Arc<Meeting>,
}

impl Replicas {
    /// One replica per device.
    pub fn new(devices: Vec<Device>) -> Self {
        let meeting = Meeting::default();
        meeting.lock().brought = vec![None; devices.len()];
        let gpus = devices.len() > 1 && !devices.iter().any(is_cpu);
        let config = DistributedConfig { all_reduce_op: ReduceOperation::Sum };
        let context = gpus.then(|| DistributedContext::init(devices.clone(), config));
        Replicas { devices, meeting: Arc::new(meeting), _context: context }
    }

    /// Runs `work` once per device, each in its own thread, and returns the result of the first. When one fails, the others end.
    ///
    /// # Errors
    /// That of the first replica that failed.
    pub fn run<R: Send>(&self, work: impl Fn(&Replica) -> Result<R> + Sync) -> Result<R> {
        let results = std::thread::scope(|scope| {
            let start = |rank| {
                let replica = Replica { rank, devices: self.devices.clone(), meeting: Arc::clone(&self.meeting) };
                let work = &work;
                scope.spawn(move || {
                    let guard = FailOnUnwind(&replica);
                    let result = work(&replica);
                    if result.is_ok() {
                        std::mem::forget(guard);
                    }
                    result
                })
            };
            let threads: Vec<_> = (0..self.devices.len()).map(start).collect();
            threads.into_iter().map(std::thread::ScopedJoinHandle::join).collect::<Vec<_>>()
        });
        let mut first = None;
        let mut panicked = None;
        for result in results {
            match result {
                Ok(Err(error)) => return Err(error),
                Ok(Ok(value)) => first = first.or(Some(value)),
                Err(panic) if panic.is::<Ended>() => {}
                Err(panic) => panicked = Some(panic),
            }
        }
        if let Some(panic) = panicked {
            resume_unwind(panic);
        }
        Ok(first.unwrap_or_else(|| panic_any("every replica ended without a reason")))
    }
}

/// Ends the other replicas when dropped.
struct FailOnUnwind<'a>(&'a Replica);

impl Drop for FailOnUnwind<'_> {
    fn drop(&mut self) {
        let meeting = &self.0.meeting;
        meeting.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner).failed = true;
        meeting.changed.notify_all();
    }
}

impl Replica {
    /// Where this replica's tensors are.
    pub fn device(&self) -> &Device {
        &self.devices[self.rank]
    }
}

impl Ranks for Replica {
    fn rank(&self) -> usize {
        self.rank
    }

    fn count(&self) -> usize {
        self.devices.len()
    }

    fn add(&self, values: &mut [f32]) {
        let brought = values.to_vec();
        self.meeting.exchange(self.rank, brought, |all| {
            values.fill(0.0);
            for other in all.iter().flatten() {
                values.iter_mut().zip(other).for_each(|(sum, v)| *sum += v);
            }
        });
    }

    fn add_gradients(&self, gradients: Vec<Tensor<1>>, share: f32) -> Result<Vec<Tensor<1>>> {
        if is_cpu(self.device()) {
            return through_memory(self, gradients, share);
        }
        let sum = |gradient: Tensor<1>| {
            all_reduce(gradient.mul_scalar(share), ReduceOperation::Sum, self.devices.clone()).resolve()
        };
        Ok(gradients.into_iter().map(sum).collect())
    }

    fn gather(&self, values: &[f32]) -> Vec<f32> {
        self.meeting.exchange(self.rank, values.to_vec(), |all| all.iter().flatten().flatten().copied().collect())
    }

    fn share(&self, value: u64) -> u64 {
        // Two halves of 32 bits in the bits of floats: nothing computes with them.
        let halves = [f32::from_bits(value as u32), f32::from_bits((value >> 32) as u32)];
        let seen = self.meeting.exchange(self.rank, halves.to_vec(), |all| all[0].clone().unwrap_or_default());
        seen.iter().rev().fold(0, |value, half| value << 32 | u64::from(half.to_bits()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;

    fn devices(count: usize) -> Replicas {
        Replicas::new(vec![Device::flex(); count])
    }

    #[test]
    fn sums_gathers_and_shares() {
        for count in [1, 2, 5] {
            let seen = devices(count).run(|replica| {
                let mut all = Vec::new();
                for round in 0..50 {
                    let mut values = [replica.rank() as f32, round as f32];
                    replica.add(&mut values);
                    let gathered = replica.gather(&vec![replica.rank() as f32; replica.rank()]);
                    all.push((values, gathered, replica.share(replica.rank() as u64 + (7 << 40))));
                }
                Ok(all)
            });
            let sum = (0..count).sum::<usize>() as f32;
            let gathered: Vec<f32> = (0..count).flat_map(|rank| vec![rank as f32; rank]).collect();
            for (round, (values, all, shared)) in seen.unwrap().into_iter().enumerate() {
                assert_eq!(values, [sum, (round * count) as f32]);
                assert_eq!((all, shared), (gathered.clone(), 7 << 40));
            }
        }
    }

    #[test]
    fn one_that_fails_ends_all() {
        let result = devices(3).run(|replica| {
            if replica.rank() == 1 {
                return Err(Error::new("no more"));
            }
            loop {
                replica.add(&mut [1.0]);
            }
            #[expect(unreachable_code, reason = "gives the closure its type")]
            Ok(())
        });
        assert_eq!(result.unwrap_err().to_string(), "no more");
    }
}
