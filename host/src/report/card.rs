//! The model card: what the encoder was trained on and how, what it reached, and what it is not for. Markdown.

use super::facts::{config_rows, provenance_rows};
use super::headline;
use super::material::Material;
use std::fmt::Write;

/// card.md of a run.
pub fn card(material: &Material) -> String {
    let mut out = format!("# Model card: {}\n\n", material.run);
    out.push_str(
        "A Vision Transformer encoder trained without labels as a latent denoising autoencoder (l-DAE, arXiv 2401.14404): it maps a \
         picture to one embedding for search, clustering, and small classifiers on top. Written by `ldae report`.\n",
    );
    section(&mut out, "Numbers", headline::numbers(material).into_iter().map(|(k, v)| [k, v]));
    section(&mut out, "Provenance", provenance_rows(material).into_iter().filter_map(pair));
    match &material.config {
        Ok(config) => section(&mut out, "Training configuration", config_rows(config).into_iter().filter_map(pair)),
        Err(reason) => {
            let _ = write!(out, "\n## Training configuration\n\n{reason}\n");
        }
    }
    out.push_str(
        "\n## Limits\n\n\
         * The encoder knows the kind of pictures it was trained on. Measure on your own before relying on it: `ldae eval`.\n\
         * No labels were used in training. Accuracies above come from a k-NN or a linear probe on held-out labelled pictures.\n\
         * Distances between embeddings carry the biases of the training pictures. It was not tested for recognising people, and is \
         not meant for that.\n\
         * Only the integer encoder is promised bit for bit across machines; float results may differ in the last digits.\n",
    );
    out
}

fn pair(row: Vec<String>) -> Option<[String; 2]> {
    row.try_into().ok()
}

fn section(out: &mut String, title: &str, rows: impl Iterator<Item = [String; 2]>) {
    let _ = write!(out, "\n## {title}\n\n| | |\n|---|---|\n");
    for [k, v] in rows {
        let cell = |s: &str| s.replace('|', "\\|").replace('\n', " ");
        let _ = writeln!(out, "| {} | {} |", cell(&k), cell(&v));
    }
}
