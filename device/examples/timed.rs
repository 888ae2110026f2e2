//! Times inferences on request, for comparisons with other engines in one interleaved run (bench/onnxruntime).
//!
//! `timed [KERNEL]` makes an encoder with random weights in the shape of the comparison (64 tokens, width 192, 6 blocks,
//! 3 heads, MLP 768), packed for this machine, and prints a line with the kernel and the multiply-accumulates of one
//! inference. For every line of standard input, a number, it runs that many inferences and prints their times in
//! nanoseconds.
use ldae_device::kernels::Choice;
use ldae_device::{Artifact, Encoder};
use ldae_shared::format::{ArtifactDesc, Fill, Layout, pack};
use ldae_shared::spec::{EncoderSpec, Pooling};
use std::io::Write;
use std::time::Instant;

const SPEC: EncoderSpec = EncoderSpec {
    image: 32,
    channels: 3,
    patch: 4,
    rank: 48,
    width: 192,
    depth: 6,
    heads: 3,
    mlp_ratio: 4,
    pooling: Pooling::Mean,
};

/// Bytes at the start of a cache line, as an artifact in memory wants to lie.
fn at_a_line(bytes: &[u8], memory: &mut Vec<u8>) -> usize {
    memory.resize(bytes.len() + 64, 0);
    let start = memory.as_ptr().align_offset(64);
    memory[start..start + bytes.len()].copy_from_slice(bytes);
    start
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let wanted = std::env::args().nth(1);
    let canonical = ArtifactDesc::synthetic(SPEC, Fill::Random, 1).write(|_| [0; 32]).map_err(|e| e.to_string())?;
    let mut kernels = Layout::ALL.into_iter().flat_map(|l| Choice::all(l).map(move |k| (l, k)));
    let chosen = match &wanted {
        Some(name) => kernels.find(|(_, k)| k.name() == name),
        None => kernels.filter(|(l, k)| l.is_canonical() || *k != Choice::Portable).last(),
    };
    let (layout, kernel) = chosen.ok_or("this machine has no such kernel")?;
    let packed = pack(&canonical, layout)?;
    let mut memory = Vec::new();
    let start = at_a_line(&packed, &mut memory);
    let encoder = Encoder::on(Artifact::parse(&memory[start..start + packed.len()])?, kernel)?;
    let mut scratch = vec![0u128; encoder.scratch_bytes().div_ceil(16)];
    let mut codes = vec![0i8; SPEC.embedding() as usize];
    // Each inference gets another picture, so that nothing can be remembered.
    let mut noise = ldae_shared::noise::Stream::new(1, ldae_shared::noise::Purpose::Vector, 0, 0);
    let pictures: Vec<Vec<u8>> =
        (0..16).map(|_| (0..SPEC.pixels()).map(|_| noise.next_u32() as u8).collect()).collect();
    println!("{} {}", encoder.kernel(), SPEC.macs());
    for line in std::io::stdin().lines() {
        let mut answer = String::new();
        for i in 0..line?.trim().parse::<usize>()? {
            let began = Instant::now();
            let embedding =
                encoder.embed(&pictures[i % pictures.len()], bytemuck::cast_slice_mut(&mut scratch), &mut codes)?;
            let nanoseconds = began.elapsed().as_nanos();
            std::hint::black_box(embedding.norm2);
            answer.push_str(&format!("{nanoseconds} "));
        }
        println!("{}", answer.trim_end());
        std::io::stdout().flush()?;
    }
    Ok(())
}
