//! From results of cells to the statements of a sweep: means over seeds, what beats what, and what is within noise.
//!
//! The score that decides is the linear probe, or k-NN where no probe was trained; all scores of a cell are those of the
//! run's own pooling, trained encoder and baselines alike.

use super::claims::{Claim, claims};
use super::result::{CellResult, Measured, Outcome};
use super::statistic::{Difference, Statistic, Verdict, difference};
use super::{Cell, execute::RAW_PIXELS};
use crate::eval::curve::Axis;
use crate::eval::embedder::Role;
use crate::eval::evaluation::Row;
use serde::Serialize;

/// One setting over its seeds. Scores are shares, 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SettingSummary {
    /// As people read it.
    pub setting: String,
    /// Axis and value.
    pub values: Vec<(String, String)>,
    /// Seeds that were measured.
    pub seeds: Vec<u64>,
    /// Linear probe of the trained encoder.
    pub probe: Option<Statistic>,
    /// k-NN of the trained encoder.
    pub knn: Option<Statistic>,
    /// The deciding score of the better untrained encoder (zero or random gates) of each seed.
    pub untrained: Option<Statistic>,
    /// The deciding score of the best form of PCA latents with the run's pooling or flat.
    pub pca: Option<Statistic>,
    /// The deciding score of raw pixels.
    pub pixels: Option<Statistic>,
    /// Mean loss of the first interval, and of the last.
    pub loss: Option<(f64, f64)>,
    /// True when the loss fell in every seed; absent where it was not measured.
    pub loss_fell: Option<bool>,
    /// Trained minus untrained.
    pub over_untrained: Option<Difference>,
    /// Best setting minus this one; absent for the best itself.
    pub below_best: Option<Difference>,
    /// The deciding score over t, when asked for: input ("clean", "noised"), t, score.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub over_t: Vec<(String, u16, Statistic)>,
    /// Trainable values, of the first seed.
    pub parameters: Option<usize>,
    /// Mean seconds of a cell.
    pub seconds: Option<f64>,
}

impl SettingSummary {
    /// The deciding score.
    pub fn score(&self) -> Option<&Statistic> {
        self.probe.as_ref().or(self.knn.as_ref())
    }
}

/// A cell that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The cell.
    pub cell: String,
    /// Why.
    pub error: String,
    /// What to do.
    pub hint: Option<String>,
}

/// Everything a sweep says.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    /// Name of the grid.
    pub name: String,
    /// The source of the pictures.
    pub data: String,
    /// How the scores came about.
    pub protocol: String,
    /// "linear probe" or "k-NN": the score that decides.
    pub score: &'static str,
    /// Cells of the whole sweep, and of those how many were measured.
    pub cells: usize,
    /// Cells with a measurement.
    pub measured: usize,
    /// Cells without any result yet.
    pub missing: usize,
    /// In the order of the grid.
    pub settings: Vec<SettingSummary>,
    /// Index of the best setting.
    pub best: Option<usize>,
    /// The paper's qualitative claims, where the sweep has the settings for them.
    pub claims: Vec<Claim>,
    /// Cells that failed.
    pub failed: Vec<Failure>,
}

/// Sums up the results of `cells`.
pub fn summarise(name: &str, data: &str, protocol: &str, cells: &[Cell], results: &[CellResult]) -> Summary {
    let mut order: Vec<&Cell> = Vec::new();
    for cell in cells {
        if order.iter().all(|c| c.setting != cell.setting) {
            order.push(cell);
        }
    }
    let mut settings: Vec<SettingSummary> = order.iter().map(|cell| setting(cell, results)).collect();
    let score = |s: &SettingSummary| s.score().map(|s| s.mean);
    let best = (0..settings.len())
        .filter(|&i| score(&settings[i]).is_some())
        // The first of equals.
        .reduce(|a, b| if score(&settings[b]) > score(&settings[a]) { b } else { a });
    if let Some(best) = best.and_then(|i| settings[i].score().copied().map(|s| (i, s))) {
        for (i, s) in settings.iter_mut().enumerate().filter(|(i, _)| *i != best.0) {
            debug_assert_ne!(i, best.0);
            s.below_best = s.score().map(|own| difference(&best.1, own));
        }
    }
    let failed: Vec<Failure> = results
        .iter()
        .filter_map(|r| match &r.outcome {
            Outcome::Failed { error, hint } => {
                Some(Failure { cell: r.cell.clone(), error: error.clone(), hint: hint.clone() })
            }
            Outcome::Done(_) => None,
        })
        .collect();
    Summary {
        name: name.to_owned(),
        data: data.to_owned(),
        protocol: protocol.to_owned(),
        score: if settings.iter().any(|s| s.probe.is_some()) { "linear probe" } else { "k-NN" },
        cells: cells.len(),
        measured: results.len() - failed.len(),
        missing: cells.len() - results.len(),
        claims: claims(&settings),
        settings,
        best,
        failed,
    }
}

