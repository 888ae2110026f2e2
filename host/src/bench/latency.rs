//! Latency of the integer engine on this machine: the portable definition and the fastest kernel that the machine has.
//!
//! One call embeds one picture; calls are timed one by one after a warm-up, and the median is what is reported, with the 10 % and
//! 90 % quantiles beside it. Throughput is all threads together, each with its own scratch, over the same time. Nothing is
//! subtracted. Other work on the machine is in the numbers.

use crate::error::Context;
use crate::pack::InMemory;
use crate::{Error, Result};
use ldae_device::Encoder;
use ldae_shared::noise::{Purpose, Stream};
use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Time spent on each measurement, and the least number of calls in it.
const MEASURE: Duration = Duration::from_millis(1000);
const LEAST_CALLS: usize = 32;

/// Timings of one kernel.
#[derive(Clone, Debug, Serialize)]
pub struct KernelTiming {
    /// Name of the kernel as the device crate gives it.
    pub kernel: &'static str,
    /// Median of one call, microseconds.
    pub median_us: f64,
    /// 10 % quantile, microseconds.
    pub q10_us: f64,
    /// 90 % quantile, microseconds.
    pub q90_us: f64,
    /// Calls timed.
    pub calls: usize,
    /// Multiply-accumulates a second at the median.
    pub macs_per_second: f64,
}

/// What `ldae bench` measures.
#[derive(Clone, Debug, Serialize)]
pub struct Timing {
    /// Bytes of the artifact.
    pub artifact_bytes: usize,
    /// Median time of validating it (`Encoder::new`), microseconds.
    pub load_us: f64,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    /// One thread, one kernel each.
    pub kernels: Vec<KernelTiming>,
    /// Threads of the throughput measurement.
    pub threads: usize,
    /// Pictures a second of all threads together, fastest kernel.
    pub pictures_per_second: f64,
}

/// Measures an artifact with random weights, of which there is no float form.
///
/// # Errors
/// The bytes are no valid artifact.
pub fn measure(name: &str, bytes: &[u8], threads: usize) -> Result<Timing> {
    let load = || Encoder::new(bytes).context(|| format!("{name} is no valid artifact"));
    let encoder = load().map_err(|e| e.hint("write it with `ldae export RUN`"))?;
    let macs = encoder.spec().macs();
    let load_us = quantile(&calls(|| load().map(|_| ()))?, 0.5);
    let mut kernels = Vec::new();
    if encoder.artifact().layout().is_canonical() {
        // The portable kernel reads packed weights only to check them: its time there says nothing.
        kernels.push(time_kernel(Encoder::portable(*encoder.artifact()))?);
    }
    let packed = InMemory::for_this_machine(bytes);
    let encoder = Encoder::new(packed.bytes()).context(|| format!("{name} is no valid artifact once packed"))?;
    if kernels.iter().all(|k| k.kernel != encoder.kernel()) {
        kernels.push(time_kernel(encoder)?);
    }
    Ok(Timing {
        artifact_bytes: bytes.len(),
        load_us,
        macs,
        kernels,
        threads,
        pictures_per_second: throughput(&encoder, threads)?,
    })
}

fn time_kernel(encoder: Encoder<'_>) -> Result<KernelTiming> {
    let mut worker = Worker::new(&encoder, 0);
    let times = calls(|| worker.embed(&encoder))?;
    let median_us = quantile(&times, 0.5);
    Ok(KernelTiming {
        kernel: encoder.kernel(),
        median_us,
        q10_us: quantile(&times, 0.1),
        q90_us: quantile(&times, 0.9),
        calls: times.len(),
        macs_per_second: encoder.spec().macs() as f64 / (median_us * 1e-6),
    })
}

/// Pictures a second of `threads` threads together, on the fastest kernel.
///
/// # Errors
/// The bytes are no valid artifact.
pub fn throughput_of(bytes: &[u8], threads: usize) -> Result<f64> {
    let packed = InMemory::for_this_machine(bytes);
    throughput(&Encoder::new(packed.bytes()).context(|| "no valid artifact")?, threads)
}

fn throughput(encoder: &Encoder<'_>, threads: usize) -> Result<f64> {
    let done = AtomicU64::new(0);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let worker = |i: u32| {
            let mut worker = Worker::new(encoder, i);
            while start.elapsed() < MEASURE {
                worker.embed(encoder)?;
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let running: Vec<_> = (0..threads as u32).map(|i| scope.spawn(move || worker(i))).collect();
        running
            .into_iter()
            .try_for_each(|t| t.join().map_err(|_| Error::new("a thread of the measurement panicked"))?)
    })?;
    Ok(done.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64())
}

/// Buffers of one thread. The picture is noise: the engine's time hardly depends on what is in it.
struct Worker {
    pixels: Vec<u8>,
    /// u128, because scratch wants 16-byte alignment.
    scratch: Vec<u128>,
    codes: Vec<i8>,
}

impl Worker {
    fn new(encoder: &Encoder<'_>, sample: u32) -> Self {
        let mut noise = Stream::new(0, Purpose::Vector, 0, sample);
        let spec = encoder.spec();
        Worker {
            pixels: (0..spec.pixels()).map(|_| noise.next_u32() as u8).collect(),
            scratch: vec![0; encoder.scratch_bytes().div_ceil(size_of::<u128>())],
            codes: vec![0; spec.embedding() as usize],
        }
    }

    fn embed(&mut self, encoder: &Encoder<'_>) -> Result<()> {
        let embedding = encoder
            .embed(&self.pixels, bytemuck::cast_slice_mut(&mut self.scratch), &mut self.codes)
            .context(|| "the engine refused a picture of the measurement")?;
        std::hint::black_box(embedding.norm2);
        Ok(())
    }
}

/// Microseconds of each call, sorted, after a tenth of the time as warm-up.
fn calls(mut call: impl FnMut() -> Result<()>) -> Result<Vec<f64>> {
    let start = Instant::now();
    while start.elapsed() < MEASURE / 10 {
        call()?;
    }
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < MEASURE || times.len() < LEAST_CALLS {
        let one = Instant::now();
        call()?;
        times.push(one.elapsed().as_secs_f64() * 1e6);
    }
    times.sort_by(f64::total_cmp);
    Ok(times)
}

pub(super) fn quantile(sorted: &[f64], q: f64) -> f64 {
    let at = (q * (sorted.len().saturating_sub(1)) as f64).round() as usize;
    sorted.get(at).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_a_sorted_list() {
        let v: Vec<f64> = (0..=10).map(f64::from).collect();
        assert_eq!((quantile(&v, 0.5), quantile(&v, 0.1), quantile(&v, 0.9)), (5.0, 1.0, 9.0));
        assert!(quantile(&[], 0.5).is_nan());
    }

    #[test]
    fn bad_bytes_are_an_error_with_a_hint() {
        assert!(measure("x", &[0; 100], 1).unwrap_err().advice().is_some());
    }
}
