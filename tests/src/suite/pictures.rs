//! Real pictures, or drawn ones where no data set is at hand: the presets that boards run, an odd shape, and vit-tiny.

use super::{Models, Outcome, Suite, agrees, measured, on_each};
use crate::model::{Model, drawn};
use crate::reference::Reference;
use crate::runtime::Runtime;
use crate::tolerance::Measure;
use ldae_host::data::{self, LoadOptions, Split};
use ldae_shared::spec::{EncoderSpec, Pooling, preset};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};

/// Pictures that every runtime embeds with each model.
const COUNT: usize = 100;
/// Pictures of vit-tiny (1.2 GMAC each) by default; `LDAE_ALL_PICTURES=1` makes it [`COUNT`].
const VIT_TINY_COUNT: usize = 4;
/// Calibration pictures: ranges only decide where integers round.
const CALIBRATION: usize = 64;

/// The presets and a shape of no preset.
pub(super) const PICTURES: Suite =
    Suite { name: "pictures", about: "100 pictures, presets xs and s and an odd shape", run: pictures };
/// The first of the papers' shapes.
pub(super) const VIT_TINY: Suite =
    Suite { name: "vit-tiny", about: "224 x 224 pictures, 196 tokens, 12 blocks", run: vit_tiny };
/// Every form against the network.
pub(super) const QUALITY: Suite = Suite {
    name: "quality",
    about: "angle to the training network's embedding, whatever the arithmetic",
    run: quality,
};

static BOARD: LazyLock<Models> = LazyLock::new(|| {
    let odd = EncoderSpec::from_numbers((35, 3, 5), (21, 42, 3), (2, 3), Pooling::Grid2x2);
    let shapes = ["xs", "s"].into_iter().filter_map(|n| preset(n).map(|p| (n, p.spec))).chain([("odd", odd)]);
    shapes.map(|(name, spec)| Ok((name.to_owned(), Model::new(spec, CALIBRATION, 1)?))).collect()
});

static TINY: LazyLock<Models> = LazyLock::new(|| {
    let spec = preset("vit-tiny").ok_or("there is no preset vit-tiny")?.spec;
    // A pass takes 1.2 GMAC a picture; eight give ranges enough.
    Ok(vec![("vit-tiny".to_owned(), Model::new(spec, 8, 2)?)])
});

/// Pictures for the shape, read once for all runtimes: decompressing a data set takes seconds.
fn some(spec: &EncoderSpec, count: usize) -> Result<Split, String> {
    static READ: Mutex<BTreeMap<(u16, u8, usize), Split>> = Mutex::new(BTreeMap::new());
    let mut read = READ.lock().map_err(|_| "a suite panicked while it read pictures")?;
    let key = (spec.image, spec.channels, count);
    if let Some(split) = read.get(&key) {
        return Ok(split.clone());
    }
    let split = real_or_drawn(spec, count)?;
    read.insert(key, split.clone());
    Ok(split)
}

/// CIFAR-10 where it lies beside the checkout, else drawn pictures; brought to the shape here, so that the loader need not
/// keep sixty thousand enlarged ones.
fn real_or_drawn(spec: &EncoderSpec, count: usize) -> Result<Split, String> {
    let folder = std::env::var_os("LDAE_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/cifar10")),
        PathBuf::from,
    );
    if !folder.is_dir() {
        return drawn(spec, 1, count, 9).map(|[_, held_out]| held_out);
    }
    let set = data::load(&folder.display().to_string(), &LoadOptions::default()).map_err(|e| e.to_string())?;
    Ok(set.held_out().limit(count).resized(spec.image.into(), spec.channels.into()))
}

fn slices(split: &Split) -> Vec<&[u8]> {
    (0..split.len()).map(|i| split.image(i)).collect()
}

fn pictures(runtime: &dyn Runtime) -> Outcome {
    on_each(&BOARD, |model| agrees(runtime, PICTURES.name, model, &slices(&some(&model.spec, COUNT)?)))
}

fn vit_tiny(runtime: &dyn Runtime) -> Outcome {
    let count = if std::env::var_os("LDAE_ALL_PICTURES").is_some() { COUNT } else { VIT_TINY_COUNT };
    on_each(&TINY, |model| agrees(runtime, VIT_TINY.name, model, &slices(&some(&model.spec, count)?)))
}

fn quality(runtime: &dyn Runtime) -> Outcome {
    // The network is not compared with itself.
    let reference = if runtime.reference() == Reference::Folded { Reference::Folded } else { Reference::Network };
    let how = (QUALITY.name, Measure::Angle);
    // Of the kind that the models were calibrated on: other pictures leave the ranges, which says nothing of the runtime.
    on_each(&BOARD, |model| {
        let [_, pictures] = drawn(&model.spec, 1, COUNT, 9)?;
        measured(runtime, how, reference, model, &slices(&pictures))
    })
}
