//! The encoder of any recipe as the one form that evaluation and export know: patches in, an orthonormal projection of rank K
//! before the patch embedding, t as the only condition.
//!
//! A tokenizer per patch is an affine map, z = A (x − mean)/s, and so is the first layer; together they are a patch embedding.
//! With L [K, W] the embedding of s·z (E/s of a network that reads latents, D·E of one that reads pictures):
//! embed(x) = Lᵀ·A (x − mean) + bias = (Aᵀ L)ᵀ x + …, and projecting x on the span of A's rows first changes nothing. A class
//! that is not said is one more bias of the conditioning MLP. A convolutional tokenizer stays in front as it is: such an encoder
//! can be evaluated, not exported.

use super::pca::PatchPca;
use super::{ModelSpec, Space, Weights, layout};
use crate::recipe::Schedule;
use crate::tokenizer::{LinearTokenizer, Tokenizer};
use crate::{Error, Result};

/// The encoder half of a model, `parameter` giving its values by name.
///
/// # Errors
/// A parameter is missing.
pub fn encoder<'a>(
    spec: &ModelSpec,
    parameter: &dyn Fn(&str) -> Option<&'a [f32]>,
    pca: &PatchPca,
    tokenizer: &Tokenizer,
    schedule: Schedule,
) -> Result<Weights> {
    let (linear, conv) = match tokenizer {
        Tokenizer::Pca(linear) | Tokenizer::Linear(linear) => (Some(linear), None),
        Tokenizer::Conv(conv) => (None, Some(conv)),
    };
    let values = |name: &str| {
        parameter(name).map(<[f32]>::to_vec).ok_or_else(|| Error::new(format!("the model has no tensor {name}")))
    };
    let rank = usize::from(spec.encoder.rank);
    let kept = &pca.basis[..rank * pca.mean.len()];
    // A linear tokenizer whose map has to be taken into the patch embedding.
    let map = linear.filter(|t| spec.input == Space::Latent || t.encode != kept || t.decode != kept);
    let canonical = match conv {
        // Latents in: there is no patch embedding that does what the convolutions do.
        Some(_) => ModelSpec { input: Space::Latent, ..spec.encoder_only() },
        None => spec.encoder_only(),
    };
    let mut parameters = Vec::new();
    for entry in layout::layout(&canonical) {
        parameters.push(match entry.name.as_str() {
            "encoder.embed.weight" | "encoder.embed.bias" if let Some(map) = map => {
                let (weight, bias) =
                    embedding(spec, &values("encoder.embed.weight")?, &values("encoder.embed.bias")?, map);
                if entry.name.ends_with("weight") { weight } else { bias }
            }
            "time.fc2.bias" if spec.classes > 0 => {
                let (mut bias, class) = (values("time.fc2.bias")?, values("class.embed.weight")?);
                let unsaid = &class[class.len() - bias.len()..];
                let constant = values("class.embed.bias")?;
                bias.iter_mut().zip(unsaid.iter().zip(&constant)).for_each(|(b, (u, c))| *b += u + c);
                bias
            }
            name => values(name)?,
        });
    }
    let basis = match linear {
        Some(linear) if linear.encode != kept => spanning(linear, pca),
        _ => pca.clone(),
    };
    let weights = Weights::new(canonical, parameters, &basis)?.with_schedule(schedule);
    Ok(match conv {
        Some(conv) => weights.with_tokenizer(conv.as_ref().clone()),
        None => weights,
    })
}

