//! Line, dot and bar plots as inline SVG: two axes with ticks and units, a grid, a legend. Nothing more.
//!
//! Colours come from the page's style sheet (classes through `var(--sN)`), so the same SVG is right in light, dark and print.

use super::page::escape;
use std::fmt::Write;

/// How a series is drawn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// Points joined by a line.
    Line,
    /// One dot a point; the shape changes after every eight series, the colour within them.
    Dots,
    /// One bar a point, from the bottom of the plot.
    Bars,
}

/// Points (x, y) of one thing; points that are not finite (or not positive on a logarithmic axis) are left out.
pub struct Series {
    /// In the legend; empty for none.
    pub name: String,
    /// (x, y)
    pub points: Vec<(f64, f64)>,
    /// Half the length of each point's error bar, in units of y; shorter than `points` or 0 for none.
    pub errors: Vec<f64>,
    /// Drawn as.
    pub mark: Mark,
}

impl Series {
    /// Points without error bars.
    pub fn new(name: &str, points: Vec<(f64, f64)>, mark: Mark) -> Self {
        Series { name: name.to_owned(), points, errors: Vec::new(), mark }
    }

    /// A line with a name.
    pub fn line(name: &str, points: Vec<(f64, f64)>) -> Self {
        Series::new(name, points, Mark::Line)
    }

    /// The same with error bars.
    pub fn with_errors(self, errors: Vec<f64>) -> Self {
        Series { errors, ..self }
    }

    /// Lower and upper end of each error bar.
    fn ends(&self) -> impl Iterator<Item = [(f64, f64); 2]> {
        let bars = self.points.iter().zip(&self.errors).filter(|(_, e)| **e != 0.0);
        bars.map(|(p, e)| [(p.0, p.1 - e), (p.0, p.1 + e)])
    }
}

/// A plot; labels say the unit.
pub struct Plot {
    /// Under the horizontal axis.
    pub x_label: String,
    /// Above the vertical axis.
    pub y_label: String,
    /// Logarithmic horizontal axis.
    pub log_x: bool,
    /// Logarithmic vertical axis.
    pub log_y: bool,
    /// Width and height in pixels.
    pub size: (f64, f64),
    /// What is drawn, first to last.
    pub series: Vec<Series>,
}

/// Margins in pixels: left (tick labels), right, top (axis label), bottom (ticks and label).
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 24.0;
const BOTTOM: f64 = 40.0;
/// Number of colours in the style sheet.
const COLOURS: usize = 8;

/// A range of values mapped to a range of pixels.
pub(crate) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
    log: bool,
}

