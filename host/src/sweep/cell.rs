//! One cell of a sweep: a setting with one seed, and the name of its run directory.

use super::grid::Grid;
use crate::recipe::TokenizerKind;
use crate::train::TrainOptions;
use crate::{Error, Result};

/// What one run of the sweep trains.
#[derive(Clone, Debug)]
pub struct Cell {
    /// Number in the sweep, from 0: shards deal by it.
    pub index: usize,
    /// Folder under OUT.
    pub name: String,
    /// The setting as people read it: "rank 32, lr 0.001".
    pub setting: String,
    /// Axis and value as text.
    pub values: Vec<(String, String)>,
    /// Seed of the run.
    pub seed: u64,
    /// All options, seed included.
    pub options: TrainOptions,
}

/// The cells of `grid` over `base` (an axis has precedence). The seed varies slowest, so that a sweep that is stopped
/// early has every setting with the first seeds.
///
/// # Errors
/// The grid is refused ([`Grid::points`]), or two cells have one name.
pub fn cells(grid: &Grid, base: &TrainOptions, seeds: &[u64]) -> Result<Vec<Cell>> {
    let points = grid.points()?;
    let mut cells: Vec<Cell> = Vec::with_capacity(points.len() * seeds.len());
    for &seed in seeds {
        for point in &points {
            let name = format!("{}_seed-{seed}", folder(&point.values));
            if cells.iter().any(|c| c.name == name) {
                return Err(Error::new(format!("two cells of the sweep are called {name}"))
                    .hint("give every value of an axis, and every seed, once"));
            }
            let mut options = TrainOptions { seed: Some(seed), ..point.options.clone().or(base.clone()) };
            // A rank for all cells is not for the recipes that noise whole patches.
            if point.options.rank.is_none() && options.recipe().is_ok_and(|r| r.tokenizer() == TokenizerKind::Pixel) {
                options.rank = None;
            }
            cells.push(Cell {
                index: cells.len(),
                name,
                setting: setting(&point.values),
                values: point.values.clone(),
                seed,
                options,
            });
        }
    }
    if cells.is_empty() {
        return Err(Error::new("the sweep has no cells").hint("give at least one seed and one value an axis"));
    }
    Ok(cells)
}

/// "rank 32, lr 0.001"; a recipe says what it is by itself.
fn setting(values: &[(String, String)]) -> String {
    let word = |(axis, value): &(String, String)| {
        if axis == "recipe" || value.contains(' ') { value.clone() } else { format!("{axis} {value}") }
    };
    match values {
        [] => "the one setting".to_owned(),
        values => values.iter().map(word).collect::<Vec<_>>().join(", "),
    }
}

/// Letters, digits, dots and dashes only.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '-' }).collect()
}

/// "rank-32_lr-0.001".
fn folder(values: &[(String, String)]) -> String {
    let word = |(axis, value): &(String, String)| {
        // A name never starts with a dot, and ".." never stands alone.
        let value = plain(value).trim_matches(['.', '-']).to_owned();
        if axis == "recipe" { value } else { format!("{}-{value}", plain(axis)) }
    };
    match values {
        [] => "cell".to_owned(),
        values => values.iter().map(word).collect::<Vec<_>>().join("_"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::Axis;

    fn grid(name: &str, values: &[&str]) -> Grid {
        let values = values.iter().map(|v| toml::Value::String((*v).to_owned())).collect();
        Grid { axes: vec![Axis { name: name.into(), values }], ..Grid::default() }
    }

    #[test]
    fn cells_are_named_and_the_seed_varies_slowest() {
        let base = TrainOptions { rank: Some(8), preset: Some("m".into()), ..TrainOptions::default() };
        let made = cells(&grid("preset", &["xs", "s"]), &base, &[3, 4]).unwrap();
        let names: Vec<&str> = made.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["preset-xs_seed-3", "preset-s_seed-3", "preset-xs_seed-4", "preset-s_seed-4"]);
        assert_eq!((made[2].index, made[2].setting.as_str()), (2, "preset xs"));
        let o = &made[3].options;
        assert_eq!((o.preset.as_deref(), o.rank, o.seed), (Some("s"), Some(8), Some(4)));
        assert_eq!(cells(&Grid::default(), &base, &[1]).unwrap()[0].name, "cell_seed-1");
    }

    #[test]
    fn a_rank_for_all_cells_leaves_whole_patches_whole() {
        let base = TrainOptions { rank: Some(8), ..TrainOptions::default() };
        let made = cells(&grid("recipe", &["l-dae", "dae-pixel"]), &base, &[1]).unwrap();
        assert_eq!(made.iter().map(|c| c.options.rank).collect::<Vec<_>>(), [Some(8), None]);
    }

    #[test]
    fn names_stay_inside_the_folder_and_are_not_shared() {
        let made = cells(&grid("data", &["../a b/c", "/etc"]), &TrainOptions::default(), &[1]).unwrap();
        assert_eq!(made[0].name, "data-a-b-c_seed-1");
        assert!(made.iter().all(|c| !c.name.contains('/')));
        assert!(cells(&grid("data", &["a b", "a/b"]), &TrainOptions::default(), &[1]).is_err());
        assert!(cells(&grid("data", &["a"]), &TrainOptions::default(), &[1, 1]).is_err());
        assert!(cells(&grid("data", &["a"]), &TrainOptions::default(), &[]).is_err());
    }
}
