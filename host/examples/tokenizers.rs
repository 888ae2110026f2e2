//! How well each tokenizer gives pictures back, as a table: PSNR over held-out pictures at the same number of latent values.
//!
//! `cargo run --release -p ldae-host --example tokenizers -- DATA [PATCH [RANK [STEPS [LIMIT]]]]`

use burn::tensor::Device;
use ldae_host::cli::Output;
use ldae_host::data::{LoadOptions, load};
use ldae_host::model::pca;
use ldae_host::recipe::TokenizerKind;
use ldae_host::tokenizer::conv::{ConvTokenizer, Kind, Settings, Training};
use ldae_host::tokenizer::{self, Choice, Material, psnr};
use ldae_host::train::workers::Workers;
use ldae_host::{Error, Result};
use ldae_shared::patch::PatchGrid;
use ldae_shared::spec::EncoderSpec;
use std::time::Instant;

/// Random seed of everything.
const SEED: u64 = 0;
/// Patches that the PCA is fitted on, as in training.
const PCA_PATCHES: usize = 100_000;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let data = arguments.first().ok_or_else(|| Error::new("no data set is named").hint("give a folder or `drawn`"))?;
    let number = |i: usize, default: usize| match arguments.get(i) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| Error::new(format!("`{text}` is not a number"))),
    };
    let (patch, rank) = (number(1, 4)?, number(2, 16)?);
    let steps = number(3, Training::default().steps as usize)? as u64;
    let dataset = load(data, &LoadOptions { limit: Some(number(4, 50_000)?), ..LoadOptions::default() })?;
    let (train, test) = (&dataset.train, dataset.held_out().limit(2000));
    let (image, channels) = (train.side(), train.channels());
    let grid =
        PatchGrid::new(image, patch, channels).ok_or_else(|| Error::new("the patch does not divide the side"))?;
    let (device, workers, out) = (Device::flex(), Workers::all_cores()?, Output::new(false));
    println!(
        "{} pictures of {image}x{image}x{channels}, patch {patch}, K = {rank}; PSNR over {}",
        train.len(),
        test.len()
    );
    println!("{:24} {:>8} {:>8}", "tokenizer", "PSNR dB", "seconds");

    let e = ldae_shared::spec::preset("xs").ok_or_else(|| Error::new("there is no preset xs"))?.spec;
    // The side of a picture is at most 4096 pixels.
    let spec =
        EncoderSpec { image: image as u16, channels: channels as u8, patch: patch as u16, rank: rank as u16, ..e };
    let pca = pca::fit(grid, rank, train.len(), |i| train.image(i), PCA_PATCHES, SEED)?;
    for (name, kind) in [
        ("patch-pca", TokenizerKind::PatchPca),
        ("patch-ae", TokenizerKind::PatchAe),
        ("patch-vae", TokenizerKind::PatchVae),
    ] {
        let start = Instant::now();
        let material = Material { split: train, fingerprint: &dataset.fingerprint, pca: &pca };
        let space =
            tokenizer::fit(&Choice { kind, conv: None, spec: &spec }, &material, SEED, (&workers, &device, &out))?
                .on(&device);
        let seconds = start.elapsed().as_secs_f64();
        let quality = psnr(&test, grid, &workers, &device, |x| space.decode(space.encode(x)));
        println!("{name:24} {quality:8.2} {seconds:8.0}");
    }
    for kind in Kind::ALL.into_iter().rev() {
        let start = Instant::now();
        let training = Training { steps, seed: SEED, ..Training::default() };
        let settings = Settings { training, ..Settings::new(kind, &spec) };
        let (tokenizer, report) = ConvTokenizer::train(&settings, train, &workers, &device, &out)?;
        let seconds = start.elapsed().as_secs_f64();
        let quality = psnr(&test, grid, &workers, &device, |x| tokenizer.decode(tokenizer.encode(x)));
        println!("{:24} {quality:8.2} {seconds:8.0}   {}", kind.name(), serde_json::json!(report));
    }
    Ok(())
}
