//! What a report is made of, read from a run directory. A part that is not there is a sentence that says how to get it;
//! a part that is there but cannot be read is a warning on the page, never a missing page.

use super::page::Available;
use super::picture::Picture;
use crate::Result;
use crate::error::Context;
use crate::run_dir::RunDir;
use serde_json::Value;
use std::path::Path;

/// Everything the page and the card show.
pub struct Material {
    /// Name of the run directory.
    pub run: String,
    /// Lines of metrics.jsonl, in order.
    pub metrics: Available<Vec<Value>>,
    /// config.toml.
    pub config: Available<toml::Table>,
    /// export/quality.json.
    pub quality: Available<Value>,
    /// eval/*.json: file stem and contents, by name.
    pub evaluations: Available<Vec<(String, Value)>>,
    /// verify.json.
    pub verify: Available<Value>,
    /// Exported artifacts: file name, bytes, SHA-256.
    pub artifacts: Vec<(String, usize, String)>,
    /// Patch-PCA basis.
    pub basis: Available<Basis>,
    /// Denoising at several noise levels.
    pub reconstructions: Available<Reconstructions>,
    /// The grid that `ldae sample` wrote.
    pub samples: Available<Picture>,
    /// Embeddings of held-out pictures.
    pub embedded: Available<Embedded>,
    /// Data set as loaded: lines of (what, value).
    pub data: Vec<(String, String)>,
}

/// The patch-PCA basis and its spectrum.
pub struct Basis {
    /// Patch side in pixels.
    pub patch: usize,
    /// Channels.
    pub channels: usize,
    /// K, the rank the model keeps.
    pub rank: usize,
    /// Rows of the basis, P values each, by falling eigenvalue.
    pub rows: Vec<Vec<f32>>,
    /// Variance along each row and where it was measured, when known.
    pub variances: Available<Vec<f64>>,
}

/// Clean pictures, and at each time step the noised input and the prediction from it.
pub struct Reconstructions {
    /// (t, sigma_t) of the columns.
    pub levels: Vec<(u32, f32)>,
    /// Clean pictures.
    pub clean: Vec<Picture>,
    /// `noised[picture][level]`
    pub noised: Vec<Vec<Picture>>,
    /// `predicted[picture][level]`
    pub predicted: Vec<Vec<Picture>>,
}

/// Embeddings of n held-out pictures with what is needed to show them.
pub struct Embedded {
    /// What made them ("float encoder of the run").
    pub source: String,
    /// Components E of one embedding.
    pub dim: usize,
    /// n x E, row-major, standardised.
    pub values: Vec<f32>,
    /// n pictures.
    pub pictures: Vec<Picture>,
    /// n class numbers, where the data has labels.
    pub labels: Option<Vec<u16>>,
    /// Class names by number.
    pub classes: Vec<String>,
}

impl Embedded {
    /// Number of pictures n.
    pub fn len(&self) -> usize {
        self.pictures.len()
    }

    /// True without pictures.
    pub fn is_empty(&self) -> bool {
        self.pictures.is_empty()
    }

    /// The E components of picture `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.dim..(i + 1) * self.dim]
    }

    /// Name of the class of picture `i`; empty without labels.
    pub fn class(&self, i: usize) -> String {
        let Some(label) = self.labels.as_ref().and_then(|l| l.get(i)) else { return String::new() };
        self.classes.get(usize::from(*label)).cloned().unwrap_or_else(|| label.to_string())
    }
}

