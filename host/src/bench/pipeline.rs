//! Speed of the input pipeline on this machine, per core: pictures from JPEG files into the decoded cache, and batches from
//! the cache to what a training step takes.
//!
//! The JPEG files are drawn here, in a temporary folder: textures with noise, so that they compress like photographs do. A core
//! is one thread; the import is timed on all threads too, with [`crate::data::load`] itself. Batches are the trainer's own
//! ([`Batches`]), as a GPU gets them: pictures augmented and cut into patches, as bytes. The noise is made by the GPU; by a core it
//! takes what is measured beside.

use crate::data::{Augment, LoadOptions, Split, drawn, load};
use crate::error::Context;
use crate::train::batch::Batches;
use crate::{Error, Result};
use burn::tensor::Device;
use clap::ValueEnum;
use image::codecs::jpeg::JpegEncoder;
use ldae_shared::patch::PatchGrid;
use ldae_shared::spec::EncoderSpec;
use rayon::prelude::*;
use serde::Serialize;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

/// JPEG quality of the drawn files; most photographs have 75 to 95.
const QUALITY: u8 = 90;
/// Time of each measurement of batches.
const TIME: Duration = Duration::from_millis(700);

/// What is measured.
#[derive(Clone, Debug)]
pub struct Options {
    /// Side, channels, patch and rank of the model that is fed.
    pub spec: EncoderSpec,
    /// Width and height of the JPEG files.
    pub jpeg_side: usize,
    /// How many of them.
    pub files: usize,
    /// Pictures per second that a device takes.
    pub needs: Option<f64>,
}

/// One augmentation's batches.
#[derive(Clone, Debug, Serialize)]
pub struct Fed {
    /// As `--augment` names it.
    pub augment: String,
    /// From the decoded cache to the bytes that a GPU gets, of one core.
    pub pictures_per_second: f64,
    /// Cores that feed the device.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cores: Option<f64>,
}

/// What `ldae bench --pipeline` reports.
#[derive(Clone, Debug, Serialize)]
pub struct Pipeline {
    /// Pictures of side·side·channels go into the model, with `rank` noise values for each of `tokens` patches.
    pub side: usize,
    /// 1 or 3.
    pub channels: usize,
    /// Patches of a picture.
    pub tokens: usize,
    /// Noise values of a patch.
    pub rank: usize,
    /// Width and height of the JPEG files.
    pub jpeg_side: usize,
    /// Mean size of a JPEG file in bytes.
    pub jpeg_bytes: f64,
    /// Read, decoded, resized, hashed and cached, by one core.
    pub import_per_core: f64,
    /// The same by all threads together.
    pub import_all: f64,
    /// Threads of `import_all`.
    pub threads: usize,
    /// Latent noise, where a core makes it.
    pub noise_per_core: f64,
    /// Pictures per second that a device takes, as asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<f64>,
    /// By augmentation.
    pub batches: Vec<Fed>,
}

/// Draws the files and measures.
///
/// # Errors
/// The shape is impossible, or the temporary folder cannot be written.
pub fn measure(options: &Options) -> Result<Pipeline> {
    let spec = &options.spec;
    let grid = PatchGrid::of(spec).ok_or_else(|| Error::new("the patch side does not divide the image side"))?;
    let (side, channels, rank) = (usize::from(spec.image), usize::from(spec.channels), usize::from(spec.rank));
    let folder = tempfile::tempdir().context(|| "cannot make a temporary folder")?;
    let pictures = folder.path().join("pictures");
    let jpeg_bytes = draw(&pictures, options)?;
    let threads = rayon::current_num_threads();
    let import = |threads| import(&pictures, &folder.path().join("cache"), spec, threads);
    import(threads)?; // the files come into the system's cache
    let (import_per_core, split) = import(1)?;
    let import_all = if threads == 1 { import_per_core } else { import(threads)?.0 };
    let device = Device::flex();
    let samples: Vec<u32> = (0..split.len() as u32).collect();
    let core = rayon::ThreadPoolBuilder::new().num_threads(1).build().context(|| "cannot start a thread")?;
    let rate = |work: &mut (dyn FnMut(u32) + Send)| {
        work(0);
        let (start, mut passes) = (Instant::now(), 0);
        while start.elapsed() < TIME {
            passes += 1;
            work(passes);
        }
        f64::from(passes) * samples.len() as f64 / start.elapsed().as_secs_f64()
    };
    let batches = |augment| Batches::new(&split, grid, rank, split.len(), augment, 1);
    let plain = batches(Augment::None);
    let noise_per_core = rate(&mut |epoch| drop(black_box(plain.noise(epoch, &samples, &device))));
    let fed = |augment: &Augment| {
        let batches = batches(*augment);
        let pictures_per_second = core.install(|| rate(&mut |epoch| drop(black_box(batches.for_gpu(epoch, &samples)))));
        let name = augment.to_possible_value().map_or(String::new(), |v| v.get_name().to_owned());
        Fed { augment: name, pictures_per_second, cores: options.needs.map(|needs| needs / pictures_per_second) }
    };
    Ok(Pipeline {
        side,
        channels,
        tokens: grid.tokens(),
        rank,
        jpeg_side: options.jpeg_side,
        jpeg_bytes,
        import_per_core,
        import_all,
        threads,
        noise_per_core,
        needs: options.needs,
        batches: Augment::value_variants().iter().map(fed).collect(),
    })
}