/// Patch embedding [P, W] and bias [W] of the first layer behind the tokenizer.
fn embedding(spec: &ModelSpec, weight: &[f32], bias: &[f32], tokenizer: &LinearTokenizer) -> (Vec<f32>, Vec<f32>) {
    let (p, k, w) = (tokenizer.mean.len(), usize::from(spec.encoder.rank), bias.len());
    let row = |matrix: &[f32], i: usize, length: usize| -> Vec<f64> {
        matrix[i * length..(i + 1) * length].iter().map(|&v| f64::from(v)).collect()
    };
    // L, [K, W].
    let mut inner = vec![0f64; k * w];
    for (i, out) in inner.chunks_exact_mut(w).enumerate() {
        match spec.input {
            Space::Latent => {
                let scale = f64::from(tokenizer.scale);
                out.iter_mut().zip(row(weight, i, w)).for_each(|(o, e)| *o = e / scale);
            }
            Space::Image => {
                for (j, d) in row(&tokenizer.decode, i, p).into_iter().enumerate() {
                    out.iter_mut().zip(&weight[j * w..]).for_each(|(o, e)| *o += d * f64::from(*e));
                }
            }
        }
    }
    // Aᵀ L, [P, W].
    let mut embed = vec![0f64; p * w];
    for (i, inner) in inner.chunks_exact(w).enumerate() {
        for (j, a) in row(&tokenizer.encode, i, p).into_iter().enumerate() {
            embed[j * w..(j + 1) * w].iter_mut().zip(inner).for_each(|(e, l)| *e += a * l);
        }
    }
    let mut offset: Vec<f64> = bias.iter().map(|&b| f64::from(b)).collect();
    for (j, mean) in tokenizer.mean.iter().enumerate() {
        for (c, o) in offset.iter_mut().enumerate() {
            let picture = if spec.input == Space::Image { f64::from(weight[j * w + c]) } else { 0.0 };
            *o += f64::from(*mean) * (picture - embed[j * w + c]);
        }
    }
    (embed.into_iter().map(|v| v as f32).collect(), offset.into_iter().map(|v| v as f32).collect())
}