impl Scale {
    pub(crate) fn new(values: impl Iterator<Item = f64>, from: f64, to: f64, log: bool, with_zero: bool) -> Self {
        let (mut low, mut high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        if low > high {
            (low, high) = (1.0, 2.0);
        }
        if log {
            return Scale {
                low: low.log10() - 0.02,
                high: (high.log10() + 0.02).max(low.log10() + 0.1),
                from,
                to,
                log,
            };
        }
        if with_zero {
            (low, high) = (low.min(0.0), high.max(0.0));
        }
        if high - low < 1e-12 * high.abs().max(1e-300) {
            let half = if high == 0.0 { 1.0 } else { 0.5 * high.abs() };
            (low, high) = (low - half, high + half);
        }
        Scale { low, high, from, to, log }
    }

    pub(crate) fn at(&self, value: f64) -> f64 {
        let v = if self.log { value.log10() } else { value };
        self.from + (v - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Round values inside the range with their labels.
    pub(crate) fn ticks(&self, wanted: f64) -> Vec<(f64, String)> {
        if self.log && self.high - self.low >= 1.0 {
            let powers = self.low.ceil() as i32..=self.high.floor() as i32;
            return powers.map(|p| (10f64.powi(p), tick_label(10f64.powi(p), 10f64.powi(p)))).collect();
        }
        let (low, high) = if self.log { (10f64.powf(self.low), 10f64.powf(self.high)) } else { (self.low, self.high) };
        let step = round_step((high - low) / wanted);
        let first = (low / step - 1e-9).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        (first..=last)
            .map(|i| i as f64 * step)
            .filter(|v| !self.log || *v > 0.0)
            .map(|v| (v, tick_label(v, step)))
            .collect()
    }
}

/// 1, 2 or 5 times a power of ten, at least `raw`.
fn round_step(raw: f64) -> f64 {
    let power = 10f64.powf(raw.log10().floor());
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|f| f * power >= raw * (1.0 - 1e-9)).unwrap_or(10.0);
    factor * power
}

fn tick_label(value: f64, step: f64) -> String {
    let size = value.abs();
    if size >= 1e6 {
        return format!("{}M", trim(value / 1e6));
    }
    if size >= 1e4 && step >= 100.0 {
        return format!("{}k", trim(value / 1e3));
    }
    if value != 0.0 && step < 1e-4 {
        return format!("{value:.0e}");
    }
    let decimals = (-step.log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$}")
}

fn trim(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

impl Plot {
    /// The SVG element.
    pub fn svg(&self) -> String {
        let (width, height) = self.size;
        let keep = |p: &(f64, f64)| {
            p.0.is_finite() && p.1.is_finite() && (!self.log_y || p.1 > 0.0) && (!self.log_x || p.0 > 0.0)
        };
        let points =
            || self.series.iter().flat_map(|s| s.points.iter().copied().chain(s.ends().flatten())).filter(keep);
        if points().next().is_none() {
            return super::page::missing("nothing to plot: no finite values");
        }
        let bars = self.series.iter().any(|s| s.mark == Mark::Bars);
        let mut x = Scale::new(points().map(|p| p.0), LEFT, width - RIGHT, self.log_x, false);
        let y = Scale::new(points().map(|p| p.1), height - BOTTOM, TOP, self.log_y, bars);
        if bars {
            let half = 0.5 * bar_pitch(&self.series);
            (x.low, x.high) = (x.low - half, x.high + half);
        }
        let mut out =
            format!("<svg viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" role=\"img\">");
        let _ = write!(out, "<title>{} against {}</title>", escape(&self.y_label), escape(&self.x_label));
        self.axes(&mut out, &x, &y);
        for (i, s) in self.series.iter().enumerate() {
            s.ends().filter(|bar| bar.iter().all(keep)).for_each(|bar| error_bar(&mut out, bar, i, &x, &y));
            draw(&mut out, s, i, &x, &y, &s.points.iter().copied().filter(keep).collect::<Vec<_>>());
        }
        self.legend(&mut out);
        out.push_str("</svg>");
        out
    }

    fn axes(&self, out: &mut String, x: &Scale, y: &Scale) {
        let (width, height) = self.size;
        for (v, label) in y.ticks(5.0) {
            let py = y.at(v);
            let _ = write!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{py:.1}\" y2=\"{py:.1}\"/>",
                width - RIGHT
            );
            let _ = write!(out, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 6.0, py + 4.0);
        }
        let bottom = height - BOTTOM;
        let marks = if self.log_x { self.marked_values() } else { x.ticks(if width < 400.0 { 4.0 } else { 7.0 }) };
        for (v, label) in marks {
            let px = x.at(v);
            let _ = write!(
                out,
                "<line class=\"axis\" x1=\"{px:.1}\" x2=\"{px:.1}\" y1=\"{bottom}\" y2=\"{}\"/>",
                bottom + 4.0
            );
            let _ = write!(out, "<text x=\"{px:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>", bottom + 17.0);
        }
        let _ = write!(
            out,
            "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{bottom}\" y2=\"{bottom}\"/>",
            width - RIGHT
        );
        let _ = write!(out, "<line class=\"axis\" x1=\"{LEFT}\" x2=\"{LEFT}\" y1=\"{TOP}\" y2=\"{bottom}\"/>");
        let middle = 0.5 * (LEFT + width - RIGHT);
        let _ = write!(
            out,
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            height - 6.0,
            escape(&self.x_label)
        );
        let log = if self.log_y { " (logarithmic)" } else { "" };
        let _ = write!(out, "<text x=\"4\" y=\"12\">{}{log}</text>", escape(&self.y_label));
    }

    /// The values of x that have a point: the ticks of a logarithmic axis, whose few values were chosen (8, 16, 32, ...).
    fn marked_values(&self) -> Vec<(f64, String)> {
        let mut values: Vec<f64> = self.series.iter().flat_map(|s| s.points.iter().map(|p| p.0)).collect();
        values.retain(|v| v.is_finite() && *v > 0.0);
        values.sort_by(f64::total_cmp);
        values.dedup();
        values.into_iter().map(|v| (v, format!("{v}"))).collect()
    }

    /// Names flush right in the row above the plot.
    fn legend(&self, out: &mut String) {
        let mut right = self.size.0 - RIGHT;
        for (i, s) in self.series.iter().enumerate().rev().filter(|(_, s)| !s.name.is_empty()) {
            // 6.5 px a character is the average of the page's 12 px text; a legend need not be exact.
            right -= 6.5 * s.name.chars().count() as f64 + 8.0;
            let _ = write!(out, "<text x=\"{right:.0}\" y=\"12\">{}</text>", escape(&s.name));
            right -= 10.0;
            marker(out, i, right, 8.0, 4.0);
            right -= 8.0;
        }
    }
}

fn bar_pitch(series: &[Series]) -> f64 {
    let mut xs: Vec<f64> = series.iter().flat_map(|s| s.points.iter().map(|p| p.0)).collect();
    xs.sort_by(f64::total_cmp);
    let gap = xs.windows(2).map(|w| w[1] - w[0]).filter(|d| *d > 0.0).fold(f64::INFINITY, f64::min);
    if gap.is_finite() { gap } else { 1.0 }
}

pub(crate) fn colour(i: usize) -> String {
    format!("var(--s{})", i % COLOURS)
}

fn draw(out: &mut String, s: &Series, i: usize, x: &Scale, y: &Scale, points: &[(f64, f64)]) {
    match s.mark {
        Mark::Line => {
            let path: Vec<String> = points.iter().map(|p| format!("{:.1},{:.1}", x.at(p.0), y.at(p.1))).collect();
            let _ = write!(
                out,
                "<polyline fill=\"none\" stroke=\"{}\" stroke-width=\"1.6\" points=\"{}\"/>",
                colour(i),
                path.join(" ")
            );
            if points.len() <= 40 {
                points.iter().for_each(|p| marker(out, i, x.at(p.0), y.at(p.1), 2.5));
            }
        }
        Mark::Dots => points.iter().for_each(|p| marker(out, i, x.at(p.0), y.at(p.1), 3.0)),
        Mark::Bars => {
            let pitch = bar_pitch(std::slice::from_ref(s));
            let bottom = y.from;
            for p in points {
                let (a, b) = (x.at(p.0 - 0.42 * pitch), x.at(p.0 + 0.42 * pitch));
                let top = y.at(p.1);
                let _ = write!(
                    out,
                    "<rect x=\"{a:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
                    (b - a).max(0.5),
                    (bottom - top).max(0.0),
                    colour(i)
                );
            }
        }
    }
}

/// A vertical bar between two ends, with caps.
fn error_bar(out: &mut String, [low, high]: [(f64, f64); 2], i: usize, x: &Scale, y: &Scale) {
    let (px, bottom, top) = (x.at(low.0), y.at(low.1), y.at(high.1));
    let (left, right) = (px - 4.0, px + 4.0);
    let _ = write!(
        out,
        "<path d=\"M{left:.1} {bottom:.1}H{right:.1}M{left:.1} {top:.1}H{right:.1}M{px:.1} {bottom:.1}V{top:.1}\" stroke=\"{}\"/>",
        colour(i)
    );
}

/// Circle, square, triangle, diamond for series 0-7, 8-15, 16-23, 24-31.
pub(crate) fn marker(out: &mut String, i: usize, x: f64, y: f64, r: f64) {
    let fill = colour(i);
    let (left, right, top, bottom) = (x - r, x + r, y - r, y + r);
    let shape = match (i / COLOURS) % 4 {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r}\""),
        1 => format!("<path d=\"M{left:.1} {top:.1}H{right:.1}V{bottom:.1}H{left:.1}Z\""),
        2 => format!("<path d=\"M{x:.1} {top:.1}L{right:.1} {bottom:.1}H{left:.1}Z\""),
        _ => format!("<path d=\"M{x:.1} {top:.1}L{right:.1} {y:.1}L{x:.1} {bottom:.1}L{left:.1} {y:.1}Z\""),
    };
    let _ = write!(out, "{shape} fill=\"{fill}\"/>");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<(f64, f64)>, log_y: bool) -> Plot {
        Plot {
            x_label: "step".into(),
            y_label: "loss".into(),
            log_x: false,
            log_y,
            size: (400.0, 200.0),
            series: vec![Series::line("a", points)],
        }
    }

    #[test]
    fn steps_are_round() {
        for (raw, want) in [(0.13, 0.2), (0.2, 0.2), (3.0, 5.0), (70.0, 100.0), (1e-5, 1e-5)] {
            assert!((round_step(raw) / want - 1.0).abs() < 1e-9, "{raw}");
        }
    }

    #[test]
    fn ticks_lie_inside_and_carry_their_step() {
        let s = Scale::new([0.12, 0.93].into_iter(), 0.0, 100.0, false, false);
        let labels: Vec<String> = s.ticks(5.0).into_iter().map(|t| t.1).collect();
        assert_eq!(labels, ["0.2", "0.4", "0.6", "0.8"]);
        let s = Scale::new([0.0, 20_000.0].into_iter(), 0.0, 100.0, false, false);
        assert_eq!(s.ticks(4.0).last().map(|t| t.1.as_str()), Some("20k"));
        let s = Scale::new([0.002, 5.0].into_iter(), 0.0, 100.0, true, false);
        assert_eq!(s.ticks(5.0).into_iter().map(|t| t.1).collect::<Vec<_>>(), ["0.01", "0.1", "1"]);
    }

    #[test]
    fn odd_data_still_draws() {
        for points in [vec![(0.0, 1.0)], vec![(0.0, 0.0), (1.0, f64::NAN)], vec![(3.0, -1.0), (3.0, 1.0)], vec![]] {
            for log in [false, true] {
                let svg = plot(points.clone(), log).svg();
                assert!(!svg.contains("NaN") && !svg.contains("inf\""), "{svg}");
            }
        }
    }

    #[test]
    fn error_bars_widen_the_axis_and_have_caps() {
        let mut p = plot(vec![(1.0, 0.4), (10.0, 0.6), (100.0, 0.5)], false);
        p.log_x = true;
        p.series[0].errors = vec![0.1, 0.0, 0.3];
        let svg = p.svg();
        // y from 0.2 to 0.8 on pixels 160 to 24; the second point has no bar.
        assert_eq!(svg.matches("<path").count(), 2, "{svg}");
        assert!(svg.contains("V24.0\"") && svg.contains(" 160.0H"), "{svg}");
    }

    #[test]
    fn a_line_goes_through_the_mapped_points() {
        let svg = plot(vec![(0.0, 0.0), (10.0, 1.0)], false).svg();
        assert!(svg.contains("points=\"58.0,160.0 386.0,24.0\""), "{svg}");
    }
}
