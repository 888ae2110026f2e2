//! What must hold on any natural-image set (METHOD.md, end of section 2), checked wherever a sweep has the settings for it:
//! latent noise beats pixel noise, the rank curve has an inner maximum, several noise levels beat one, a deeper or wider encoder
//! helps, probing at small t beats large t. Differences are judged by [`super::statistic`]; one seed judges nothing.

use super::statistic::{Statistic, Verdict, difference};
use super::summary::SettingSummary;
use serde::Serialize;
use std::fmt;

/// Time steps up to this count as small: the largest of paper A's table.
const SMALL_T: u16 = 80;

/// A claim on two settings (or two points), the first of which should be above.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Claim {
    /// In words.
    pub claim: &'static str,
    /// What was compared.
    pub compared: String,
    /// First minus second; for an inner maximum the smaller of its distances to the ends.
    pub value: f64,
    /// What counts as noise, where it is known.
    pub noise: Option<f64>,
    /// Above: it holds. Below: it does not.
    pub verdict: Verdict,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.verdict {
            Verdict::Above => "holds",
            Verdict::Below => "does not hold",
            Verdict::WithinNoise => "within noise",
            Verdict::OneSeed => "one seed, no noise estimate",
        };
        let noise = self.noise.map_or(String::new(), |n| format!(", noise {:.2}", 100.0 * n));
        write!(f, "claim: {}: {word} ({}: {:+.2}{noise})", self.claim, self.compared, 100.0 * self.value)
    }
}

/// Every claim that these settings can check.
pub fn claims(settings: &[SettingSummary]) -> Vec<Claim> {
    let mut found = Vec::new();
    for (claim, better, worse) in [
        ("latent noise beats pixel noise", "l-dae", "dae-pixel"),
        ("several noise levels beat one", "l-dae", "l-dae-single-sigma"),
    ] {
        found.extend(pairs(settings, "recipe").filter(|p| (p.0, p.1) == (better, worse)).filter_map(|(_, _, a, b)| {
            compare(claim, format!("{} against {}", a.setting, b.setting), a.score()?, b.score()?)
        }));
    }
    for (claim, axis) in [("a deeper encoder helps", "depth"), ("a wider encoder helps", "width")] {
        found.extend(curves(settings, axis).into_iter().filter_map(|curve| {
            let ((_, low), (_, high)) = (curve.first()?, curve.last()?);
            compare(claim, format!("{} against {}", high.setting, low.setting), high.score()?, low.score()?)
        }));
    }
    found.extend(curves(settings, "rank").into_iter().filter_map(|curve| inner_maximum(&curve)));
    found.extend(settings.iter().filter_map(small_t));
    found
}

fn compare(claim: &'static str, compared: String, a: &Statistic, b: &Statistic) -> Option<Claim> {
    let d = difference(a, b);
    Some(Claim { claim, compared, value: d.value, noise: d.noise, verdict: d.verdict })
}

fn value<'a>(s: &'a SettingSummary, axis: &str) -> Option<&'a str> {
    s.values.iter().find(|v| v.0 == axis).map(|v| v.1.as_str())
}

/// True when two settings differ along `axis` at most.
fn same_but_for(axis: &str, a: &SettingSummary, b: &SettingSummary) -> bool {
    a.values.iter().zip(&b.values).all(|(x, y)| x.0 == axis || x == y)
}

/// All ordered pairs that differ along `axis` only: their two values, and themselves.
fn pairs<'a>(
    settings: &'a [SettingSummary],
    axis: &'a str,
) -> impl Iterator<Item = (&'a str, &'a str, &'a SettingSummary, &'a SettingSummary)> {
    settings.iter().flat_map(move |a| {
        settings
            .iter()
            .filter(move |b| same_but_for(axis, a, b))
            .filter_map(move |b| Some((value(a, axis)?, value(b, axis)?, a, b)))
    })
}

/// The settings along a numeric axis, for every combination of the other axes, from the smallest value up.
fn curves<'a>(settings: &'a [SettingSummary], axis: &str) -> Vec<Vec<(f64, &'a SettingSummary)>> {
    let mut curves: Vec<Vec<(f64, &SettingSummary)>> = Vec::new();
    for s in settings {
        let Some(x) = value(s, axis).and_then(|v| v.parse().ok()) else { continue };
        match curves.iter_mut().find(|c| same_but_for(axis, c[0].1, s)) {
            Some(curve) => curve.push((x, s)),
            None => curves.push(vec![(x, s)]),
        }
    }
    for curve in &mut curves {
        curve.sort_by(|a, b| a.0.total_cmp(&b.0));
    }
    curves.retain(|c| c.len() > 1);
    curves
}

