//! Encoders that the suites run: one set of weights in every form that a runtime takes.
//!
//! ```text
//! weights ── fold ──> float encoder ──────────────────────> float32 .onnx
//!                          └── calibrate, quantise ──> .ldae
//!                                    └── its integers in float ──> int8 .onnx
//! ```
//!
//! Weights are random but for the zeros, so that nothing of the network is dead; pictures are drawn by the program. Training would
//! add nothing: what must agree must agree for any weights.

use crate::reference::Cache;
use ldae_host::cli::Output;
use ldae_host::data::{self, LoadOptions, Split};
use ldae_host::eval::standardise::Standardiser;
use ldae_host::export;
use ldae_host::model::init::busy_parameters;
use ldae_host::model::layout::layout;
use ldae_host::model::{ModelSpec, Weights, pca};
use ldae_host::onnx::{self, Facts, Origin};
use ldae_host::quantise::{FloatEncoder, WeightOnly, calibrate, quantise};
use ldae_shared::format::{ArtifactDesc, Fill};
use ldae_shared::noise::{Purpose, Stream};
use ldae_shared::patch::PatchGrid;
use ldae_shared::spec::EncoderSpec;

/// Time step that all of them are folded at: a small one, as `ldae export` folds by default.
pub const TIME_STEP: u16 = 10;
/// Patches that the PCA is fitted on.
const PCA_PATCHES: usize = 2000;
/// Random patch embeddings times this: pictures then decide more of an embedding than positions and biases do, as in a trained
/// encoder, and the deviations that standardisation divides by are a trained encoder's (a median of 0.14 on CIFAR-10).
const EMBED_GAIN: f32 = 3.0;
/// Test vectors of every file.
const VECTORS: usize = 2;

/// Test vectors of the artifact: the program draws pictures of eight pixels a side and more.
const fn vectors(spec: &EncoderSpec) -> usize {
    if spec.image < 8 { 0 } else { VECTORS }
}

/// One encoder.
pub struct Model {
    /// Shape.
    pub spec: EncoderSpec,
    /// Canonical `.ldae`.
    pub artifact: Vec<u8>,
    /// What float runtimes take; none for artifacts that come from no network.
    pub float: Option<Float>,
    /// What the references gave before.
    pub known: Cache,
}

/// The float side of a model.
pub struct Float {
    /// The network's weights.
    pub weights: Weights,
    /// The folded encoder, which the float32 file holds.
    pub folded: FloatEncoder,
    /// The artifact's integers as floats, which the int8 file holds.
    pub dequantised: FloatEncoder,
    /// Means and deviations of its calibration.
    pub head: Standardiser,
    /// ONNX with float weights.
    pub onnx: Vec<u8>,
    /// ONNX with the artifact's weights.
    pub onnx_int8: Vec<u8>,
}

/// Drawn pictures of a shape, u8 [side, side, channels], as differently exposed as photographs: `train` to calibrate on, `test`
/// others. The program draws all its classes with one mean and one contrast; embeddings of such pictures hardly vary, and
/// standardisation would divide by next to nothing.
///
/// # Errors
/// The drawing program refuses the shape.
pub fn drawn(spec: &EncoderSpec, train: usize, test: usize, seed: u64) -> Result<[Split; 2], String> {
    // The program draws sides of 8 and more; smaller pictures are resized.
    let (side, channels) = (spec.image.max(8), spec.channels);
    let source = format!("drawn:train={train},test={test},side={side},channels={channels},seed={seed}");
    let options =
        LoadOptions { side: Some(spec.image.into()), channels: Some(channels.into()), ..LoadOptions::default() };
    let set = data::load(&source, &options).map_err(|e| e.to_string())?;
    let exposed = |split: &Split, part: u32| {
        let pixels = (0..split.len()).flat_map(|i| exposed(split.image(i), channels.into(), (seed, part, i as u32)));
        Split::from_memory(pixels.collect(), split.side(), split.channels(), None)
    };
    Ok([exposed(&set.train, 0), exposed(set.held_out(), 1)])
}

