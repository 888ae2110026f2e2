//! The few numbers at the top of the page and the card.

use super::curves::series;
use super::material::Material;
use super::page::{Section, headline, missing};
use serde_json::Value;

/// Label and value of each number that is known.
pub fn numbers(material: &Material) -> Vec<(String, String)> {
    let mut out = Vec::new();
    let mut push = |label: &str, value: Option<String>| {
        if let Some(value) = value {
            out.push((label.to_owned(), value));
        }
    };
    if let Ok(metrics) = &material.metrics {
        let loss = series(metrics, "loss");
        push("last loss", loss.last().map(|p| format!("{:.4}", p.1)));
        push("optimiser steps", loss.last().map(|p| format!("{}", p.0)));
        let best = series(metrics, "knn").into_iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
        push("best k-NN in training", best.is_finite().then(|| format!("{best:.2} %")));
    }
    if let Ok(q) = &material.quality {
        let number = |path: &str| q.pointer(path).and_then(Value::as_f64);
        push("k-NN float", number("/knn_float").map(|v| format!("{v:.2} %")));
        push("k-NN integer", number("/knn_int").map(|v| format!("{v:.2} %")));
        push("integer cosine, 5 % quantile", number("/cosine_q05").map(|v| format!("{v:.5}")));
    }
    if let Some((_, bytes, _)) = material.artifacts.first() {
        push("artifact", Some(format!("{:.1} KB", *bytes as f64 / 1024.0)));
    }
    if let Ok(v) = &material.verify {
        let words = |equal| if equal { "bit for bit" } else { "NO" }.to_owned();
        push("devices agree", super::parity::all_equal(v).map(words));
    }
    out
}

/// The first section.
pub fn section(material: &Material) -> Section {
    let numbers = numbers(material);
    let body = if numbers.is_empty() { missing("no numbers yet: run `ldae train`") } else { headline(&numbers) };
    Section { id: "summary", title: "Summary", body }
}
