//! Fills the [`Material`] of a report from a run directory and, for the pictures, its data set.

use super::material::{Basis, Material};
use super::page::Available;
use crate::Result;
use crate::run_dir::RunDir;
use serde_json::Value;

/// Everything the page shows about `run`.
///
/// # Errors
/// `run` is no directory. Whatever else is missing becomes a sentence on the page.
pub fn collect(run: &RunDir) -> Result<Material> {
    let mut material = Material::read(run)?;
    material.basis = read_basis(run);
    Ok(material)
}

/// The basis stored in the last checkpoint: tensors `pca.basis` [P, P], metadata with the model's shape.
fn read_basis(run: &RunDir) -> Available<Basis> {
    let path = run.checkpoint("last");
    let bytes = std::fs::read(&path).map_err(|_| "not available: no checkpoint; run `ldae train`".to_owned())?;
    let bad = |what: &str| format!("not available: the last checkpoint has {what}");
    let (_, header) =
        safetensors::SafeTensors::read_metadata(&bytes).map_err(|e| bad(&format!("a bad header: {e}")))?;
    let tensors = safetensors::SafeTensors::deserialize(&bytes).map_err(|e| bad(&format!("bad tensors: {e}")))?;
    let tensor =
        tensors.tensor("model.pca.basis").or_else(|_| tensors.tensor("pca.basis")).map_err(|_| bad("no PCA basis"))?;
    let values: Vec<f32> =
        tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    let spec = header.metadata().as_ref().and_then(find_spec).ok_or_else(|| bad("no shape in its metadata"))?;
    let size =
        |key: &str| spec.get(key).and_then(Value::as_u64).map(|v| v as usize).ok_or_else(|| bad("an incomplete shape"));
    let (patch, channels, rank) = (size("patch")?, size("channels")?, size("rank")?);
    let length = patch * patch * channels;
    if length == 0 || values.is_empty() || !values.len().is_multiple_of(length) {
        return Err(bad("a PCA basis of another patch size"));
    }
    let rows = values.chunks_exact(length).map(<[f32]>::to_vec).collect();
    Ok(Basis {
        patch,
        channels,
        rank,
        rows,
        variances: Err("no spectrum: it is measured on the data; give `--data`".into()),
    })
}

/// The object with `patch`, `channels` and `rank` among the metadata values.
fn find_spec(metadata: &std::collections::HashMap<String, String>) -> Option<Value> {
    fn search(v: &Value) -> Option<&Value> {
        let object = v.as_object()?;
        if ["patch", "channels", "rank"].iter().all(|k| object.contains_key(*k)) {
            return Some(v);
        }
        object.values().find_map(search)
    }
    metadata.values().filter_map(|text| serde_json::from_str::<Value>(text).ok()).find_map(|v| search(&v).cloned())
}