/// Whether the best inner point is above both ends: the less certain of the two comparisons decides.
fn inner_maximum(curve: &[(f64, &SettingSummary)]) -> Option<Claim> {
    let [(_, low), inner @ .., (_, high)] = curve else { return None };
    let mean = |s: &SettingSummary| s.score().map(|s| s.mean);
    let best =
        inner.iter().map(|p| p.1).filter(|s| mean(s).is_some()).reduce(|a, b| if mean(b) > mean(a) { b } else { a })?;
    let margin = |end: &SettingSummary| {
        let compared = format!("{} against the ends, closest {}", best.setting, end.setting);
        compare("the rank curve has an inner maximum", compared, best.score()?, end.score()?)
    };
    let (a, b) = (margin(low)?, margin(high)?);
    Some(if a.value <= b.value { a } else { b })
}

/// The best small t against the largest t of the curve, on clean pictures.
fn small_t(s: &SettingSummary) -> Option<Claim> {
    let clean = || s.over_t.iter().filter(|p| p.0 == "clean");
    let small = clean().filter(|p| p.1 <= SMALL_T).reduce(|a, b| if b.2.mean > a.2.mean { b } else { a })?;
    let large = clean().max_by_key(|p| p.1).filter(|p| p.1 > SMALL_T)?;
    let compared = format!("{}, t = {} against {}", s.setting, small.1, large.1);
    compare("probing at small t beats large t", compared, &small.2, &large.2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(values: &[(&str, &str)], scores: &[f64]) -> SettingSummary {
        SettingSummary {
            setting: values.iter().map(|v| v.1).collect::<Vec<_>>().join(" "),
            values: values.iter().map(|(a, v)| ((*a).to_owned(), (*v).to_owned())).collect(),
            seeds: vec![1, 2],
            probe: Statistic::of(scores),
            knn: None,
            untrained: None,
            pca: None,
            pixels: None,
            loss: None,
            loss_fell: None,
            over_untrained: None,
            below_best: None,
            over_t: Vec::new(),
            parameters: None,
            seconds: None,
        }
    }

    fn said(settings: &[SettingSummary]) -> Vec<(&'static str, Verdict)> {
        claims(settings).into_iter().map(|c| (c.claim, c.verdict)).collect()
    }

    #[test]
    fn recipes_are_compared_within_the_same_other_values() {
        let at = |recipe, patch, scores: &[f64]| setting(&[("patch", patch), ("recipe", recipe)], scores);
        let settings = [
            at("l-dae", "4", &[0.50, 0.51]),
            at("dae-pixel", "4", &[0.50, 0.52]),
            at("l-dae", "16", &[0.50, 0.51]),
            at("dae-pixel", "16", &[0.30, 0.31]),
            at("l-dae-single-sigma", "16", &[0.60]),
        ];
        assert_eq!(
            said(&settings),
            [
                ("latent noise beats pixel noise", Verdict::WithinNoise),
                ("latent noise beats pixel noise", Verdict::Above),
                ("several noise levels beat one", Verdict::OneSeed)
            ]
        );
        let text = claims(&settings)[1].to_string();
        // Deviations 0.00707: noise 2·sqrt(2·0.00005/2) = 0.01414.
        assert_eq!(
            text,
            "claim: latent noise beats pixel noise: holds (16 l-dae against 16 dae-pixel: +20.00, noise 1.41)"
        );
    }

    #[test]
    fn an_inner_maximum_is_above_both_ends() {
        let curve = |scores: [f64; 4]| -> Vec<SettingSummary> {
            let ranks = ["128", "8", "16", "64"].into_iter();
            ranks.zip(scores).map(|(k, s)| setting(&[("rank", k)], &[s, s + 0.001])).collect()
        };
        // In the order 128, 8, 16, 64: the axis is sorted as numbers.
        assert_eq!(said(&curve([0.3, 0.2, 0.4, 0.35]))[0].1, Verdict::Above);
        assert_eq!(said(&curve([0.5, 0.2, 0.4, 0.35]))[0].1, Verdict::Below);
        assert_eq!(said(&curve([0.4, 0.2, 0.4, 0.35]))[0].1, Verdict::WithinNoise);
        assert!(claims(&curve([0.3, 0.2, 0.4, 0.35]))[0].compared.contains("16 against the ends, closest 128"));
    }

    #[test]
    fn depth_and_t() {
        let mut settings = [setting(&[("depth", "12")], &[0.5, 0.51]), setting(&[("depth", "4")], &[0.4, 0.41])];
        let point = |input: &str, t, score: f64| (input.to_owned(), t, Statistic::of(&[score, score + 0.01]).unwrap());
        settings[0].over_t = vec![
            point("clean", 10, 0.5),
            point("clean", 40, 0.6),
            point("clean", 640, 0.3),
            point("noised", 1000, 0.9),
        ];
        let found = claims(&settings);
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].claim, found[0].verdict), ("a deeper encoder helps", Verdict::Above));
        assert!(found[1].compared.contains("t = 40 against 640") && (found[1].value - 0.3).abs() < 1e-12);
        assert_eq!(said(&[setting(&[("rank", "8")], &[0.1])]), []);
    }
}
