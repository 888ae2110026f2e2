//! Fills the [`Material`] of a report from a run directory and, for the pictures, its data set.

use super::material::{Basis, Embedded, Material, Reconstructions};
use super::page::Available;
use super::picture::Picture;
use crate::cli::Output;
use crate::data::{self, Dataset, Split};
use crate::eval::embedder::embed;
use crate::eval::standardise::Standardiser;
use crate::eval::subject::Subject;
use crate::run_dir::RunDir;
use crate::train::checkpoint::Checkpoint;
use crate::train::{TrainConfig, reconstruct};
use crate::{Error, Result};
use ldae_shared::noise::schedule::sigma;
use ldae_shared::patch::{PatchGrid, pixel_value};

/// Held-out pictures that are embedded for neighbours and map.
const EMBEDDED_PICTURES: usize = 1000;
/// Held-out pictures whose patches give the spectrum.
const SPECTRUM_PICTURES: usize = 500;
/// Pictures that are denoised, and the time steps.
const RECONSTRUCTED: usize = 4;
const TIMES: [u32; 6] = [10, 100, 200, 400, 700, 1000];

/// Everything the page shows about `run`; pictures come from `data`, or from the run's own data set.
///
/// # Errors
/// `run` is no directory, or `data` was given and cannot be read. Whatever else is missing becomes a sentence.
pub fn collect(run: &RunDir, source: Option<&str>, out: &Output) -> Result<Material> {
    let mut material = Material::read(run)?;
    if !run.checkpoint("last").is_file() {
        return Ok(material);
    }
    let opened = Checkpoint::load(&run.checkpoint("last")).and_then(|c| Ok((c, TrainConfig::load(run)?)));
    let (checkpoint, config) = match opened {
        Ok(both) => both,
        Err(e) => {
            let reason = format!("not available: {e}");
            material.basis = Err(reason.clone());
            material.reconstructions = Err(reason.clone());
            material.embedded = Err(reason);
            return Ok(material);
        }
    };
    if !config.recipe.generates() {
        material.samples = Err(format!("Recipe `{}` draws no pictures.", config.recipe.name));
    }
    let dataset = match (source, data::load(source.unwrap_or(&config.data.source), &config.load_options())) {
        (_, Ok(dataset)) => Ok(dataset),
        (Some(_), Err(e)) => return Err(e),
        (None, Err(e)) => Err(format!("not available: {e}; give the pictures with `--data`")),
    };
    material.data = provenance(&config, &checkpoint, dataset.as_ref().ok());
    material.basis = sentence(basis(&checkpoint, dataset.as_ref()));
    let held_out = dataset.map(|d| (d.held_out().limit(EMBEDDED_PICTURES), d.classes));
    material.reconstructions =
        held_out.as_ref().map_err(Clone::clone).and_then(|h| sentence(denoise(&checkpoint, &h.0)));
    material.embedded = held_out.and_then(|(split, classes)| sentence(embeddings(run, &config, split, classes, out)));
    Ok(material)
}

fn sentence<T>(result: Result<T>) -> Available<T> {
    result.map_err(|e| format!("not available: {e}"))
}

fn provenance(config: &TrainConfig, checkpoint: &Checkpoint, shown: Option<&Dataset>) -> Vec<(String, String)> {
    let header = &checkpoint.header;
    let mut rows = vec![
        ("trained with".to_owned(), format!("{}, seed {}", header.tool, header.seed)),
        ("training pictures".to_owned(), format!("{} ({})", config.data.source, config.data.pictures)),
        ("their fingerprint".to_owned(), config.data.fingerprint.clone()),
        ("configuration".to_owned(), format!("SHA-256 {}", header.config_sha256)),
        ("checkpoint".to_owned(), format!("step {}, SHA-256 of its content {}", header.step, header.sha256)),
    ];
    if let Some(dataset) = shown.filter(|d| d.fingerprint != config.data.fingerprint) {
        rows.push((
            "pictures on this page".to_owned(),
            format!("{}, fingerprint {}", dataset.name, dataset.fingerprint),
        ));
    }
    rows
}

