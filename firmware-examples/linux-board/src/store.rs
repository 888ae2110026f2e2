//! Embeddings in a file: a NumPy matrix and, beside it, the names, one a line; as `ldae embed` writes them.

use crate::error::{Error, Result};
use ldae_shared::npy::{self, Type};
use ldae_shared::spec::CODE_UNIT;
use std::path::Path;

/// Embeddings in memory, row after row.
#[derive(Debug, Default)]
pub struct Set {
    pub names: Vec<String>,
    pub components: usize,
    pub values: Vec<f32>,
}

impl Set {
    /// Empty, for embeddings of `components` values.
    pub fn new(components: usize) -> Self {
        Set { components, ..Set::default() }
    }

    /// Appends one.
    pub fn push(&mut self, name: &str, embedding: &[f32]) {
        // A line feed in a name would shift every line after it.
        self.names.push(name.replace('\n', "?"));
        self.values.extend_from_slice(embedding);
    }

    /// Writes the matrix and the names.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut file = npy::header(Type::F32, self.names.len(), self.components);
        file.extend(self.values.iter().flat_map(|v| v.to_le_bytes()));
        let names: String = self.names.iter().map(|name| format!("{name}\n")).collect();
        replace(path, &file)?;
        replace(&path.with_extension("names.txt"), names.as_bytes())
    }

    /// Reads a matrix of floats or of codes, with its names.
    pub fn read(path: &Path) -> Result<Self> {
        let hint = "give a .npy file that --store or `ldae embed` wrote, with its .names.txt beside it";
        let read = |path: &Path| {
            std::fs::read(path).map_err(|e| Error::new(format!("cannot read {}: {e}", path.display())).hint(hint))
        };
        let unfit = |what: &str| Error::new(format!("{}: {what}", path.display())).hint(hint);
        let file = read(path)?;
        let (of, rows, components, bytes) = npy::read(&file).ok_or_else(|| unfit("not a matrix of embeddings"))?;
        let values = match of {
            Type::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect(),
            Type::I8 => bytes.iter().map(|b| f32::from(*b as i8) * CODE_UNIT).collect(),
        };
        let names = String::from_utf8_lossy(&read(&path.with_extension("names.txt"))?).into_owned();
        let names: Vec<String> = names.lines().map(str::to_owned).collect();
        if names.len() != rows {
            return Err(unfit(&format!("{rows} embeddings, but {} names", names.len())));
        }
        Ok(Set { names, components, values })
    }

    /// The `count` embeddings of largest cosine similarity to `query`, best first; of equals, the earlier one.
    pub fn neighbours(&self, query: &[f32], count: usize) -> Vec<(&str, f32)> {
        let rows = self.values.chunks_exact(self.components.max(1));
        let mut all: Vec<(usize, f32)> = rows.map(|row| cosine(query, row)).enumerate().collect();
        all.sort_by(|a, b| b.1.total_cmp(&a.1)); // stable
        all.into_iter().take(count).map(|(row, similarity)| (self.names[row].as_str(), similarity)).collect()
    }
}

/// 0 where one of the two is zero.
fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(*x) * f64::from(*y)).sum::<f64>();
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms > 0.0 { (dot(a, b) / norms) as f32 } else { 0.0 }
}

/// Writes beside the place and renames: a file is whole or absent.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    std::fs::write(&beside, bytes).and_then(|()| std::fs::rename(&beside, path)).map_err(|e| {
        Error::new(format!("cannot write {}: {e}", path.display())).hint("give a folder that exists and has room")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_stored_is_found_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("set.npy");
        let mut set = Set::new(2);
        for (name, row) in [("east", [2.0, 0.0]), ("north", [0.0, 3.0]), ("also\neast", [0.5, 0.0]), ("none", [0.0; 2])]
        {
            set.push(name, &row);
        }
        set.write(&path).unwrap();
        let set = Set::read(&path).unwrap();
        assert_eq!(set.neighbours(&[4.0, 0.0], 3), [("east", 1.0), ("also?east", 1.0), ("north", 0.0)]);
        assert_eq!(set.neighbours(&[4.0, 4.0], 9).len(), 4);
        std::fs::write(path.with_extension("names.txt"), "one\n").unwrap();
        assert!(Set::read(&path).unwrap_err().to_string().contains("4 embeddings, but 1 names"));
        std::fs::write(&path, "no matrix").unwrap();
        assert!(Set::read(&path).is_err());
    }

    #[test]
    fn codes_are_embeddings_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("codes.npy");
        let mut file = npy::header(Type::I8, 1, 2);
        file.extend([127u8, 129]);
        std::fs::write(&path, file).unwrap();
        std::fs::write(path.with_extension("names.txt"), "a\n").unwrap();
        assert_eq!(Set::read(&path).unwrap().values, [5.0, -5.0]);
    }
}
