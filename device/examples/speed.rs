//! Latency of every kernel on this machine: `cargo run --release -p ldae-device --example speed`.
use ldae_device::kernels::Choice;
use ldae_device::{Artifact, Encoder, LoadError, scratch_bytes};
use ldae_shared::format::{ArtifactDesc, Fill, Layout, pack};
use ldae_shared::spec::preset;
use std::time::Instant;

fn main() {
    for name in ["xs", "s", "m"] {
        let Some(preset) = preset(name) else { continue };
        let spec = preset.spec;
        let Ok(bytes) = ArtifactDesc::synthetic(spec, Fill::Random, 1).write(|_| [0; 32]) else { continue };
        let mut scratch = vec![0u128; scratch_bytes(&spec) / 16];
        let pixels = vec![77u8; spec.pixels() as usize];
        let mut codes = vec![0i8; spec.embedding() as usize];
        let runs = Layout::ALL.into_iter().flat_map(|layout| Choice::all(layout).map(move |kernel| (layout, kernel)));
        for (layout, kernel) in runs {
            // The portable kernel reads packed layouts too, but only to check them.
            if kernel == Choice::Portable && !layout.is_canonical() {
                continue;
            }
            let Ok(packed) = pack(&bytes, layout) else { continue };
            let Ok(encoder) = Artifact::parse(&packed).map_err(LoadError::from).and_then(|a| Encoder::on(a, kernel))
            else {
                continue;
            };
            let mut best = f64::MAX;
            for _ in 0..20 {
                let start = Instant::now();
                let _ = encoder.embed(&pixels, bytemuck::cast_slice_mut(&mut scratch), &mut codes);
                best = best.min(start.elapsed().as_secs_f64());
            }
            println!("{name} {}: {:.3} ms, {:.2} GMAC/s", kernel.name(), best * 1e3, spec.macs() as f64 / best / 1e9);
        }
    }
}