fn grid(checkpoint: &Checkpoint) -> Result<PatchGrid> {
    PatchGrid::of(&checkpoint.spec().encoder).ok_or_else(|| Error::new("the patch side does not divide the image side"))
}

/// Rows of the basis, and the variance of held-out patches along each of them.
fn basis(checkpoint: &Checkpoint, dataset: Result<&Dataset, &String>) -> Result<Basis> {
    let spec = checkpoint.spec().encoder;
    let (grid, p, pca) = (grid(checkpoint)?, spec.patch_values() as usize, checkpoint.pca());
    let rows: Vec<Vec<f32>> = pca.basis.chunks_exact(p).map(<[f32]>::to_vec).collect();
    let variances = dataset.map_err(Clone::clone).map(|d| {
        let split = d.held_out().limit(SPECTRUM_PICTURES);
        let (mut sums, mut squares, mut count) = (vec![0.0f64; p], vec![0.0f64; p], 0.0f64);
        let (mut bytes, mut centred) = (vec![0u8; p], vec![0f32; p]);
        for i in 0..split.len() {
            for token in 0..grid.tokens() {
                grid.copy_patch(split.image(i), token, &mut bytes);
                let mean = centred.iter_mut().zip(&bytes).zip(&pca.mean);
                mean.for_each(|((c, b), m)| *c = pixel_value(*b) - m);
                for ((sum, square), row) in sums.iter_mut().zip(&mut squares).zip(&rows) {
                    let z = f64::from(row.iter().zip(&centred).map(|(v, c)| v * c).sum::<f32>());
                    *sum += z;
                    *square += z * z;
                }
                count += 1.0;
            }
        }
        sums.iter().zip(&squares).map(|(s, q)| (q - s * s / count) / count).collect()
    });
    Ok(Basis { patch: spec.patch.into(), channels: spec.channels.into(), rank: spec.rank.into(), rows, variances })
}

fn denoise(checkpoint: &Checkpoint, held_out: &Split) -> Result<Reconstructions> {
    let pictures: Vec<&[u8]> = (0..held_out.len().min(RECONSTRUCTED)).map(|i| held_out.image(i)).collect();
    let square = |pixels: &[u8]| Picture::square(held_out.side(), held_out.channels(), pixels);
    let all = reconstruct(checkpoint, &pictures, &TIMES)?;
    Ok(Reconstructions {
        levels: TIMES.map(|t| (t, sigma(t))).to_vec(),
        clean: pictures.iter().map(|p| square(p)).collect(),
        noised: all.iter().map(|levels| levels.iter().map(|l| square(&l.noisy)).collect()).collect(),
        predicted: all.iter().map(|levels| levels.iter().map(|l| square(&l.predicted)).collect()).collect(),
    })
}

/// Float embeddings in the run's own pooling at its own t, standardised over the pictures shown.
fn embeddings(
    run: &RunDir,
    config: &TrainConfig,
    held_out: Split,
    classes: Vec<String>,
    out: &Output,
) -> Result<Embedded> {
    let subject = Subject::open(run.root(), "last")?;
    let t = u16::try_from(config.schedule.t_embed).map_err(|_| Error::new("the run embeds at a t above 65535"))?;
    let encoder = subject.float(t, &[config.model_spec()?.encoder.pooling])?;
    let encoder = encoder.ok_or_else(|| Error::new("the run has no weights"))?;
    let mut features = embed(&encoder, &held_out, "report", out)?.swap_remove(0);
    Standardiser::fit(&features).apply(&mut features);
    Ok(Embedded {
        source: "float encoder of the run".to_owned(),
        dim: features.dim(),
        values: features.values().to_vec(),
        pictures: (0..held_out.len())
            .map(|i| Picture::square(held_out.side(), held_out.channels(), held_out.image(i)))
            .collect(),
        labels: held_out.labels().map(<[u16]>::to_vec),
        classes,
    })
}
