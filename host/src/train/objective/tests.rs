//! Losses of every recipe against their equations in plain f64 arrays, which share nothing with the Burn code but names.

use super::*;
use crate::data::{Augment, Split};
use crate::model::init::busy_parameters;
use crate::model::pca::{self, PatchPca};
use crate::model::reference::{Rows, decode, encode, encode_some, linear, noise_pictures, norm, time, tiny_spec};
use crate::model::{Feed, Space, Weights};
use crate::recipe::{self, Denoise, Method, Recipe, Schedule, Sees, Target, TokenizerKind};
use crate::tokenizer::LinearTokenizer;
use crate::train::checkpoint::to_device;
use ldae_shared::noise::{Purpose, Stream};
use ldae_shared::patch::PatchGrid;

const RANK: usize = 12;
pub(super) const N: usize = 4;
const P: usize = 48;
pub(super) const CLASSES: usize = 3;
pub(super) const RESIDUAL: f64 = 0.1;
pub(super) const T: u32 = 10;

pub(super) struct Case {
    pub(super) objective: Objective,
    pub(super) weights: Weights,
    pub(super) average: Weights,
    pub(super) parameters: Vec<Tensor<1>>,
    pub(super) state: State,
    pub(super) tokenizer: LinearTokenizer,
    split: Split,
    grid: PatchGrid,
}

fn tensors(values: &[Vec<f32>]) -> Vec<Tensor<1>> {
    to_device(values, &Device::flex())
}

/// A model in which nothing is zero; tokenizers other than PCA are stood for by matrices without structure.
pub(super) fn case(recipe: &Recipe) -> Case {
    let device = Device::flex();
    let pixels = recipe.tokenizer() == TokenizerKind::Pixel;
    let rank = if pixels { P } else { RANK };
    let mut encoder = tiny_spec().encoder;
    encoder.rank = rank as u16;
    let spec = recipe.model(encoder, (1, 20, 2), CLASSES);
    let pictures = noise_pictures(8, 3, 6, 3);
    let grid = PatchGrid::of(&encoder).unwrap();
    let labels = (0..6).map(|i| i % CLASSES as u16).collect();
    let split = Split::from_memory(pictures.concat(), 8, 3, Some(labels));
    let pca: PatchPca = pca::fit(grid, rank, 6, |i| &pictures[i], 1000, 1).unwrap();
    let mut tokenizer = LinearTokenizer::of_pca(&pca, rank);
    if !recipe.tokenizer().is_orthonormal() {
        for (i, v) in tokenizer.encode.iter_mut().chain(&mut tokenizer.decode).enumerate() {
            *v += 0.2 * Stream::new(3, Purpose::Init, 0, i as u32).gaussian();
        }
        tokenizer.scale = 0.7;
    }
    let parameters = busy_parameters(&spec, 5);
    let others = busy_parameters(&spec, 6);
    let mut state = State::new(tensors(&parameters));
    state.average = tensors(&others);
    Case {
        objective: Objective::new(
            recipe,
            Frame::new(spec, &device),
            LatentSpace::linear(&tokenizer, &device),
            RESIDUAL as f32,
            T,
            &device,
        ),
        parameters: tensors(&parameters),
        weights: Weights::new(spec, parameters, &pca).unwrap(),
        average: Weights::new(spec, others, &pca).unwrap(),
        state,
        tokenizer,
        split,
        grid,
    }
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// Tokens of each picture of a tensor.
fn pictures(tensor: Tensor<3>) -> Vec<Rows> {
    let [_, n, p] = tensor.dims();
    let values: Vec<f32> = tensor.into_data().try_to_vec().unwrap();
    values.chunks_exact(n * p).map(|picture| picture.chunks_exact(p).map(wide).collect()).collect()
}

impl Case {
    pub(super) fn batches(&self) -> Batches<'_> {
        let rank = self.tokenizer.encode.len() / P;
        Batches::new(&self.split, self.grid, rank, 4, Augment::CropColour, 7)
    }

    fn ours(&self, step: &Step, range: Range<usize>) -> Vec<f64> {
        let (batches, workers) = (self.batches(), Workers::new(2).unwrap());
        let shared = self.objective.shared(&workers, 3, &self.state, &batches, step);
        let losses = self.objective.losses(&self.parameters, &shared, &batches, step, range);
        wide(&losses.into_data().try_to_vec::<f32>().unwrap())
    }

    /// A (x − mean), K values.
    fn project(&self, x: &[f64]) -> Vec<f64> {
        let rows = self.tokenizer.encode.chunks_exact(P);
        rows.map(|row| {
            row.iter()
                .zip(x.iter().zip(&self.tokenizer.mean))
                .map(|(a, (x, m))| f64::from(*a) * (x - f64::from(*m)))
                .sum()
        })
        .collect()
    }

    /// mean + Dᵀ v, P values.
    fn back(&self, v: &[f64]) -> Vec<f64> {
        (0..P)
            .map(|j| {
                let sum: f64 = v.iter().enumerate().map(|(k, v)| v * f64::from(self.tokenizer.decode[k * P + j])).sum();
                sum + f64::from(self.tokenizer.mean[j])
            })
            .collect()
    }
}

