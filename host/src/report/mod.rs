//! The self-contained HTML page of a run, and its model card.
//!
//! [`Material`] is what a report is made of; [`collect`] fills it from a run directory (and, where there is one, the data set);
//! each section is a pure function from the material to HTML. The page has no script and fetches nothing. Whatever is not
//! there becomes a sentence that says which command makes it.

mod card;
mod collect;
mod curves;
mod embedding;
mod evaluation;
mod facts;
mod headline;
mod material;
pub(crate) mod page;
mod parity;
mod picture;
mod pictures;
pub(crate) mod plot;
pub(crate) mod ranking;

pub use collect::collect;
pub use material::{Basis, Embedded, Material, Reconstructions};
pub use picture::Picture;

use crate::Result;
use std::path::Path;

/// The page as HTML.
///
/// # Errors
/// A picture of the material does not have the size it says.
pub fn html(material: &Material) -> Result<String> {
    let sections = [
        headline::section(material),
        evaluation::section(material),
        curves::section(material),
        pictures::reconstructions(material)?,
        pictures::samples(material)?,
        pictures::basis(material)?,
        embedding::neighbours(material)?,
        embedding::map(material)?,
        parity::float_integer(material),
        parity::verify(material),
        facts::configuration(material),
        facts::provenance(material),
    ];
    Ok(page::page(&format!("ldae report: {}", material.run), &sections))
}

/// Writes the page to `page` and the model card to `card`, each atomically.
///
/// # Errors
/// A file cannot be written.
pub fn write(material: &Material, page: &Path, card: &Path) -> Result<()> {
    material::write_text(page, &html(material)?)?;
    material::write_text(card, &card::card(material))
}

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;
