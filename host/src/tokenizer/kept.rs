//! Trained convolutional tokenizers are kept in `$XDG_CACHE_HOME/ldae/tokenizers` or `~/.cache/ldae/tokenizers`: they cost minutes, and
//! the recipes of a sweep share them.
//!
//! On a CPU a tokenizer is a function of its settings and the training pictures, which are its name there, with the version of the
//! program; what is taken from there is what would be trained again. A file that cannot be read, or is damaged, is
//! replaced; a folder that cannot be written keeps nothing.

use super::conv::{ConvTokenizer, Settings};
use crate::data::cache::default_folder;
use crate::model::NamedTensor;
use crate::{Result, atomic, digest};
use burn::tensor::Device;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Metadata entry: hash of the values.
const SEAL: &str = "sha256";

/// Takes the tokenizer of these settings and pictures (their fingerprint), or trains and keeps it.
///
/// # Errors
/// Those of `train`.
pub fn take_or(
    settings: &Settings,
    pictures: &str,
    device: &Device,
    train: impl FnOnce() -> Result<ConvTokenizer>,
) -> Result<ConvTokenizer> {
    take_or_in(&default_folder().join("tokenizers"), settings, pictures, device, train)
}

fn take_or_in(
    folder: &Path,
    settings: &Settings,
    pictures: &str,
    device: &Device,
    train: impl FnOnce() -> Result<ConvTokenizer>,
) -> Result<ConvTokenizer> {
    let path = place(folder, settings, pictures);
    if let Some(tokenizer) = path.as_deref().and_then(|path| read(path, settings, device)) {
        return Ok(tokenizer);
    }
    let tokenizer = train()?;
    if let Some(path) = path {
        // It can be trained again.
        let _ = keep(&path, &tokenizer.tensors());
    }
    Ok(tokenizer)
}

fn place(folder: &Path, settings: &Settings, pictures: &str) -> Option<PathBuf> {
    let settings = serde_json::to_string(settings).ok()?;
    let key = digest::sha256_hex(format!("{} {settings} {pictures}", env!("CARGO_PKG_VERSION")).as_bytes());
    Some(folder.join(format!("{}.safetensors", &key[..32])))
}

fn seal(tensors: &[NamedTensor]) -> String {
    let bytes: Vec<u8> = tensors.iter().flat_map(|t| &t.values).flat_map(|v| v.to_le_bytes()).collect();
    digest::sha256_hex(&bytes)
}

fn keep(path: &Path, tensors: &[NamedTensor]) -> Option<()> {
    let bytes: Vec<Vec<u8>> = tensors.iter().map(|t| t.values.iter().flat_map(|v| v.to_le_bytes()).collect()).collect();
    let views: Option<Vec<_>> = tensors
        .iter()
        .zip(&bytes)
        .map(|(t, bytes)| Some((t.name.as_str(), TensorView::new(Dtype::F32, t.shape.clone(), bytes).ok()?)))
        .collect();
    let metadata = HashMap::from([(SEAL.to_owned(), seal(tensors))]);
    let file = safetensors::serialize(views?, Some(metadata)).ok()?;
    std::fs::create_dir_all(path.parent()?).ok()?;
    atomic::write(path, &file).ok()
}

fn read(path: &Path, settings: &Settings, device: &Device) -> Option<ConvTokenizer> {
    let bytes = std::fs::read(path).ok()?;
    let (_, metadata) = SafeTensors::read_metadata(&bytes).ok()?;
    let file = SafeTensors::deserialize(&bytes).ok()?;
    let mut tensors = Vec::new();
    for (name, shape) in ConvTokenizer::shapes(settings) {
        let view = file.tensor(&name).ok()?;
        if view.dtype() != Dtype::F32 || view.shape() != shape {
            return None;
        }
        let (values, _) = view.data().as_chunks::<4>();
        tensors.push(NamedTensor { name, shape, values: values.iter().map(|b| f32::from_le_bytes(*b)).collect() });
    }
    let whole = metadata.metadata().as_ref()?.get(SEAL)? == &seal(&tensors);
    whole.then(|| ConvTokenizer::from_tensors(settings, &tensors, device).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Output;
    use crate::data::Split;
    use crate::model::reference::{noise_pictures, tiny_spec};
    use crate::tokenizer::conv::{Kind, Training};
    use crate::train::workers::Workers;
    use std::cell::Cell;

    #[test]
    fn trained_once_and_again_when_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings::new(Kind::ConvVae, &tiny_spec().encoder);
        settings.width = 16;
        settings.training = Training { steps: 2, batch: 4, shards: 1, ..Training::default() };
        let split = Split::from_memory(noise_pictures(8, 3, 6, 1).concat(), 8, 3, None);
        let (device, workers, trained) = (Device::flex(), Workers::new(1).unwrap(), Cell::new(0));
        let take = |pictures: &str| {
            let tokenizer = take_or_in(folder.path(), &settings, pictures, &device, || {
                trained.set(trained.get() + 1);
                Ok(ConvTokenizer::train(&settings, &split, &workers, &device, &Output::silent())?.0)
            });
            tokenizer.unwrap().tensors()
        };
        let first = take("a");
        assert_eq!(first, take("a"));
        assert_eq!(trained.get(), 1);
        take("b");
        assert_eq!(trained.get(), 2);
        let path = place(folder.path(), &settings, "a").unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(first, take("a"));
        assert_eq!(trained.get(), 3);
        std::fs::write(&path, &bytes[..last / 2]).unwrap();
        assert_eq!(first, take("a"));
        assert_eq!((first, trained.get()), (take("a"), 4));
    }
}