/// Writes the JPEG files; their mean size.
fn draw(folder: &Path, options: &Options) -> Result<f64> {
    std::fs::create_dir_all(folder).context(|| format!("cannot make {}", folder.display()))?;
    let side = options.jpeg_side;
    let sizes: Vec<usize> =
        (0..options.files).into_par_iter().map(|i| write_jpeg(folder, i, side)).collect::<Result<_>>()?;
    Ok(sizes.iter().sum::<usize>() as f64 / sizes.len() as f64)
}

/// Writes drawn picture `i` as a JPEG file of side·side pixels; its size in bytes.
///
/// # Errors
/// The file cannot be written.
pub fn write_jpeg(folder: &Path, i: usize, side: usize) -> Result<usize> {
    let scene = drawn::Scene { seed: 1, part: crate::data::Part::Train, index: i as u32 };
    let pixels = drawn::draw(scene, side, 3);
    let mut bytes = Vec::new();
    let path = folder.join(format!("{i:06}.jpg"));
    JpegEncoder::new_with_quality(&mut bytes, QUALITY)
        .encode(&pixels, side as u32, side as u32, image::ExtendedColorType::Rgb8)
        .context(|| "cannot encode a JPEG file")?;
    std::fs::write(&path, &bytes).context(|| format!("cannot write {}", path.display()))?;
    Ok(bytes.len())
}

/// Pictures per second of a whole import by so many threads, and its training pictures.
fn import(pictures: &Path, cache: &Path, spec: &EncoderSpec, threads: usize) -> Result<(f64, Split)> {
    let _ = std::fs::remove_dir_all(cache); // the first time there is none
    let options = LoadOptions {
        side: Some(spec.image.into()),
        channels: Some(spec.channels.into()),
        cache: Some(cache.to_owned()),
        upscale: true,
        ..LoadOptions::default()
    };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().context(|| "cannot start threads")?;
    let start = Instant::now();
    let dataset = pool.install(|| load(&pictures.to_string_lossy(), &options))?;
    let seconds = start.elapsed().as_secs_f64();
    let count: usize = dataset.splits().iter().map(|(_, split)| split.len()).sum();
    Ok((count as f64 / seconds, dataset.train))
}

impl std::fmt::Display for Pipeline {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (side, jpeg) = (self.side, self.jpeg_side);
        writeln!(
            f,
            "pictures of {side}x{side}x{}, {} patches with {} noise values each",
            self.channels, self.tokens, self.rank
        )?;
        writeln!(f, "once, from JPEG files of {jpeg}x{jpeg} pixels, {:.1} kB:", self.jpeg_bytes / 1e3)?;
        writeln!(f, "  decode, resize, cache  {:10.0} pictures/s on one core", self.import_per_core)?;
        writeln!(f, "                         {:10.0} pictures/s on {} threads", self.import_all, self.threads)?;
        writeln!(f, "each epoch, from the cache to the bytes for a GPU, on one core:")?;
        write!(f, "  noise, if a core makes it {:7.0} pictures/s", self.noise_per_core)?;
        for fed in &self.batches {
            write!(f, "\n  augment {:14} {:10.0} pictures/s", fed.augment, fed.pictures_per_second)?;
            if let (Some(cores), Some(needs)) = (fed.cores, self.needs) {
                write!(f, ", {cores:.1} cores for {needs:.0}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stage_is_measured() {
        let spec = ldae_shared::spec::preset("xs").unwrap().spec;
        let options = Options { spec, jpeg_side: 40, files: 20, needs: Some(1000.0) };
        let found = measure(&options).unwrap();
        assert_eq!((found.side, found.channels, found.jpeg_side), (32, 3, 40));
        assert!(found.import_per_core > 0.0 && found.import_all > 0.0 && found.noise_per_core > 0.0);
        assert!((300.0..10_000.0).contains(&found.jpeg_bytes), "{}", found.jpeg_bytes);
        let names: Vec<&str> = found.batches.iter().map(|b| b.augment.as_str()).collect();
        assert_eq!(names, ["none", "flip", "crop-flip", "crop", "crop-colour"]);
        for fed in &found.batches {
            assert!((fed.cores.unwrap() * fed.pictures_per_second / 1000.0 - 1.0).abs() < 1e-9);
        }
        assert!(found.to_string().contains("cores for 1000"));
    }
}
