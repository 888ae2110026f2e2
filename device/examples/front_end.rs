//! Patches and PCA in the graph, or in `shared` with the graph behind them: which is faster? Interleaved, one thread.
//!
//! `cargo run --release -p ldae-device --features tract --example front_end -- ENCODER.onnx...`

use ldae_device::tract::TractEncoder;
use ldae_shared::patch::{PatchGrid, pixel_value};
use ldae_shared::pca::Pca;
use std::sync::Arc;
use std::time::Instant;
use tract_onnx::pb::{ModelProto, TensorProto};
use tract_onnx::prelude::*;

/// Runs of each; the least time of them counts.
const RUNS: usize = 200;
/// The exporter's name of the latents, f32 [1, N, K].
const LATENTS: &str = "project";

type Plan = Arc<TypedRunnableModel>;

fn plan(model: &ModelProto, latents: Option<[usize; 3]>, side: [usize; 4]) -> TractResult<Plan> {
    let model = tract_onnx::onnx().model_for_proto_model(model)?;
    let model = match latents {
        Some(shape) => {
            model.with_input_names([LATENTS])?.with_input_fact(0, InferenceFact::dt_shape(f32::datum_type(), shape))?
        }
        None => model.with_input_fact(0, InferenceFact::dt_shape(u8::datum_type(), side))?,
    };
    model.into_optimized()?.into_runnable()
}

fn stored<'m>(model: &'m ModelProto, name: &str) -> Option<&'m TensorProto> {
    model.graph.as_ref()?.initializer.iter().find(|t| t.name == name)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for path in std::env::args().skip(1) {
        let file = std::fs::read(&path)?;
        let spec = *TractEncoder::new(&file)?.spec();
        let model: ModelProto = prost::Message::decode(&file[..])?;
        // Weights for `shared`: any values take the same time.
        let (n, k, p) = (spec.tokens() as usize, usize::from(spec.rank), spec.patch_values() as usize);
        let name = if stored(&model, "project.weight").is_some() { "project.weight" } else { "project.codes" };
        assert_eq!(stored(&model, name).map(|t| t.dims.clone()), Some(vec![p as i64, k as i64]), "{name}");
        let (mean, basis) = (vec![0.25f32; p], vec![0.125f32; k * p]);
        let pca = Pca { mean: &mean, basis: &basis, scale: 1.0 };
        let grid = PatchGrid::of(&spec).ok_or("no grid")?;

        let side = [1, spec.image.into(), spec.image.into(), spec.channels.into()];
        let (whole, rest) = (plan(&model, None, side)?, plan(&model, Some([1, n, k]), side)?);
        let pixels: Vec<u8> = (0..spec.pixels()).map(|i| (i * 37 % 251) as u8).collect();
        let (mut patches, mut floats) = (vec![0u8; n * p], vec![0f32; p]);
        let mut latents = vec![0f32; n * k];
        let mut best = [f64::MAX; 3];
        let mut least =
            |place: usize, began: Instant| best[place] = best[place].min(began.elapsed().as_secs_f64() * 1e3);
        for _ in 0..RUNS {
            let began = Instant::now();
            whole.run(tvec!(Tensor::from_shape(&side, &pixels)?.into()))?;
            least(0, began);
            let began = Instant::now();
            grid.patchify(&pixels, &mut patches);
            for (patch, out) in patches.chunks_exact(p).zip(latents.chunks_exact_mut(k)) {
                floats.iter_mut().zip(patch).for_each(|(f, v)| *f = pixel_value(*v));
                pca.project(&floats, out);
            }
            least(1, began);
            rest.run(tvec!(Tensor::from_shape(&[1, n, k], &latents)?.into()))?;
            least(2, began);
        }
        let [whole, shared, both] = best;
        println!(
            "{path}: all in the graph {whole:.3} ms; front end in shared {both:.3} ms, of which patches and PCA {shared:.3}"
        );
    }
    Ok(())
}
