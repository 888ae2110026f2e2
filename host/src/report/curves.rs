//! Loss, k-NN accuracy and the collapse monitor over training, from metrics.jsonl.

use super::material::Material;
use super::page::{Section, figure, missing};
use super::plot::{Plot, Series};
use serde_json::Value;
use std::fmt::Write;

/// Longer series are drawn as means of equal runs of points: more could not be told apart on the page.
const MAX_POINTS: usize = 500;

/// (step, value) of the lines that hold a finite number under `key`.
pub fn series(metrics: &[Value], key: &str) -> Vec<(f64, f64)> {
    let number = |line: &Value, k: &str| line.get(k).and_then(Value::as_f64).filter(|v| v.is_finite());
    metrics.iter().filter_map(|line| Some((number(line, "step")?, number(line, key)?))).collect()
}

/// Means over runs of points so that at most [`MAX_POINTS`] remain.
fn thin(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let run = points.len().div_ceil(MAX_POINTS).max(1);
    let mean = |c: &[(f64, f64)]| {
        let n = c.len() as f64;
        (c.iter().map(|p| p.0).sum::<f64>() / n, c.iter().map(|p| p.1).sum::<f64>() / n)
    };
    points.chunks(run).map(mean).collect()
}

fn plot(label: &str, points: Vec<(f64, f64)>, log_y: bool, size: (f64, f64)) -> String {
    let series = vec![Series::line("", points)];
    Plot { x_label: "optimiser step".into(), y_label: label.into(), log_x: false, log_y, size, series }.svg()
}

/// Training curves.
pub fn section(material: &Material) -> Section {
    let body = match &material.metrics {
        Ok(metrics) => curves(metrics),
        Err(reason) => missing(reason),
    };
    Section { id: "training", title: "Training", body }
}

fn curves(metrics: &[Value]) -> String {
    let mut body = String::new();
    let loss = series(metrics, "loss");
    if loss.is_empty() {
        body.push_str(&missing("no loss in metrics.jsonl yet: the run has not finished its first interval"));
    } else {
        let drawn = thin(&loss);
        let caption = format!(
            "Training loss, METHOD.md section 1: residual-weighted squared error over the patch-PCA coefficients, weighted by \
             1/(1+sigma²). {} values{}.",
            loss.len(),
            if drawn.len() < loss.len() { format!(", drawn as {} means", drawn.len()) } else { String::new() }
        );
        body.push_str(&figure(&plot("loss", drawn.clone(), false, (960.0, 260.0)), &caption));
        let _ = write!(
            body,
            "<details><summary>The same on a logarithmic axis</summary>{}</details>",
            plot("loss", drawn, true, (960.0, 260.0))
        );
    }
    let knn = series(metrics, "knn");
    if knn.is_empty() {
        body.push_str(&missing(
            "no k-NN accuracy in metrics.jsonl: it needs a labelled data set and an evaluation schedule",
        ));
    } else {
        let best = knn.iter().fold((0.0, f64::MIN), |a, b| if b.1 > a.1 { *b } else { a });
        let caption = format!(
            "k-NN accuracy during training (labels are used here only, never by the training). Best {:.2} % at step {}.",
            best.1, best.0
        );
        let points = knn.clone();
        body.push_str(&figure(&plot("k-NN accuracy, %", points, false, (960.0, 220.0)), &caption));
    }
    body.push_str("<div class=\"columns\">");
    for (key, label, caption) in [
        ("lr", "learning rate", "Learning rate."),
        ("grad_norm", "gradient norm", "Global gradient norm before clipping."),
        (
            "embedding_std",
            "deviation",
            "Mean deviation of the embedding's components over pictures: zero means collapse.",
        ),
        ("effective_rank", "effective rank", "Effective rank of the embeddings: how many directions they really use."),
    ] {
        let points = thin(&series(metrics, key));
        if points.len() > 1 {
            body.push_str(&figure(&plot(label, points, false, (460.0, 180.0)), caption));
        }
    }
    body.push_str("</div>\n");
    body
}

/// A share (0 to 1) in percent.
pub fn percent(share: f64) -> String {
    format!("{:.2} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_tolerate_missing_and_unknown_fields() {
        let lines: Vec<Value> = [
            "{\"step\":1,\"loss\":2.0,\"new\":[1]}",
            "{\"step\":2,\"knn\":0.4}",
            "{\"loss\":1}",
            "{\"step\":3,\"loss\":null}",
        ]
        .iter()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
        assert_eq!(series(&lines, "loss"), [(1.0, 2.0)]);
        assert_eq!(series(&lines, "knn"), [(2.0, 0.4)]);
    }

    #[test]
    fn thinning_keeps_the_mean() {
        let points: Vec<(f64, f64)> = (0..2000).map(|i| (f64::from(i), f64::from(i % 7))).collect();
        let thinned = thin(&points);
        assert!(thinned.len() <= MAX_POINTS);
        let mean = |p: &[(f64, f64)]| p.iter().map(|v| v.1).sum::<f64>() / p.len() as f64;
        assert!((mean(&points) - mean(&thinned)).abs() < 1e-9);
    }
}
