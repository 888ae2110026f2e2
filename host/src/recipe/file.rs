//! A recipe of one's own: a TOML file that names a recipe to start from (`base`, l-dae by default) and replaces parts.
//!
//! ```toml
//! base = "predict-clean"
//! tokenizer = "patch-ae"
//! schedule = "ddpm"
//! ```

use super::{Method, Recipe, named};
use crate::error::Context;
use crate::{Error, Result};
use std::path::Path;

/// Reads a recipe; its name is `name`, or the file's stem.
///
/// # Errors
/// The file is missing, names an unknown recipe or part, or its parts contradict each other.
pub fn from_file(path: &Path) -> Result<Recipe> {
    let text = std::fs::read_to_string(path).context(|| format!("cannot read the recipe {}", path.display()))?;
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    parse(&text, &stem).map_err(|e| Error::new(format!("{} is no recipe", path.display())).caused_by(e).hint(PARTS))
}

const PARTS: &str = "keys: base, name, and the parts of that recipe: tokenizer, schedule, input, target, labels, feed, \
    directional, encoder-sees, condition-dropout; mask-ratio of mae; temperature of moco-v3";

fn parse(text: &str, stem: &str) -> Result<Recipe> {
    let wrong = |e: toml::de::Error| Error::new(e.message().to_owned());
    let mut parts: toml::Table = toml::from_str(text).map_err(wrong)?;
    let mut word = |key: &str, default: &str| match parts.remove(key) {
        None => Ok(default.to_owned()),
        Some(toml::Value::String(value)) => Ok(value),
        Some(other) => Err(Error::new(format!("{key} is {other}, not a name"))),
    };
    let base = named(&word("base", "l-dae")?)?;
    let name = word("name", stem)?;
    let mut method = toml::Table::try_from(&base.method).context(|| "cannot write the recipe it starts from")?;
    method.extend(parts);
    let method: Method = method.try_into().map_err(wrong)?;
    let recipe = Recipe { name, method };
    recipe.check()?;
    Ok(recipe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{Schedule, Target, TokenizerKind};

    #[test]
    fn parts_replace_those_of_the_base() {
        let recipe = parse("base = \"predict-clean\"\ntokenizer = \"patch-ae\"\nschedule = \"ddpm\"", "mine").unwrap();
        let d = recipe.denoise().unwrap();
        assert_eq!((d.tokenizer, d.schedule, d.target), (TokenizerKind::PatchAe, Schedule::Ddpm, Target::CleanLatent));
        assert_eq!(recipe.name, "mine");
        let single = parse("schedule = { single = 0.3 }", "x").unwrap();
        assert_eq!(single.denoise().unwrap().schedule, Schedule::Single(0.3));
        assert_eq!(parse("base = \"mae\"\nmask-ratio = 0.5", "x").unwrap().name, "x");
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [
            "base = \"l-dea\"",
            "tokeniser = \"pixel\"",
            "tokenizer = \"patch-xy\"",
            "tokenizer = \"patch-ae\"",
            "base = 3",
            "feed = \"tokens\"\nencoder-sees = \"clean\"",
            "base = \"mae\"\nschedule = \"ddpm\"",
            "base = \"mae\"\nmask-ratio = 1.5",
            "schedule = { single = 9.0 }",
            "x",
        ] {
            assert!(parse(bad, "x").is_err(), "{bad}");
        }
    }
}
