//! Exact instructions of one inference on emulated cores, whole and stage by stage, and the memory that it really used.
//!
//! One picture of uniform noise (Philox, seed 0) is embedded; its embedding is compared with this machine's, so that what is
//! counted is known to be right. The count is of `Encoder::embed`, whole: patches, every product, LayerNorm, softmax, GELU,
//! requantisation, pooling. MACs are the spec's ([`EncoderSpec::macs`]).

use super::counter;
use super::counts::{Counts, stage};
use super::profile::{self, Profile};
use crate::cli::Output;
use crate::error::Context;
use crate::verify::reference::{self, Kernels};
use crate::verify::session::{self, Job};
use crate::verify::{Device, Pictures, firmware};
use crate::{Error, Result};
use ldae_shared::format::{ArtifactDesc, Fill};
use ldae_shared::parity::Request;
use ldae_shared::spec::{EncoderSpec, preset};
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is measured.
#[derive(Clone, Debug)]
pub struct Model {
    /// Name in the tables: a preset or a file.
    pub name: String,
    /// The artifact.
    pub artifact: Vec<u8>,
}

impl Model {
    /// A valid artifact of a preset with random weights (seed 1): no training is needed to count.
    ///
    /// # Errors
    /// There is no such preset.
    pub fn of_preset(name: &str) -> Result<Self> {
        let found = preset(name).ok_or_else(|| {
            let names: Vec<_> = ldae_shared::spec::PRESETS.iter().map(|p| p.name).collect();
            Error::new(format!("no preset {name:?}")).hint(format!("presets are {}", names.join(", ")))
        })?;
        let artifact = ArtifactDesc::synthetic(found.spec, Fill::Random, 1)
            .write(|bytes| Sha256::digest(bytes).into())
            .context(|| format!("cannot make an artifact of preset {name}"))?;
        Ok(Model { name: name.to_owned(), artifact })
    }

    fn spec(&self) -> Result<EncoderSpec> {
        reference::spec(&self.artifact)
    }
}

/// How to measure.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Firmware sources or finished firmware; see `--firmware`.
    pub firmware: Option<PathBuf>,
    /// Attribute instructions to functions.
    pub profile: bool,
    /// Run the canonical artifact with the portable kernel, instead of packing it for each core.
    pub portable: bool,
}

/// Instructions by stage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Stages {
    /// Patches, latents, embedding, positions.
    pub front: u64,
    /// Each block.
    pub blocks: Vec<u64>,
    /// Last LayerNorm, pooling, standardisation.
    pub head: u64,
}

/// One model on one core.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measurement {
    /// Preset or file.
    pub model: String,
    /// Name of the device.
    pub device: String,
    /// Emulated board.
    pub board: String,
    /// Kernel that ran.
    pub kernel: String,
    /// Multiply-accumulates of one inference.
    pub macs: u64,
    /// Executed instructions of one inference.
    pub instructions: u64,
    /// The same for each multiply-accumulate.
    pub per_mac: f64,
    /// By stage; their sum is the whole but for a few calls.
    pub stages: Stages,
    /// Bytes of the artifact in the order that the kernel reads.
    pub artifact_bytes: usize,
    /// Scratch planned, bytes.
    pub scratch_bytes: u32,
    /// Scratch up to the last byte that was written.
    pub scratch_touched: u32,
    /// Stack of the call, bytes.
    pub stack_bytes: u32,
    /// True when the embedding is the one that this machine computes.
    pub embedding_equal: bool,
    /// By function, if asked for.
    pub profile: Option<Profile>,
}

/// Longest silence of an emulated board: the largest presets take minutes on the slowest.
const PATIENCE: Duration = Duration::from_secs(900);

/// Measures every model on every device.
///
/// # Errors
/// A device cannot run, stopped early, or its counts cannot be read.
pub fn measure(models: &[Model], devices: &[Device], options: &Options, out: &Output) -> Result<Vec<Measurement>> {
    let plugin = counter::plugin(options.firmware.as_deref())?;
    let mut jobs = Vec::new();
    for device in devices {
        let Device::Qemu(board) = device else {
            return Err(Error::new(format!("instructions are counted on emulated cores, not on {device}"))
                .hint("name devices as qemu:CORE, or leave --device out to time this machine"));
        };
        let description = session::describe(device)?;
        let program = firmware::program(device, firmware::BENCH, options.firmware.as_deref(), out)?;
        for model in models {
            let image = if options.portable {
                model.artifact.clone()
            } else {
                crate::pack::to_layout(&model.artifact, device.layout())?
            };
            if image.len() > board.artifact_room {
                let (bytes, room) = (image.len(), board.artifact_room);
                return Err(Error::new(format!("{} has {bytes} bytes, {device} has room for {room}", model.name))
                    .hint("choose a smaller preset, or another device"));
            }
            jobs.push((device, description.clone(), program.clone(), model, image));
        }
    }
    let bar = out.progress("count", jobs.len() as u64);
    let measured = jobs
        .par_iter()
        .map(|(device, board, program, model, image)| {
            let measured = one(device, board, program, (model, image), &plugin, options.profile);
            bar.inc(1);
            measured
        })
        .collect();
    bar.finish_and_clear();
    measured
}

