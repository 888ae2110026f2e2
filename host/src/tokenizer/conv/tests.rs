//! The layers and the terms of the loss against plain loops in f64, gradients against finite differences, and the whole tokenizer on
//! drawn pictures.

use super::adversarial::Discriminator;
use super::autoencoder::{Autoencoder, Posterior};
use super::layers::{Builder, init, upsample};
use super::loss::{self, Objective};
use super::perceptual::Perceptual;
use super::pictures::{from_patches, from_tokens, to_patches, to_tokens};
use super::rotation::RotationNet;
use super::{ConvTokenizer, Kind, Settings, Training};
use crate::cli::Output;
use crate::data::{LoadOptions, Split, load};
use crate::train::batch::patches;
use crate::train::workers::Workers;
use burn::tensor::{Device, Tensor, TensorData};
use ldae_shared::noise::{Purpose, Stream};

fn gaussian(seed: u64, count: usize) -> Vec<f32> {
    let mut values = vec![0f32; count];
    Stream::new(seed, Purpose::Vector, 0, 0).fill_gaussian(&mut values);
    values
}

fn tensor<const D: usize>(values: &[f32], shape: [usize; D]) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values.to_vec(), shape), &Device::flex())
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

fn close(ours: &[f32], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len());
    for (i, (a, b)) in ours.iter().zip(theirs).enumerate() {
        assert!((f64::from(*a) - b).abs() < tolerance * b.abs().max(1.0), "value {i}: {a} against {b}");
    }
}

/// A feature map of one picture: channels of side·side values.
type Map = Vec<Vec<f64>>;

fn map(values: &[f32], channels: usize) -> Map {
    values.chunks_exact(values.len() / channels).map(|c| c.iter().map(|&v| v.into()).collect()).collect()
}

/// 3×3, padding 1, by its definition.
fn conv(x: &Map, weight: &[f32], bias: &[f32], side: usize, stride: usize) -> Map {
    let outside = |i: i64| i < 0 || i >= side as i64;
    let places = side.div_ceil(stride);
    let one = |o: usize| {
        let mut out = vec![f64::from(bias[o]); places * places];
        for (at, value) in out.iter_mut().enumerate() {
            for (c, channel) in x.iter().enumerate() {
                for k in 0..9 {
                    let row = (at / places * stride + k / 3) as i64 - 1;
                    let column = (at % places * stride + k % 3) as i64 - 1;
                    if !outside(row) && !outside(column) {
                        let w = f64::from(weight[(o * x.len() + c) * 9 + k]);
                        *value += w * channel[row as usize * side + column as usize];
                    }
                }
            }
        }
        out
    };
    (0..bias.len()).map(one).collect()
}

/// silu(GroupNorm(x)) with 8 groups.
fn norm_silu(x: &Map, scale: &[f32], shift: &[f32]) -> Map {
    let group = x.len() / 8;
    let mut out = x.clone();
    for (channels, outs) in x.chunks_exact(group).zip(out.chunks_exact_mut(group)) {
        let n = (group * channels[0].len()) as f64;
        let mean = channels.iter().flatten().sum::<f64>() / n;
        let variance = channels.iter().flatten().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        outs.iter_mut().flatten().for_each(|v| *v = (*v - mean) / (variance + 1e-6).sqrt());
    }
    for (c, channel) in out.iter_mut().enumerate() {
        for v in channel {
            let y = *v * (1.0 + f64::from(scale[c])) + f64::from(shift[c]);
            *v = y / (1.0 + (-y).exp());
        }
    }
    out
}

