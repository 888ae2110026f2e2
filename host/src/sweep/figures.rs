//! The sweep as plots: a ranking of all settings with error bars, and a curve over every numeric axis.

use super::summary::{SettingSummary, Summary};
use crate::report::plot::{Plot, Series};
use crate::report::ranking::{Entry, Ranking};

/// A largest to smallest value above this ratio is drawn on a logarithmic axis (ranks 8 to 128, learning rates).
const LOG_RATIO: f64 = 8.0;

/// One dot a setting with its deviation over seeds, and the baselines as small marks, in the order of the grid.
pub fn ranking(s: &Summary) -> String {
    let percent = |v: f64| 100.0 * v;
    let entries = s
        .settings
        .iter()
        .map(|setting| {
            let score = setting.score();
            let baselines = [&setting.untrained, &setting.pca, &setting.pixels];
            let references = baselines.iter().enumerate().filter_map(|(i, b)| Some((i, percent(b.as_ref()?.mean))));
            Entry {
                name: setting.setting.clone(),
                value: score.map_or(f64::NAN, |s| percent(s.mean)),
                error: score.and_then(|s| s.deviation).map_or(0.0, percent),
                references: references.collect(),
            }
        })
        .collect();
    let label = format!("{}, % (bars: deviation over seeds)", s.score);
    Ranking { label, references: ["untrained", "PCA", "pixels"].map(str::to_owned).to_vec(), entries }.svg()
}

/// A curve for each axis whose values are all numbers: (axis, figure). One line for every combination of the other
/// axes; where there is one line only, the untrained encoder's stands beside it.
pub fn curves(s: &Summary) -> Vec<(String, String)> {
    let Some(first) = s.settings.first() else { return Vec::new() };
    (0..first.values.len())
        .filter_map(|axis| {
            let points: Option<Vec<(f64, &SettingSummary)>> =
                s.settings.iter().map(|s| Some((s.values[axis].1.parse().ok()?, s))).collect();
            let points = points?;
            let (low, high) = range(points.iter().map(|p| p.0));
            (high > low)
                .then(|| (first.values[axis].0.clone(), curve(s, axis, &points, low > 0.0 && high / low >= LOG_RATIO)))
        })
        .collect()
}

/// Clean and noised input over t for every setting, where it was measured: (setting, figure).
pub fn over_t(s: &Summary) -> Vec<(String, String)> {
    let of = |setting: &SettingSummary| {
        let inputs = ["clean", "noised"].map(|input| {
            let points = setting.over_t.iter().filter(|p| p.0 == input).map(|p| (f64::from(p.1), p.2));
            line(input, points)
        });
        let series: Vec<Series> = inputs.into_iter().filter(|s| !s.points.is_empty()).collect();
        let y_label = format!("{}, %", s.score);
        let size = (960.0, 240.0);
        let plot = Plot { x_label: "time step t".into(), y_label, log_x: false, log_y: false, size, series };
        (setting.setting.clone(), plot.svg())
    };
    s.settings.iter().filter(|s| !s.over_t.is_empty()).map(of).collect()
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)))
}

fn curve(s: &Summary, axis: usize, points: &[(f64, &SettingSummary)], log_x: bool) -> String {
    let others = |s: &SettingSummary| -> String {
        let rest = s.values.iter().enumerate().filter(|(i, _)| *i != axis);
        rest.map(|(_, (name, value))| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
    };
    let mut groups: Vec<(String, Vec<(f64, &SettingSummary)>)> = Vec::new();
    for &(x, setting) in points {
        let name = others(setting);
        match groups.iter_mut().find(|g| g.0 == name) {
            Some(group) => group.1.push((x, setting)),
            None => groups.push((name, vec![(x, setting)])),
        }
    }
    let alone = groups.len() == 1;
    let mut series = Vec::new();
    for (name, mut group) in groups {
        group.sort_by(|a, b| a.0.total_cmp(&b.0));
        let trained = group.iter().filter_map(|(x, s)| Some((*x, *s.score()?)));
        series.push(line(if alone { "trained" } else { &name }, trained));
        if alone {
            series.push(line("untrained", group.iter().filter_map(|(x, s)| Some((*x, s.untrained?)))));
        }
    }
    let x_label = s.settings[0].values[axis].0.clone();
    Plot { x_label, y_label: format!("{}, %", s.score), log_x, log_y: false, size: (960.0, 320.0), series }.svg()
}

fn line(name: &str, points: impl Iterator<Item = (f64, super::Statistic)>) -> Series {
    let (points, errors) = points.map(|(x, s)| ((x, 100.0 * s.mean), s.deviation.map_or(0.0, |d| 100.0 * d))).unzip();
    Series::line(name, points).with_errors(errors)
}