fn one(
    device: &Device,
    board: &str,
    program: &Path,
    (model, image): (&Model, &[u8]),
    plugin: &Path,
    with_profile: bool,
) -> Result<Measurement> {
    let spec = model.spec()?;
    let pixels = noise(spec.pixels() as usize);
    let request =
        Request { artifact_bytes: image.len() as u32, pictures: 1, picture_bytes: spec.pixels(), wanted: None };
    let job = Job { artifact: image, request, pixels: &pixels, counter: Some(plugin) };
    let ran = session::run(device, program, &job, PATIENCE, &|_| {})?;
    let failed = |why: &str| {
        Error::new(format!("{} on {device}: {why}", model.name)).hint("`ldae verify` on the same device tells more")
    };
    if let Some(trouble) = ran.trouble {
        return Err(failed(&trouble));
    }
    let answer = ran.answer;
    let (Some(plan), Some(used), [picture]) = (answer.plan, answer.memory_use, answer.pictures.as_slice()) else {
        return Err(failed("its answer lacks results"));
    };
    let text = ran.counts.ok_or_else(|| {
        failed("the instruction counter wrote nothing")
            .hint("QEMU 9.0 or later with plugins is needed: `qemu-system-arm -plugin help`")
    })?;
    let counts = Counts::parse(&text).map_err(|e| failed(&e.to_string()))?;
    let ([instructions], [front], [head]) =
        (&*counts.of(stage::EMBED), &*counts.of(stage::FRONT), &*counts.of(stage::HEAD))
    else {
        return Err(failed("the markers of its stages are not whole"));
    };
    let blocks = counts.of(stage::BLOCK);
    if blocks.len() != usize::from(spec.depth) {
        return Err(failed("a block has no marker"));
    }
    let expected = reference::run(&model.artifact, &pixels, Kernels::Portable)?;
    let embedding_equal =
        expected.pictures.first().is_some_and(|p| p.codes == picture.codes && p.norm2 == picture.norm2);
    Ok(Measurement {
        model: model.name.clone(),
        device: device.to_string(),
        board: board.to_owned(),
        kernel: plan.kernel,
        macs: spec.macs(),
        instructions: *instructions,
        per_mac: *instructions as f64 / spec.macs() as f64,
        stages: Stages { front: *front, blocks, head: *head },
        artifact_bytes: image.len(),
        scratch_bytes: plan.scratch_bytes,
        scratch_touched: used.scratch_touched,
        stack_bytes: used.stack,
        embedding_equal,
        profile: with_profile.then(|| profile::profile(&counts, program)).transpose()?,
    })
}

/// The fourth of the synthetic pictures: noise.
fn noise(bytes: usize) -> Vec<u8> {
    Pictures::synthetic(bytes, 4).pixels.split_off(3 * bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_preset_and_a_device_that_is_not_emulated_are_refused() {
        assert!(Model::of_preset("xxl").unwrap_err().advice().unwrap().contains("xs"));
        let model = Model::of_preset("xs").unwrap();
        let error = measure(&[model], &[Device::Host], &Options::default(), &Output::new(false)).unwrap_err();
        assert!(error.to_string().contains("not on host"), "{error}");
    }

    #[test]
    #[ignore = "needs QEMU and the cross targets; `./ci.sh instructions` runs it"]
    fn counts_repeat_to_the_instruction_and_memory_is_as_planned() {
        let devices = Device::list(&["cortex-m7".to_owned(), "cortex-m0".to_owned(), "rv32imac".to_owned()]).unwrap();
        let models = [Model::of_preset("xs").unwrap()];
        let options = Options { profile: true, ..Options::default() };
        let run = || measure(&models, &devices, &options, &Output::new(false)).unwrap();
        let (first, second) = (run(), run());
        assert_eq!(first, second);
        for m in first {
            assert!(m.embedding_equal, "{m:?}");
            assert_eq!(m.scratch_touched, m.scratch_bytes, "{m:?}");
            let sum = m.stages.front + m.stages.blocks.iter().sum::<u64>() + m.stages.head;
            // Stages are called one by one, the whole at once: cutting the scratch, finding the blocks and the markers differ,
            // by 0.22 % of xs on a Cortex-M7 and by 61 instructions the other way on RV32IMAC.
            let (stages, whole) = (&m.stages, m.instructions);
            assert!(sum.abs_diff(whole) * 200 < whole, "{stages:?} of {whole}");
            let profile = m.profile.unwrap();
            assert_eq!(profile.instructions, m.instructions);
            assert_eq!(profile.float_instructions, 0);
        }
    }
}