#[test]
fn a_residual_block_and_a_strided_convolution_are_the_loops() {
    let (channels, output, side) = (16, 5, 6);
    let mut b = Builder::default();
    let block = b.residual("block", channels);
    let down = b.conv("down", channels, output, 2);
    let parameters: Vec<Vec<f32>> = b
        .parameters
        .iter()
        .enumerate()
        .map(|(i, p)| gaussian(i as u64, p.len()).iter().map(|v| v * 0.2).collect())
        .collect();
    let tensors: Vec<Tensor<1>> = parameters.iter().map(|v| tensor(v, [v.len()])).collect();
    let x = gaussian(77, 2 * channels * side * side);
    let y = block.forward(&tensors, tensor(&x, [2, channels, side, side]));
    let small = values(down.forward(&tensors, y.clone()));
    let y = values(y);

    // Places: norm1, conv1, norm2, conv2, down, two tensors each.
    let p = |i: usize| (&parameters[2 * i][..], &parameters[2 * i + 1][..]);
    for (i, picture) in x.chunks_exact(channels * side * side).enumerate() {
        let x = map(picture, channels);
        let hidden = conv(&norm_silu(&x, p(0).0, p(0).1), p(1).0, p(1).1, side, 1);
        let mut sum = conv(&norm_silu(&hidden, p(2).0, p(2).1), p(3).0, p(3).1, side, 1);
        sum.iter_mut().flatten().zip(x.iter().flatten()).for_each(|(s, x)| *s += x);
        let here = i * channels * side * side;
        close(&y[here..here + channels * side * side], &sum.concat(), 1e-4);
        close(&small[i * output * 9..(i + 1) * output * 9], &conv(&sum, p(4).0, p(4).1, side, 2).concat(), 1e-4);
    }
    let twice = values(upsample(tensor(&[1.0, 2.0, 3.0, 4.0], [1, 1, 2, 2])));
    assert_eq!(twice, [1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0, 4.0, 4.0, 3.0, 3.0, 4.0, 4.0]);
}

#[test]
fn terms_are_their_equations() {
    let (b, pixels) = (2, 12);
    let (mean, log) = (gaussian(1, b * 6), gaussian(2, b * 6));
    let (x, y, noise) = (gaussian(3, b * pixels), gaussian(4, b * pixels), gaussian(5, b * 6));
    let posterior = Posterior { mean: tensor(&mean, [b, 3, 1, 2]), log_variance: tensor(&log, [b, 3, 1, 2]) };
    let per_picture = |f: &dyn Fn(usize) -> f64, count: usize| -> Vec<f64> {
        (0..b).map(|i| (i * count..(i + 1) * count).map(f).sum()).collect()
    };
    let [mean64, log64, x64, y64, noise64] =
        [&mean, &log, &x, &y, &noise].map(|v| v.iter().map(|&v| f64::from(v)).collect::<Vec<_>>());

    let kl = per_picture(&|i| 0.5 * (mean64[i].powi(2) + log64[i].exp() - 1.0 - log64[i]) / pixels as f64, 6);
    close(&values(loss::kl(&posterior, pixels)), &kl, 1e-5);
    let sample: Vec<f64> = (0..b * 6).map(|i| mean64[i] + (0.5 * log64[i]).exp() * noise64[i]).collect();
    close(&values(loss::sample(posterior, tensor(&noise, [b, 3, 1, 2]))), &sample, 1e-5);
    let pictures = |v: &[f32]| tensor(v, [b, 3, 2, 2]);
    let error = per_picture(&|i| (x64[i] - y64[i]).powi(2) / pixels as f64, pixels);
    close(&values(loss::squared_error(pictures(&x), pictures(&y))), &error, 1e-5);
    // The same numbers as logits.
    let hinge = |i: usize| 0.5 * ((1.0 - x64[i]).max(0.0) + (1.0 + y64[i]).max(0.0)) / pixels as f64;
    close(&values(loss::discriminator(pictures(&x), pictures(&y))), &per_picture(&hinge, pixels), 1e-5);
    close(&values(loss::generator(pictures(&y))), &per_picture(&|i| -y64[i] / pixels as f64, pixels), 1e-5);
}

/// Settings of pictures of 8 pixels with cells of 4.
fn settings(kind: Kind, training: Training) -> Settings {
    Settings { kind, image: 8, patch: 4, channels: 3, rank: 4, width: 16, training }
}

/// Parameters of a network with noise on all of them, so that nothing is at its special initial value.
fn busy(layout: &[crate::model::layout::Parameter], seed: u64) -> Vec<Tensor<1>> {
    let noise = |(i, x): (usize, Tensor<1>)| {
        let count = x.dims()[0];
        x + tensor(&gaussian(seed + i as u64, count), [count]).mul_scalar(0.05)
    };
    init(layout, seed, 0, &Device::flex()).into_iter().enumerate().map(noise).collect()
}