fn mean_token(tokens: &Rows) -> Vec<f64> {
    (0..tokens[0].len()).map(|c| tokens.iter().map(|row| row[c]).sum::<f64>() / tokens.len() as f64).collect()
}

fn direction(v: Vec<f64>) -> Vec<f64> {
    let length = v.iter().map(|x| x * x).sum::<f64>().sqrt();
    v.into_iter().map(|x| x / length).collect()
}

fn plus(a: Vec<f64>, b: &[f64]) -> Vec<f64> {
    a.into_iter().zip(b).map(|(a, b)| a + b).collect()
}

/// The loss of METHOD.md for one picture.
fn denoising_loss(case: &Case, d: &Denoise, clean: &Rows, noise: &Rows, (t, class, kept): (u32, usize, f64)) -> f64 {
    let w = &case.weights;
    let s = f64::from(case.tokenizer.scale);
    let (gamma, sigma) = (d.schedule.gamma(t), d.schedule.sigma(t));
    let z0: Rows = clean.iter().map(|x| case.project(x).iter().map(|v| v / s).collect()).collect();
    let z_t: Rows =
        z0.iter().zip(noise).map(|(z, e)| z.iter().zip(e).map(|(z, e)| gamma * z + sigma * e).collect()).collect();
    let picture =
        |z: &Rows| -> Rows { z.iter().map(|z| case.back(&z.iter().map(|v| v * s).collect::<Vec<f64>>())).collect() };
    let read = |z: &Rows| if d.input == Space::Image { picture(z) } else { z.clone() };
    let mut c = time(w, "time", t);
    if d.labels {
        let mut said = vec![0.0; CLASSES + 1];
        said[class] = 1.0;
        c = plus(c, &linear(w, "class.embed", &said));
    }
    let places: Vec<usize> = (0..N).collect();
    let seen = if d.encoder_sees == Sees::Clean { read(&z0) } else { read(&z_t) };
    let tokens = encode_some(w, &seen, &places, &c);
    let mut vector = mean_token(&tokens);
    if d.directional {
        vector = direction(vector);
    }
    vector.iter_mut().for_each(|v| *v *= kept);
    if d.feed == Feed::Vector {
        c = time(w, "decoder.time", t);
    }
    if d.feed != Feed::Tokens {
        c = plus(c, &linear(w, "decoder.condition", &vector));
    }
    let input = if d.feed == Feed::Vector { read(&z_t) } else { tokens };
    let predicted = decode(w, input.iter().map(|row| linear(w, "decoder.input", row)).collect(), &c);
    let squares = |target: &Rows| -> f64 {
        let all = target.iter().flatten().zip(predicted.iter().flatten());
        let count = target.len() * target[0].len();
        all.map(|(a, b)| (a - b).powi(2)).sum::<f64>() / count as f64
    };
    let weight = gamma * gamma / (gamma * gamma + sigma * sigma);
    match d.target {
        Target::Noise => squares(noise),
        Target::CleanLatent => weight * squares(&z0),
        Target::ProjectedImage => weight * squares(&picture(&z0)),
        Target::Image => {
            let basis = &w.get("pca.basis").unwrap().values;
            let mut sum = 0.0;
            for (x0, prediction) in clean.iter().zip(&predicted) {
                for (i, row) in basis.chunks_exact(P).enumerate() {
                    let r: f64 =
                        row.iter().zip(x0.iter().zip(prediction)).map(|(v, (x, y))| f64::from(*v) * (x - y)).sum();
                    sum += if i < z0[0].len() { 1.0 } else { RESIDUAL } * r * r;
                }
            }
            weight * sum / (N * P) as f64
        }
    }
}

