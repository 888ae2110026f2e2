//! Processes that train one model together: each computes its share of every batch, gradients are added, rank 0 writes the run.
//!
//! Every process sees the same pictures and the same global order (a function of seed and epoch), so the processes together compute
//! what one process would, but for the order in which floats are added. Feature `mpi` has `Mpi`; without it a program
//! is [`Alone`].

use super::checkpoint::read_tensor;
use crate::Result;
use burn::tensor::{Tensor, TensorData};
use std::ops::Range;

/// The processes of a run.
pub trait Ranks {
    /// Number of this process, from 0.
    fn rank(&self) -> usize;

    /// Number of processes.
    fn count(&self) -> usize;

    /// Replaces `values` by their sum over all processes.
    fn add(&self, values: &mut [f32]);

    /// Sum over the processes of `share`·gradients: the mean over the batch, of which each has the mean over its part.
    ///
    /// # Errors
    /// The device does not hand over its values.
    fn add_gradients(&self, gradients: Vec<Tensor<1>>, share: f32) -> Result<Vec<Tensor<1>>> {
        through_memory(self, gradients, share)
    }

    /// The values of all processes, in the order of ranks.
    fn gather(&self, values: &[f32]) -> Vec<f32>;

    /// Rank 0's value, on all processes; waits for all of them.
    fn share(&self, value: u64) -> u64;

    /// True for the process that writes and reports.
    fn leads(&self) -> bool {
        self.rank() == 0
    }

    /// The part of `count` samples that is this process's.
    fn part(&self, count: usize) -> Range<usize> {
        count * self.rank() / self.count()..count * (self.rank() + 1) / self.count()
    }
}

/// [`Ranks::add_gradients`] by [`Ranks::add`], on the CPU.
pub(super) fn through_memory<R: Ranks + ?Sized>(
    ranks: &R,
    gradients: Vec<Tensor<1>>,
    share: f32,
) -> Result<Vec<Tensor<1>>> {
    let device = gradients.first().map(Tensor::device).unwrap_or_default();
    let mut flat = Vec::new();
    let mut lengths = Vec::with_capacity(gradients.len());
    for gradient in &gradients {
        let values = read_tensor(gradient)?;
        lengths.push(values.len());
        flat.extend(values.into_iter().map(|g| g * share));
    }
    ranks.add(&mut flat);
    let mut rest = flat.as_slice();
    let cut = |length: usize| {
        let (values, behind) = rest.split_at(length);
        rest = behind;
        Tensor::from_data(TensorData::new(values.to_vec(), [length]), &device)
    };
    Ok(lengths.into_iter().map(cut).collect())
}

/// One process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Alone;

impl Ranks for Alone {
    fn rank(&self) -> usize {
        0
    }

    fn count(&self) -> usize {
        1
    }

    fn add(&self, _values: &mut [f32]) {}

    fn gather(&self, values: &[f32]) -> Vec<f32> {
        values.to_vec()
    }

    fn share(&self, value: u64) -> u64 {
        value
    }
}

#[cfg(feature = "mpi")]
pub use with_mpi::Mpi;

#[cfg(feature = "mpi")]
mod with_mpi {
    use super::Ranks;
    use crate::{Error, Result};
    use mpi::Count;
    use mpi::collective::SystemOperation;
    use mpi::datatype::PartitionMut;
    use mpi::environment::Universe;
    use mpi::topology::SimpleCommunicator;
    use mpi::traits::{Communicator, CommunicatorCollectives, Root};

    /// Values of one all-reduce: MPI counts are 32-bit, and a few pieces let slow networks start early.
    const PIECE: usize = 1 << 22;

    /// The processes that `mpirun` started.
    pub struct Mpi {
        world: SimpleCommunicator,
        /// Dropping it ends MPI.
        _universe: Universe,
    }

    impl Mpi {
        /// Joins the processes; alone, without `mpirun`, there is one.
        ///
        /// # Errors
        /// MPI was started already.
        pub fn join() -> Result<Self> {
            // Only the thread that trains calls MPI; others compute.
            let (universe, _) = mpi::initialize_with_threading(mpi::Threading::Funneled)
                .ok_or_else(|| Error::new("MPI could not be started").hint("start the program with `mpirun -n N`"))?;
            // A panicking process would wait for the others in MPI's own end, and they for it.
            let report = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |panic| {
                report(panic);
                SimpleCommunicator::world().abort(2)
            }));
            Ok(Mpi { world: universe.world(), _universe: universe })
        }

        /// Ends all processes, after an error of this one that the others cannot know of.
        pub fn abort(&self) -> ! {
            self.world.abort(2)
        }
    }

    impl Ranks for Mpi {
        fn rank(&self) -> usize {
            self.world.rank() as usize
        }

        fn count(&self) -> usize {
            self.world.size() as usize
        }

        fn add(&self, values: &mut [f32]) {
            let mut sum = vec![0f32; values.len().min(PIECE)];
            for piece in values.chunks_mut(PIECE) {
                let sum = &mut sum[..piece.len()];
                self.world.all_reduce_into(&*piece, sum, SystemOperation::sum());
                piece.copy_from_slice(sum);
            }
        }

        fn gather(&self, values: &[f32]) -> Vec<f32> {
            let mut counts = vec![0 as Count; self.count()];
            self.world.all_gather_into(&(values.len() as Count), &mut counts[..]);
            let starts: Vec<Count> = counts
                .iter()
                .scan(0, |next, &count| {
                    let start = *next;
                    *next += count;
                    Some(start)
                })
                .collect();
            let mut all = vec![0f32; counts.iter().sum::<Count>() as usize];
            self.world.all_gather_varcount_into(values, &mut PartitionMut::new(&mut all[..], counts, &starts[..]));
            all
        }

        fn share(&self, value: u64) -> u64 {
            let mut value = value;
            self.world.process_at_rank(0).broadcast_into(&mut value);
            value
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rank and count only.
    struct One(usize, usize);

    impl Ranks for One {
        fn rank(&self) -> usize {
            self.0
        }
        fn count(&self) -> usize {
            self.1
        }
        fn add(&self, _: &mut [f32]) {}
        fn gather(&self, values: &[f32]) -> Vec<f32> {
            values.to_vec()
        }
        fn share(&self, value: u64) -> u64 {
            value
        }
    }

    #[test]
    fn parts_cover_a_batch_without_overlap() {
        for (count, samples) in [(1, 7), (2, 7), (3, 64), (5, 5)] {
            let parts: Vec<usize> = (0..count).flat_map(|rank| One(rank, count).part(samples)).collect();
            assert_eq!(parts, (0..samples).collect::<Vec<_>>());
        }
    }
}