#[test]
fn perceptual_distance_is_lpips() {
    let settings = settings(Kind::Vqgan, Training::default());
    let network = RotationNet::new(&settings);
    let parameters = busy(network.layout(), 3);
    let pictures = |seed| tensor(&gaussian(seed, 2 * 3 * 64), [2, 3, 8, 8]);
    let (x, y) = (pictures(8), pictures(9));
    let mut expected = [0f64; 2];
    for (a, b) in network.features(&parameters, x.clone()).into_iter().zip(network.features(&parameters, y.clone())) {
        let [_, c, h, w] = a.dims();
        let (a, b) = (values(a), values(b));
        for (i, expected) in expected.iter_mut().enumerate() {
            for at in 0..h * w {
                let column =
                    |v: &[f32]| -> Vec<f64> { (0..c).map(|c0| f64::from(v[(i * c + c0) * h * w + at])).collect() };
                let unit = |v: Vec<f64>| {
                    let norm = v.iter().map(|v| v * v).sum::<f64>().sqrt();
                    v.into_iter().map(|v| v / norm).collect::<Vec<_>>()
                };
                let (a, b) = (unit(column(&a)), unit(column(&b)));
                *expected += a.iter().zip(&b).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / (h * w) as f64;
            }
        }
    }
    let perceptual = Perceptual { network, parameters };
    close(&values(perceptual.distance(x.clone(), y)), &expected, 1e-4);
    assert!(values(perceptual.distance(x.clone(), x)).iter().all(|&d| d == 0.0));
    assert!(expected[0] > 0.01);
}

/// All four terms at once, along the gradient's own direction of a few tensors of each half.
#[test]
fn gradients_are_finite_differences() {
    let training = Training { kl_weight: 0.1, perceptual_weight: 0.5, adversarial_weight: 0.3, ..Training::default() };
    // Large enough that every group of a norm has several values: with two, a norm is nearly a step.
    let settings = Settings { image: 16, width: 32, ..settings(Kind::Vqgan, training) };
    // f32 losses of order 1 have an error of about 1e-7, so the slope one of 1e-4.
    const STEP: f64 = 1e-3;
    let autoencoder = Autoencoder::new(&settings);
    let (features, discriminator) = (RotationNet::new(&settings), Discriminator::new(&settings));
    let adversary = busy(discriminator.layout(), 200);
    let perceptual = Perceptual { parameters: busy(features.layout(), 100), network: features };
    let objective = Objective {
        autoencoder: &autoencoder,
        training: &training,
        perceptual: Some(&perceptual),
        adversary: Some((&discriminator, &adversary)),
    };
    let parameters = busy(autoencoder.layout(), 300);
    let pictures = tensor(&gaussian(8, 2 * 3 * 256), [2, 3, 16, 16]);
    let noise = tensor(&gaussian(9, 2 * 4 * 16), [2, 4, 4, 4]);
    let total = |parameters: &[Tensor<1>]| -> f64 {
        values(objective.losses(parameters, pictures.clone(), noise.clone())).iter().map(|&l| f64::from(l)).sum()
    };
    let leaves: Vec<Tensor<1>> = parameters.iter().map(|p| p.clone().autodiff().require_grad()).collect();
    let mut gradients = objective.losses(&leaves, pictures.clone(), noise.clone()).sum().backward();
    for (i, parameter) in autoencoder.layout().iter().enumerate() {
        let gradient =
            leaves[i].grad_remove(&mut gradients).unwrap_or_else(|| panic!("{} has a gradient", parameter.name));
        let norm = values(gradient.clone()).iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        assert!(norm > 1e-5, "{} has gradient {norm}", parameter.name);
        if !["stem.weight", "down.1.bias", "norm.scale", "moments.weight", "start.weight", "up.2.weight", "output.bias"]
            .iter()
            .any(|name| parameter.name.ends_with(name))
        {
            continue;
        }
        let moved = |sign: f64| {
            let mut parameters = parameters.clone();
            parameters[i] = parameters[i].clone() + gradient.clone().mul_scalar(sign * STEP / norm);
            total(&parameters)
        };
        let slope = (moved(1.0) - moved(-1.0)) / (2.0 * STEP);
        assert!((slope / norm - 1.0).abs() < 0.01, "{}: {slope} against {norm}", parameter.name);
    }
}

#[test]
fn patches_become_pictures_and_cells_become_tokens() {
    let settings = settings(Kind::ConvVae, Training::default());
    let grid = settings.grid().unwrap();
    let picture: Vec<u8> = (0..192).collect();
    let cut = patches(grid, &[&picture, &picture], &Device::flex());
    let pictures = values(from_patches(&settings, cut.clone()));
    for (at, &v) in pictures[192..].iter().enumerate() {
        let (c, row, column) = (at / 64, at / 8 % 8, at % 8);
        assert_eq!(v, ldae_shared::patch::pixel_value(picture[(row * 8 + column) * 3 + c]));
    }
    assert_eq!(values(to_patches(&settings, from_patches(&settings, cut.clone()))), values(cut));
    let tokens = tensor(&gaussian(1, 2 * 4 * 5), [2, 4, 5]);
    let maps = from_tokens(&settings, tokens.clone());
    assert_eq!(values(maps.clone())[4..8], [1, 6, 11, 16].map(|i| values(tokens.clone())[i]));
    assert_eq!(values(to_tokens(maps)), values(tokens));
}