impl Material {
    /// Reads what the run directory holds as files. Basis, reconstructions and embeddings need the model: see
    /// [`super::collect`].
    ///
    /// # Errors
    /// `run` is no directory.
    pub fn read(run: &RunDir) -> Result<Self> {
        let root = run.root();
        if !root.is_dir() {
            return Err(crate::Error::new(format!("no run directory at {}", root.display()))
                .hint("give the folder that `ldae train --out` wrote"));
        }
        let shown = root.display();
        let name = root.canonicalize().ok().and_then(|p| p.file_name().map(|n| n.to_string_lossy().into_owned()));
        Ok(Material {
            run: name.unwrap_or_else(|| shown.to_string()),
            metrics: read_metrics(&run.metrics()),
            config: read_text(&run.config(), "ldae train")
                .and_then(|text| text.parse::<toml::Table>().map_err(|e| unreadable(&run.config(), e.message()))),
            quality: read_json(&run.export().join("quality.json"), &format!("ldae export {shown}")),
            evaluations: read_evaluations(&root.join("eval"), &format!("ldae eval {shown}")),
            verify: read_json(&root.join("verify.json"), "ldae verify ENC --device qemu:cortex-m7"),
            artifacts: read_artifacts(&run.export()),
            basis: Err(format!("not available: no checkpoint in {shown}; run `ldae train`")),
            reconstructions: Err(format!("not available: no checkpoint in {shown}; run `ldae train`")),
            samples: read_picture(&run.samples(), &format!("ldae sample {shown}")),
            embedded: Err(format!("not available: no checkpoint in {shown}; run `ldae train`")),
            data: Vec::new(),
        })
    }
}

fn unreadable(path: &Path, why: &str) -> String {
    format!("not available: cannot read {}: {why}", file_name(path))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn read_text(path: &Path, command: &str) -> Available<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(format!("not available: run `{command}`")),
        Err(e) => Err(unreadable(path, &e.to_string())),
    }
}

fn read_json(path: &Path, command: &str) -> Available<Value> {
    let text = read_text(path, command)?;
    serde_json::from_str(&text).map_err(|e| unreadable(path, &e.to_string()))
}

fn read_picture(path: &Path, command: &str) -> Available<Picture> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(format!("not available: run `{command}`")),
        Err(e) => return Err(unreadable(path, &e.to_string())),
    };
    let picture = image::load_from_memory(&bytes).map_err(|e| unreadable(path, &e.to_string()))?.into_rgb8();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    Ok(Picture { width, height, channels: 3, pixels: picture.into_raw() })
}

/// A last line that is cut (a run being written) is left out; any other bad line makes the file unreadable.
fn read_metrics(path: &Path) -> Available<Vec<Value>> {
    let text = read_text(path, "ldae train")?;
    let lines: Vec<&str> = text.lines().filter(|l| !l.trim().is_empty()).collect();
    let mut parsed = Vec::with_capacity(lines.len());
    for (i, line) in lines.iter().enumerate() {
        match serde_json::from_str::<Value>(line) {
            Ok(v) => parsed.push(v),
            Err(_) if i + 1 == lines.len() => {}
            Err(e) => return Err(unreadable(path, &format!("line {}: {e}", i + 1))),
        }
    }
    Ok(parsed)
}

fn read_evaluations(folder: &Path, command: &str) -> Available<Vec<(String, Value)>> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(folder).map_err(|_| format!("not available: run `{command}`"))?;
    for path in entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "json")) {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        found.push((stem, read_json(&path, command)?));
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    if found.is_empty() { Err(format!("not available: run `{command}`")) } else { Ok(found) }
}

fn read_artifacts(folder: &Path) -> Vec<(String, usize, String)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<_> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|x| x == "ldae"))
        .filter_map(|p| std::fs::read(&p).ok().map(|bytes| (file_name(&p), bytes.len(), sha256(&bytes))))
        .collect();
    found.sort();
    found
}

/// SHA-256 in hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    use sha2::Digest;
    sha2::Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// Writes `text` to `path` atomically, making its folder first.
///
/// # Errors
/// The folder cannot be made or written.
pub fn write_text(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent().filter(|f| !f.as_os_str().is_empty()) {
        std::fs::create_dir_all(folder).context(|| format!("cannot make the folder {}", folder.display()))?;
    }
    crate::atomic::write(path, text.as_bytes())
}