/// A picture with another contrast and another tint.
fn exposed(picture: &[u8], channels: usize, (seed, part, index): (u64, u32, u32)) -> Vec<u8> {
    let mut stream = Stream::new(seed, Purpose::Augment, part, index);
    let contrast = 0.2 + 1.3 * stream.uniform();
    let levels: Vec<f32> = (0..channels).map(|_| 40.0 + 175.0 * stream.uniform()).collect();
    let value = |(i, v): (usize, &u8)| (levels[i % channels] + contrast * (f32::from(*v) - 128.0)) as u8;
    picture.iter().enumerate().map(value).collect()
}

impl Model {
    /// A network of this shape with random weights, calibrated on `calibration` drawn pictures.
    ///
    /// # Errors
    /// The shape cannot be built, or a form of it cannot be written.
    pub fn new(spec: EncoderSpec, calibration: usize, seed: u64) -> Result<Self, String> {
        Self::changed(spec, calibration, seed, &|_, _| ())
    }

    /// [`Model::new`] with some parameters changed: `change` is called with the name and the values of each; the PCA's are
    /// `pca.mean` and `pca.basis`.
    ///
    /// # Errors
    /// As [`Model::new`].
    pub fn changed(
        spec: EncoderSpec,
        calibration: usize,
        seed: u64,
        change: &dyn Fn(&str, &mut [f32]),
    ) -> Result<Self, String> {
        let text = |e: ldae_host::Error| e.to_string();
        let model = ModelSpec { decoder_depth: 0, ..ModelSpec::symmetric(spec) };
        model.check().map_err(text)?;
        let [pictures, _] = drawn(&spec, calibration, 1, seed)?;
        let grid = PatchGrid::of(&spec).ok_or("the patch side does not divide the image side")?;
        let image = |i: usize| pictures.image(i);
        let mut pca = pca::fit(grid, spec.rank.into(), pictures.len(), image, PCA_PATCHES, seed).map_err(text)?;
        change("pca.mean", &mut pca.mean);
        change("pca.basis", &mut pca.basis);
        let mut parameters = busy_parameters(&model, seed);
        for (values, parameter) in parameters.iter_mut().zip(layout(&model)) {
            if parameter.name == "encoder.embed.weight" {
                values.iter_mut().for_each(|v| *v *= EMBED_GAIN);
            }
            change(&parameter.name, values);
        }
        let weights = Weights::new(model, parameters, &pca).map_err(text)?;

        let quiet = Output::new(true);
        let folded = FloatEncoder::fold(&weights, TIME_STEP, spec.pooling).map_err(text)?;
        let equalised = folded.clone().equalised(&pictures);
        let statistics = calibrate(&equalised, &pictures, &quiet).map_err(text)?;
        let head = Standardiser::new(&statistics.pooled_mean, &statistics.pooled_deviation);
        let mut quantised = quantise(&equalised, &statistics, &pictures, &quiet).map_err(text)?;
        quantised.desc.vectors = export::test_vectors(&quantised.desc, vectors(&spec)).map_err(text)?;
        let int8 = WeightOnly::new(&equalised, &quantised);
        let facts = Facts { artifact: "0".repeat(64), time_step: TIME_STEP, provenance: "origin=test\n".to_owned() };
        let origin = Origin { facts, pictures: (0..VECTORS).map(image).collect() };
        let float = Float {
            onnx: onnx::float32(&folded, &head, &origin).map_err(text)?,
            onnx_int8: onnx::int8(&int8, &head, &origin).map_err(text)?,
            dequantised: int8.dequantised(),
            weights,
            folded,
            head,
        };
        Ok(Model { spec, artifact: written(&quantised.desc)?, float: Some(float), known: Cache::default() })
    }

    /// An artifact that comes from no network: tensors filled by `fill`.
    ///
    /// # Errors
    /// The writer refuses it.
    pub fn synthetic(spec: EncoderSpec, fill: Fill, seed: u64) -> Result<Self, String> {
        let artifact = written(&ArtifactDesc::synthetic(spec, fill, seed))?;
        Ok(Model { spec, artifact, float: None, known: Cache::default() })
    }

    /// The float side.
    ///
    /// # Errors
    /// The model is an artifact that comes from no network.
    pub fn float(&self) -> Result<&Float, String> {
        self.float.as_ref().ok_or_else(|| "the artifact comes from no network".to_owned())
    }
}

fn written(desc: &ArtifactDesc) -> Result<Vec<u8>, String> {
    desc.write(|_| [0; 32]).map_err(|e| e.to_string())
}
