//! The evaluation as text for a terminal: the table, probes with few labels, curves, margins, and what was not run.

use super::evaluation::Evaluation;
use super::few_label::FewLabel;
use std::fmt;

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = self.t.map(|t| format!(", t = {t}")).unwrap_or_default();
        let step = self.step.map(|s| format!(", step {s}")).unwrap_or_default();
        writeln!(f, "{} on {} ({} classes{step}{t})", self.source, self.dataset, self.classes)?;
        writeln!(f, "{}", self.protocol)?;
        let width = self.rows.iter().map(|r| r.embedding.len()).max().unwrap_or(0).max("embedding".len());
        writeln!(
            f,
            "  {:<width$}  {:<8}  {:>6}  {:>7}  {:>6}  {:>7}  {:>14}  {:>6}  {:>6}",
            "embedding", "pooling", "values", "train", "test", "k-NN %", "probe %", "P@k %", "mAP %"
        )?;
        for r in &self.rows {
            let average_precision = r.average_precision.map_or("-".into(), |p| format!("{:.2}", 100.0 * p));
            writeln!(
                f,
                "  {:<width$}  {:<8}  {:>6}  {:>7}  {:>6}  {:>7.2}  {:>14}  {:>6.2}  {average_precision:>6}",
                r.embedding,
                r.pooling,
                r.components,
                r.train,
                r.test,
                100.0 * r.knn,
                r.probe_text(),
                100.0 * r.precision
            )?;
        }
        for few in self.rows.iter().filter(|r| !r.few_label.is_empty()) {
            let at = |l: &FewLabel| {
                format!(
                    "{:.0} % of the labels ({}): {:.2} ± {:.2} %",
                    100.0 * l.share,
                    l.pictures,
                    100.0 * l.mean,
                    100.0 * l.deviation
                )
            };
            let shares: Vec<String> = few.few_label.iter().map(at).collect();
            writeln!(f, "  {:<width$}  {:<8}  {}", few.embedding, few.pooling, shares.join("; "))?;
        }
        if let Some(tuned) = &self.fine_tuned {
            writeln!(f, "  {tuned}")?;
        }
        for curve in &self.curves {
            write!(f, "{curve}")?;
        }
        for margin in &self.margins {
            writeln!(f, "  {margin}")?;
        }
        for n in &self.not_run {
            writeln!(f, "  {:<width$}  not run: {}", n.embedding, n.reason)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::embedder::Role;
    use crate::eval::evaluation::{NotRun, Protocol, Row, describe};

    #[test]
    fn the_table_lists_everything() {
        let row = Row {
            embedding: "raw pixels".into(),
            role: Role::Baseline,
            pooling: "flat".into(),
            components: 3072,
            train: 50_000,
            test: 10_000,
            knn: 0.439,
            probe: Some(0.401),
            probe_deviation: Some(0.0012),
            probe_seeds: vec![0.4, 0.401, 0.402],
            learning_rate: Some(4e-4),
            precision: 0.25,
            average_precision: None,
            few_label: Vec::new(),
        };
        let e = Evaluation {
            source: "run".into(),
            step: Some(100),
            dataset: "cifar10".into(),
            fingerprint: "00".into(),
            classes: 10,
            t: Some(10),
            protocol: describe(&Protocol::default()),
            rows: vec![row],
            margins: Vec::new(),
            not_run: vec![NotRun { embedding: "trained with labels".into(), reason: "--supervised".into() }],
            curves: Vec::new(),
            fine_tuned: None,
        };
        let text = e.to_string();
        assert!(
            text.contains("  raw pixels  flat        3072    50000   10000    43.90    40.10 ± 0.12   25.00       -\n"),
            "{text}"
        );
        assert!(text.contains("not run: --supervised") && text.contains("t = 10"), "{text}");
    }
}