fn drawn(count: usize) -> Split {
    load(&format!("drawn:train={count},test=10,side=8"), &LoadOptions::default()).unwrap().train
}

fn trained(kind: Kind, workers: usize, steps: u64) -> (ConvTokenizer, super::Report) {
    let training = Training { steps, batch: 16, shards: 4, seed: 5, ..Training::default() };
    let workers = Workers::new(workers).unwrap();
    ConvTokenizer::train(&settings(kind, training), &drawn(200), &workers, &Device::flex(), &Output::silent()).unwrap()
}

/// Mean squared error of the pictures of a split.
fn error(tokenizer: &ConvTokenizer, split: &Split) -> f64 {
    let pictures: Vec<&[u8]> = (0..split.len()).map(|i| split.image(i)).collect();
    let x = patches(tokenizer.settings().grid().unwrap(), &pictures, &Device::flex());
    let y = tokenizer.decode(tokenizer.encode(x.clone()));
    f64::from(values((x - y).square().mean())[0])
}

#[test]
fn reconstruction_improves_and_latents_have_unit_scale() {
    let ((short, _), (long, report)) = (trained(Kind::ConvVae, 2, 1), trained(Kind::ConvVae, 2, 120));
    let split = drawn(200);
    let (before, after) = (error(&short, &split), error(&long, &split));
    assert!(after < 0.5 * before, "{before} before, {after} after");
    assert!(report.loss.is_finite() && report.rotation_loss.is_none() && report.discriminator_loss.is_none());
    let pictures: Vec<&[u8]> = (0..split.len()).map(|i| split.image(i)).collect();
    let latents = values(long.encode(patches(long.settings().grid().unwrap(), &pictures, &Device::flex())));
    for channel in 0..4 {
        let mean = latents.iter().skip(channel).step_by(4).map(|&v| f64::from(v)).sum::<f64>() / 800.0;
        assert!(mean.abs() < 1e-4, "channel {channel} has mean {mean}");
    }
    let square = latents.iter().map(|&v| f64::from(v).powi(2)).sum::<f64>() / latents.len() as f64;
    assert!((square - 1.0).abs() < 1e-4, "mean square {square}");
}

#[test]
fn every_kind_trains_the_same_on_any_number_of_workers_and_survives_its_tensors() {
    for kind in Kind::ALL {
        let ((one, report), (three, again)) = (trained(kind, 1, 6), trained(kind, 3, 6));
        assert_eq!((one.tensors(), report), (three.tensors(), again));
        assert_eq!(
            (report.rotation_loss.is_some(), report.discriminator_loss.is_some()),
            (kind.perceptual(), kind.adversarial())
        );
        let back = ConvTokenizer::from_tensors(one.settings(), &one.tensors(), &Device::flex()).unwrap();
        let picture = drawn(1);
        let x = patches(one.settings().grid().unwrap(), &[picture.image(0)], &Device::flex());
        assert_eq!(values(one.encode(x.clone())), values(back.encode(x.clone())));
        assert_eq!(values(one.decode(one.encode(x.clone()))), values(back.decode(back.encode(x))));
    }
}

#[test]
fn wrong_pictures_and_wrong_tensors_are_refused() {
    let good = settings(Kind::ConvVae, Training { steps: 1, batch: 4, ..Training::default() });
    let workers = Workers::new(1).unwrap();
    let train =
        |settings: &Settings| ConvTokenizer::train(settings, &drawn(8), &workers, &Device::flex(), &Output::silent());
    let e = train(&Settings { image: 16, ..good }).unwrap_err();
    assert!(e.to_string().contains("8x8x3"), "{e}");
    let (tokenizer, _) = train(&good).unwrap();
    let tensors = tokenizer.tensors();
    let from = |settings: &Settings, tensors: &[_]| ConvTokenizer::from_tensors(settings, tensors, &Device::flex());
    assert!(from(&good, &tensors[1..]).unwrap_err().to_string().contains("no tensor tokenizer.encoder.stem.weight"));
    assert!(
        from(&Settings { width: 32, ..good }, &tensors).unwrap_err().to_string().contains("has shape [8, 3, 3, 3]")
    );
}
