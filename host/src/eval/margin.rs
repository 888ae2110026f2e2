//! By how much the trained encoder beats, or loses to, the best baseline with the same pooling: the one line that
//! decides whether training was worth it (METHOD.md section 4).

use super::embedder::Role;
use super::evaluation::Row;
use serde::Serialize;
use std::fmt;

/// One comparison of a trained row with the best baseline of its pooling.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Margin {
    /// The trained embedding.
    pub embedding: String,
    /// Its pooling.
    pub pooling: String,
    /// "linear probe", or "k-NN" where no probe was trained.
    pub score: &'static str,
    /// The best baseline with the same pooling.
    pub baseline: String,
    /// Trained minus baseline, as a share (0.01 is one point).
    pub margin: f64,
}

/// A margin for every trained row that has a baseline of the same pooling.
pub fn margins(rows: &[Row]) -> Vec<Margin> {
    rows.iter()
        .filter(|r| r.role == Role::Trained)
        .filter_map(|trained| {
            let same = rows.iter().filter(|r| r.role == Role::Baseline && r.pooling == trained.pooling);
            let best = same.max_by(|a, b| a.score().total_cmp(&b.score()))?;
            Some(Margin {
                embedding: trained.embedding.clone(),
                pooling: trained.pooling.clone(),
                score: if trained.probe.is_some() { "linear probe" } else { "k-NN" },
                baseline: best.embedding.clone(),
                margin: trained.score() - best.score(),
            })
        })
        .collect()
}

impl fmt::Display for Margin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.margin > 0.0 { "above" } else { "below" };
        write!(
            f,
            "{} is {:.2} points {word} the best baseline with pooling {} ({}; {})",
            self.embedding,
            100.0 * self.margin.abs(),
            self.pooling,
            self.baseline,
            self.score
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(embedding: &str, role: Role, pooling: &'static str, probe: f64) -> Row {
        Row {
            embedding: embedding.into(),
            role,
            pooling: pooling.into(),
            components: 1,
            train: 1,
            test: 1,
            knn: 0.0,
            probe: Some(probe),
            probe_deviation: Some(0.0),
            probe_seeds: vec![probe],
            learning_rate: Some(1e-3),
            precision: 0.0,
            average_precision: None,
            few_label: Vec::new(),
        }
    }

    #[test]
    fn the_best_baseline_of_the_same_pooling_counts() {
        let rows = [
            row("trained, float", Role::Trained, "mean", 0.50),
            row("untrained", Role::Baseline, "mean", 0.30),
            row("PCA", Role::Baseline, "mean", 0.52),
            row("pixels", Role::Baseline, "flat", 0.90),
            row("with labels", Role::Yardstick, "mean", 0.95),
            row("trained, integer", Role::Trained, "grid2x2", 0.40),
        ];
        let m = margins(&rows);
        assert_eq!((m.len(), m[0].baseline.as_str()), (1, "PCA"));
        assert!((m[0].margin + 0.02).abs() < 1e-12);
        assert_eq!(
            m[0].to_string(),
            "trained, float is 2.00 points below the best baseline with pooling mean (PCA; linear probe)"
        );
    }
}