fn close(ours: f64, want: f64, what: &str) {
    assert!((ours / want - 1.0).abs() < 2e-4, "{what}: {ours} against {want}");
}

fn check_denoising(recipe: &Recipe) {
    let d = recipe.denoise().unwrap();
    let case = case(recipe);
    let step = Step { epoch: 3, samples: vec![4, 1, 0, 5] };
    let batches = case.batches();
    let device = Device::flex();
    let ours = case.ours(&step, 0..4);
    let clean = pictures(batches.clean(3, &step.samples, &device));
    let noise = pictures(batches.noise(3, &step.samples, &device));
    let t = case.objective.time_steps(&batches, 3, &step.samples).unwrap();
    for (i, ours) in ours.iter().enumerate() {
        let chance = batches.chance(3, step.samples[i]);
        let class = if chance[0] < 0.1 { CLASSES } else { step.samples[i] as usize % CLASSES };
        let kept = if f64::from(chance[1]) < d.condition_dropout { 0.0 } else { 1.0 };
        close(*ours, denoising_loss(&case, d, &clean[i], &noise[i], (t[i], class, kept)), &recipe.name);
    }
    // A part of the batch has the losses that it has in the whole.
    let part = case.ours(&step, 1..3);
    assert!(part.iter().zip(&ours[1..3]).all(|(a, b)| (a / b - 1.0).abs() < 1e-5), "{part:?} {ours:?}");
}

#[test]
fn every_denoising_recipe_minimises_its_equation() {
    let mut checked = 0;
    for name in recipe::NAMES {
        let recipe = recipe::named(name).unwrap();
        if recipe.denoise().is_some() {
            check_denoising(&recipe);
            checked += 1;
        }
    }
    assert_eq!(checked, recipe::NAMES.len() - 3);
}

/// Switches that no named recipe sets.
pub(super) fn variants() -> Vec<Recipe> {
    let l_dae = recipe::named("l-dae").unwrap().denoise().unwrap().clone();
    let semantic = recipe::named("semantic-ddm").unwrap().denoise().unwrap().clone();
    [
        ("self-conditioning", Denoise { feed: Feed::TokensAndVector, ..l_dae.clone() }),
        ("clean encoder", Denoise { encoder_sees: Sees::Clean, ..semantic.clone() }),
        ("dropout", Denoise { condition_dropout: 0.5, directional: false, ..semantic.clone() }),
        ("clean target", Denoise { target: Target::CleanLatent, ..semantic }),
        ("ddpm picture", Denoise { schedule: Schedule::Ddpm, target: Target::ProjectedImage, ..l_dae }),
    ]
    .map(|(name, parts)| Recipe { name: name.to_owned(), method: Method::Denoise(parts) })
    .into()
}

#[test]
fn switches_minimise_their_equations() {
    for recipe in variants() {
        recipe.check().unwrap();
        check_denoising(&recipe);
    }
}

#[test]
fn masked_autoencoders_minimise_their_equation() {
    let case = case(&recipe::named("mae").unwrap());
    let (w, batches) = (&case.weights, case.batches());
    let step = Step { epoch: 2, samples: vec![3, 0, 1] };
    let clean = pictures(batches.clean(2, &step.samples, &Device::flex()));
    for (i, ours) in case.ours(&step, 0..3).into_iter().enumerate() {
        let order = batches.token_order(2, step.samples[i], N);
        // A quarter of four tokens is seen.
        let seen = order[0] as usize;
        let c = time(w, "time", T);
        let token = encode_some(w, &vec![case.back(&case.project(&clean[i][seen]))], &[seen], &c);
        let mask = wide(&w.get("decoder.mask").unwrap().values);
        let mut x: Rows = vec![mask; N];
        x[seen] = linear(w, "decoder.input", &token[0]);
        let predicted = decode(w, x, &c);
        let mut want = 0.0;
        for token in (0..N).filter(|&token| token != seen) {
            let target = norm(&clean[i][token]);
            want += target.iter().zip(&predicted[token]).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
        }
        close(ours, want / ((N - 1) * P) as f64, "mae");
    }
    assert_eq!((masked::visible(64, 0.75), masked::visible(1, 0.75), masked::visible(4, 0.999)), (16, 1, 1));
}