/// An orthonormal basis whose first K rows span those of the tokenizer, the rest filled up from the PCA (Gram-Schmidt, twice
/// for accuracy).
fn spanning(tokenizer: &LinearTokenizer, pca: &PatchPca) -> PatchPca {
    let p = tokenizer.mean.len();
    let mut rows: Vec<Vec<f64>> = Vec::with_capacity(p);
    for candidate in tokenizer.encode.chunks_exact(p).chain(pca.basis.chunks_exact(p)) {
        if rows.len() == p {
            break;
        }
        let mut v: Vec<f64> = candidate.iter().map(|&x| f64::from(x)).collect();
        let before = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        for _ in 0..2 {
            for row in &rows {
                let dot: f64 = row.iter().zip(&v).map(|(a, b)| a * b).sum();
                v.iter_mut().zip(row).for_each(|(x, r)| *x -= dot * r);
            }
        }
        let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
        // A direction that is (nearly) there already: of the PCA's P rows, K are.
        if length > 1e-4 * before.max(f64::MIN_POSITIVE) {
            rows.push(v.into_iter().map(|x| x / length).collect());
        }
    }
    // A basis has P rows; a degenerate tokenizer may leave gaps, which stay zero and project nothing.
    rows.resize(p, vec![0.0; p]);
    let basis = rows.into_iter().flatten().map(|x| x as f32).collect();
    PatchPca { mean: tokenizer.mean.clone(), basis, scale: pca.scale, eigenvalues: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::input_noise::InputNoise;
    use crate::eval::pooling;
    use crate::eval::run_encoder::RunEncoder;
    use crate::model::init::busy_parameters;
    use crate::model::net::{Frame, Net};
    use crate::model::reference::{noise_pictures, tiny_spec};
    use crate::model::{Feed, Head, pca};
    use crate::train::batch::patches;
    use crate::train::checkpoint::to_device;
    use burn::tensor::{Device, Tensor, TensorData};
    use ldae_shared::noise::{Purpose, Stream};
    use ldae_shared::patch::PatchGrid;
    use std::collections::BTreeMap;

    /// The network as it trains, fed with gamma·z0 or its picture, against the canonical encoder at the same t.
    #[test]
    fn the_canonical_encoder_is_the_trained_one() {
        let rank = 12;
        let pictures = noise_pictures(8, 3, 12, 5);
        let grid = PatchGrid::of(&tiny_spec().encoder).unwrap();
        let pca = pca::fit(grid, rank, pictures.len(), |i| &pictures[i], 300, 1).unwrap();
        let mut odd = LinearTokenizer::of_pca(&pca, rank);
        for (i, v) in odd.encode.iter_mut().chain(&mut odd.decode).enumerate() {
            *v += 0.2 * Stream::new(3, Purpose::Init, 0, i as u32).gaussian();
        }
        odd.scale = 0.7;
        let device = Device::flex();
        for tokenizer in [LinearTokenizer::of_pca(&pca, rank), odd] {
            for (input, classes, schedule) in [
                (Space::Image, 0, Schedule::SigmaLinear),
                (Space::Image, 0, Schedule::Gamma2Linear),
                (Space::Latent, 0, Schedule::SigmaLinear),
                (Space::Latent, 3, Schedule::Ddpm),
            ] {
                let head = Head::Decoder { output: Space::Latent, feed: Feed::TokensAndVector };
                let spec = ModelSpec { input, classes, head, ..tiny_spec() };
                let parameters = busy_parameters(&spec, 3);
                let names: BTreeMap<String, &Vec<f32>> =
                    layout::layout(&spec).into_iter().map(|p| p.name).zip(&parameters).collect();
                let find = |name: &str| names.get(name).map(|v| v.as_slice());
                let weights = encoder(&spec, &find, &pca, &Tokenizer::Linear(tokenizer.clone()), schedule).unwrap();
                let t = 300;
                let canonical = RunEncoder::new("canonical", &weights, t, &pooling::ALL).unwrap();

                let net = Frame::new(spec, &device).build(&to_device(&parameters, &device));
                let space = crate::tokenizer::LatentSpace::linear(&tokenizer, &device);
                let picture = &pictures[0];
                let latents = space.encode(patches(grid, &[picture], &device)).mul_scalar(schedule.gamma(300));
                let seen = match input {
                    Space::Latent => latents.clone().div_scalar(tokenizer.scale),
                    Space::Image => space.decode(latents.clone()),
                };
                let condition = net.condition(Net::time_table(&[300], &device), None);
                let want: Vec<f32> = net.encode(seen, &condition).into_data().try_to_vec().unwrap();
                for (got, want) in canonical.tokens(picture).iter().zip(&want) {
                    assert!((got - want).abs() < 2e-4, "{input:?} {classes} {schedule:?}: {got} {want}");
                }

                // The same with noise on the latents.
                let noise =
                    InputNoise::new(schedule, t, &Tokenizer::Linear(tokenizer.clone()), &weights.pca()).unwrap();
                let noised = RunEncoder::new("noised", &weights, t, &pooling::ALL).unwrap().with_noise(noise);
                let mut eps = vec![0f32; grid.tokens() * rank];
                let of = ldae_shared::crc::crc32(picture);
                Stream::new(1, Purpose::Latent, u32::MAX - 1, of).fill_gaussian(&mut eps);
                let eps = Tensor::<3>::from_data(TensorData::new(eps, [1, grid.tokens(), rank]), &device);
                let latents = latents + eps.mul_scalar(f64::from(tokenizer.scale) * schedule.sigma(300));
                let seen = match input {
                    Space::Latent => latents.div_scalar(tokenizer.scale),
                    Space::Image => space.decode(latents),
                };
                let want: Vec<f32> = net.encode(seen, &condition).into_data().try_to_vec().unwrap();
                for (got, want) in noised.tokens(picture).iter().zip(&want) {
                    assert!((got - want).abs() < 5e-4, "noised, {input:?} {classes} {schedule:?}: {got} {want}");
                }
            }
        }
    }
}
