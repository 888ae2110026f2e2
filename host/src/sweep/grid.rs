//! What is swept over: axes of option values, their product, and seeds.
//!
//! As a file (TOML):
//!
//! ```toml
//! seeds = [1, 2, 3]
//! [base]                      # options of `ldae train` for every cell
//! data = "photos/"
//! epochs = 10
//! [axes]                      # one option each; the grid is their product
//! rank = [16, 32, 64]
//! size = [{ width = 64 }, { width = 96, depth = 6 }]   # several options that change together
//! ```
//!
//! Axes are taken by name; the last one varies fastest.

use crate::error::Context;
use crate::train::TrainOptions;
use crate::{Error, Result};
use serde::Deserialize;
use std::path::Path;
use toml::{Table, Value};

/// One dimension of the grid.
#[derive(Clone, Debug, PartialEq)]
pub struct Axis {
    /// A long option of `ldae train`, or any name when the values are tables.
    pub name: String,
    /// Option values, or tables of options.
    pub values: Vec<Value>,
}

/// Axes and seeds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grid {
    /// "road", "ranks", or the stem of the file.
    pub name: String,
    /// Dimensions; none is a grid of one setting.
    pub axes: Vec<Axis>,
    /// Seeds of each setting; empty for the caller's choice.
    pub seeds: Vec<u64>,
}

/// One point of the grid: how it is called, and its options.
#[derive(Clone, Debug)]
pub struct Point {
    /// Axis and value as text, in the order of the axes.
    pub values: Vec<(String, String)>,
    /// The options that the axes set.
    pub options: TrainOptions,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    base: TrainOptions,
    #[serde(default)]
    axes: Table,
    #[serde(default)]
    seeds: Vec<u64>,
}

impl Grid {
    /// Reads a grid file: the grid, and the options of its `base`.
    ///
    /// # Errors
    /// The file is missing, has an unknown key, or an axis is no list.
    pub fn from_file(path: &Path) -> Result<(Grid, TrainOptions)> {
        let text = std::fs::read_to_string(path).context(|| format!("cannot read {}", path.display()))?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Self::parse(&name, &text).map_err(|e| {
            Error::new(format!("{} is no grid: {e}", path.display())).hint(
                "it has a list `seeds`, a table `base` of options of `ldae train`, and a table `axes` of lists: rank = [16, 32]",
            )
        })
    }

    fn parse(name: &str, text: &str) -> Result<(Grid, TrainOptions)> {
        let file: File = toml::from_str(text).map_err(|e| Error::new(e.message()))?;
        let axes = file
            .axes
            .into_iter()
            .map(|(name, values)| match values {
                Value::Array(values) if !values.is_empty() => Ok(Axis { name, values }),
                _ => Err(Error::new(format!("axis `{name}` is no list of values"))),
            })
            .collect::<Result<_>>()?;
        let grid = Grid { name: name.to_owned(), axes, seeds: file.seeds };
        grid.points()?;
        Ok((grid, file.base))
    }

    /// All points, the last axis varying fastest.
    ///
    /// # Errors
    /// An axis sets an unknown option, sets it to something impossible, or two axes set the same one.
    pub fn points(&self) -> Result<Vec<Point>> {
        let mut points = vec![(Vec::new(), Table::new())];
        for axis in &self.axes {
            let mut next = Vec::with_capacity(points.len() * axis.values.len());
            for (values, options) in &points {
                for value in &axis.values {
                    let (mut values, mut options) = (values.clone(), options.clone());
                    for (key, value) in settings(&axis.name, value) {
                        if options.insert(key.clone(), value).is_some() {
                            return Err(Error::new(format!("two axes set `{key}`")));
                        }
                    }
                    values.push((axis.name.clone(), label(value)));
                    next.push((values, options));
                }
            }
            points = next;
        }
        points.into_iter().map(|(values, table)| Ok(Point { values, options: options(table)? })).collect()
    }
}

/// The options that one value of an axis sets.
fn settings(axis: &str, value: &Value) -> Table {
    match value {
        Value::Table(several) => several.clone(),
        one => Table::from_iter([(axis.to_owned(), one.clone())]),
    }
}

fn options(table: Table) -> Result<TrainOptions> {
    if table.contains_key("seed") {
        return Err(Error::new("`seed` is no axis").hint("seeds are set by the list `seeds`, or --seeds"));
    }
    let keys = table.keys().cloned().collect::<Vec<_>>().join(", ");
    Value::Table(table).try_into().map_err(|e: toml::de::Error| {
        Error::new(format!("the axes ({keys}) are no options of `ldae train`: {}", e.message()))
            .hint("axes are named by long options without the dashes, for instance `mlp-ratio = [2, 3]`")
    })
}

/// A value as text: "32", "l-dae", "depth 6, width 96".
fn label(value: &Value) -> String {
    match value {
        Value::String(s) => s.clone(),
        Value::Table(t) => t.iter().map(|(k, v)| format!("{k} {}", label(v))).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_is_the_product_of_its_axes() {
        let text = "seeds = [1, 2]\n[base]\ndata = \"drawn\"\n[axes]\nrank = [16, 32]\nsize = [{ width = 64 }, { width = 96, depth = 6 }]";
        let (grid, base) = Grid::parse("x", text).unwrap();
        assert_eq!((grid.seeds.as_slice(), base.data.as_deref()), (&[1, 2][..], Some("drawn")));
        let points = grid.points().unwrap();
        let set: Vec<_> = points.iter().map(|p| (p.options.rank, p.options.width, p.options.depth)).collect();
        assert_eq!(
            set,
            [
                (Some(16), Some(64), None),
                (Some(16), Some(96), Some(6)),
                (Some(32), Some(64), None),
                (Some(32), Some(96), Some(6))
            ]
        );
        let name = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(points[3].values, [name("rank", "32"), name("size", "depth 6, width 96")]);
    }

    #[test]
    fn refuses_what_no_cell_could_train() {
        for bad in [
            "[axes]\nrank = 3",
            "[axes]\nrank = []",
            "[axes]\nheight = [3]",
            "[axes]\nrank = [\"many\"]",
            "[axes]\nseed = [1, 2]",
            "[axes]\nrank = [1]\nmore = [{ rank = 2 }]",
            "[base]\nheight = 3",
            "other = 1",
        ] {
            assert!(Grid::parse("x", bad).is_err(), "{bad}");
        }
        assert_eq!(Grid::parse("x", "").unwrap().0.points().unwrap().len(), 1);
        let error = Grid::from_file(Path::new("no/such/grid.toml")).unwrap_err();
        assert!(error.to_string().contains("no/such/grid.toml"), "{error}");
    }
}