fn setting(cell: &Cell, results: &[CellResult]) -> SettingSummary {
    let of_setting = results.iter().filter(|r| r.setting == cell.setting);
    let runs: Vec<(u64, &Measured)> = of_setting.filter_map(|r| r.measured().map(|m| (r.seed, m))).collect();
    let statistic = |f: &dyn Fn(&Measured) -> Option<f64>| {
        Statistic::of(&runs.iter().filter_map(|(_, m)| f(m)).collect::<Vec<_>>())
    };
    let mean = |f: &dyn Fn(&Measured) -> Option<f64>| statistic(f).map(|s| s.mean);
    let (probe, knn) = (statistic(&|m| trained(m)?.probe), statistic(&|m| Some(trained(m)?.knn)));
    let untrained = statistic(&|m| best_baseline(m, |r| r.embedding.starts_with("untrained")));
    let score = probe.or(knn);
    SettingSummary {
        setting: cell.setting.clone(),
        values: cell.values.clone(),
        seeds: runs.iter().map(|r| r.0).collect(),
        probe,
        knn,
        pca: statistic(&|m| best_baseline(m, |r| r.embedding.starts_with("PCA"))),
        pixels: statistic(&|m| best_baseline(m, |r| r.embedding == RAW_PIXELS)),
        loss: mean(&|m| Some(m.loss?.0)).zip(mean(&|m| Some(m.loss?.1))),
        loss_fell: runs.iter().map(|(_, m)| m.loss.map(|(a, b)| b < a)).reduce(|a, b| Some(a? && b?)).flatten(),
        over_untrained: score.zip(untrained).map(|(own, other)| difference(&own, &other)),
        untrained,
        below_best: None,
        over_t: over_t(&runs),
        parameters: runs.first().map(|(_, m)| m.parameters),
        seconds: mean(&|m| Some(m.seconds)),
    }
}

/// Means over seeds of every point of the curves over t.
fn over_t(runs: &[(u64, &Measured)]) -> Vec<(String, u16, Statistic)> {
    let points = || {
        let of = |(_, m): &(u64, &'_ Measured)| {
            m.curves.iter().filter(|c| c.axis == Axis::T).flat_map(|c| c.points.clone()).collect::<Vec<_>>()
        };
        runs.iter().flat_map(of)
    };
    let mut places: Vec<(String, u16)> = points().map(|p| (p.input, p.at)).collect();
    places.sort();
    places.dedup();
    let statistic = |(input, at): (String, u16)| {
        let scores: Vec<f64> = points().filter(|p| p.input == input && p.at == at).map(|p| p.row.score()).collect();
        Statistic::of(&scores).map(|s| (input, at, s))
    };
    places.into_iter().filter_map(statistic).collect()
}

fn trained(measured: &Measured) -> Option<&Row> {
    measured.rows.iter().find(|r| r.role == Role::Trained)
}

/// The best deciding score among the baselines that are `wanted`.
fn best_baseline(measured: &Measured, wanted: impl Fn(&Row) -> bool) -> Option<f64> {
    let baselines = measured.rows.iter().filter(|r| r.role == Role::Baseline && wanted(r));
    baselines.map(Row::score).reduce(f64::max)
}

impl Summary {
    /// The statements, one a line: the best, what is within noise of it, what does not beat its untrained encoder, whose loss
    /// did not fall, what failed and what is missing.
    pub fn statements(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let percent = |share: f64| format!("{:.2}", 100.0 * share);
        if let Some((best, score)) = self.best.and_then(|i| self.settings[i].score().map(|s| (&self.settings[i], s))) {
            let deviation = score.deviation.map_or(String::new(), |d| format!(" ± {}", percent(d)));
            lines.push(format!("best: {}, {} {}{deviation} %", best.setting, self.score, percent(score.mean)));
            let compared = |verdict: Verdict| {
                let of = |s: &&SettingSummary| s.below_best.is_some_and(|d| d.verdict == verdict);
                let word = |s: &SettingSummary| {
                    let d = s.below_best.expect("filtered for it");
                    let noise = d.noise.map_or(String::new(), |n| format!(", noise {}", percent(n)));
                    format!("{} ({}{noise})", s.setting, percent(-d.value))
                };
                self.settings.iter().filter(of).map(word).collect::<Vec<_>>().join("; ")
            };
            let mut say = |what: &str, text: String| {
                if !text.is_empty() {
                    lines.push(format!("{what}: {text}"));
                }
            };
            say("within noise of the best", compared(Verdict::WithinNoise));
            say("below the best", compared(Verdict::Above));
            say("behind the best by, one seed, no noise estimate, so no claim", compared(Verdict::OneSeed));
        }
        let settings = |wanted: &dyn Fn(&SettingSummary) -> bool| -> String {
            self.settings.iter().filter(|s| wanted(s)).map(|s| s.setting.clone()).collect::<Vec<_>>().join("; ")
        };
        let verdict = |s: &SettingSummary| s.over_untrained.map(|d| (d.verdict, d.value > 0.0));
        let mut say = |what: &str, text: String| {
            if !text.is_empty() {
                lines.push(format!("{what}: {text}"));
            }
        };
        say("does NOT beat its untrained encoder", settings(&|s| verdict(s).is_some_and(|v| v.0 == Verdict::Below)));
        say(
            "within noise of its untrained encoder",
            settings(&|s| verdict(s).is_some_and(|v| v.0 == Verdict::WithinNoise)),
        );
        say("not above its untrained encoder (one seed)", settings(&|s| verdict(s) == Some((Verdict::OneSeed, false))));
        say("loss did NOT fall", settings(&|s| s.loss_fell == Some(false)));
        say(
            "too few intervals to say whether the loss fell",
            settings(&|s| !s.seeds.is_empty() && s.loss_fell.is_none()),
        );
        lines.extend(self.claims.iter().map(Claim::to_string));
        for f in &self.failed {
            let hint = f.hint.as_ref().map_or(String::new(), |h| format!(" ({h})"));
            lines.push(format!("failed: {}: {}{hint}", f.cell, f.error));
        }
        if self.missing > 0 {
            lines.push(format!("{} of {} cells have no result yet", self.missing, self.cells));
        }
        lines
    }
}