#[test]
fn contrastive_learning_minimises_its_equation() {
    let case = case(&recipe::named("moco-v3").unwrap());
    let batches = case.batches();
    let step = Step { epoch: 1, samples: vec![3, 0, 1, 5] };
    let head = |w: &Weights, layers: &[&str], mut x: Vec<f64>| {
        for (i, layer) in layers.iter().enumerate() {
            if i > 0 {
                x = norm(&x).into_iter().map(|v| v.max(0.0)).collect();
            }
            x = linear(w, layer, &x);
        }
        x
    };
    let projected = |w: &Weights, view: u32| -> Vec<Vec<f64>> {
        let views = pictures(batches.view(1, &step.samples, view, &Device::flex()));
        views
            .iter()
            .map(|picture| {
                let seen = picture.iter().map(|x| case.back(&case.project(x))).collect();
                head(w, &["projector.fc1", "projector.fc2", "projector.fc3"], mean_token(&encode(w, &seen, T)))
            })
            .collect()
    };
    let keys = [0, 1].map(|view| projected(&case.average, view).into_iter().map(direction).collect::<Vec<_>>());
    let queries = [0, 1].map(|view| {
        let vectors = projected(&case.weights, view).into_iter();
        vectors.map(|v| direction(head(&case.weights, &["predictor.fc1", "predictor.fc2"], v))).collect::<Vec<_>>()
    });
    for (i, ours) in case.ours(&step, 1..4).into_iter().enumerate() {
        let mut want = 0.0;
        for view in 0..2 {
            let similar: Vec<f64> = keys[1 - view]
                .iter()
                .map(|key| queries[view][i + 1].iter().zip(key).map(|(a, b)| a * b).sum::<f64>() / 0.2)
                .collect();
            want += similar.iter().map(|s| s.exp()).sum::<f64>().ln() - similar[i + 1];
        }
        close(ours, 2.0 * 0.2 * want, "moco-v3");
    }
    let view = |view| pictures(batches.view(1, &[0, 1, 2, 3, 4, 5], view, &Device::flex()));
    assert!(view(0) != view(1) && view(1) == view(1), "views differ, and are the same every time");
}

#[test]
fn training_with_labels_minimises_cross_entropy() {
    let case = case(&recipe::named("supervised").unwrap());
    let (w, batches) = (&case.weights, case.batches());
    let step = Step { epoch: 0, samples: vec![2, 4, 3] };
    let clean = pictures(batches.clean(0, &step.samples, &Device::flex()));
    for (i, ours) in case.ours(&step, 0..3).into_iter().enumerate() {
        let seen = clean[i].iter().map(|x| case.back(&case.project(x))).collect();
        let logits = linear(w, "head", &mean_token(&encode(w, &seen, T)));
        let label = step.samples[i] as usize % CLASSES;
        close(ours, logits.iter().map(|l| l.exp()).sum::<f64>().ln() - logits[label], "supervised");
    }
}

/// What is added to the latents stays in the span of the kept directions.
#[test]
fn noise_stays_in_the_kept_subspace() {
    let case = case(&recipe::named("l-dae").unwrap());
    let denoising = case.objective.denoising().unwrap();
    let net = case.objective.frame().build(&case.parameters);
    let batches = case.batches();
    let sample = denoising.sample(&batches, 0, &[0, 1, 2], &Device::flex());
    let (noisy, _) = denoising.reconstruct(&net, &sample);
    let pca = case.weights.pca();
    for patch in pictures(noisy).iter().flatten() {
        let centred: Vec<f32> = patch.iter().zip(&pca.mean).map(|(x, m)| *x as f32 - m).collect();
        let (kept, outside) = pca.view().residual_split(&centred, RANK);
        assert!(outside < 1e-4 * kept.max(1e-3), "{outside} outside, {kept} inside");
    }
}
