//! A ranking as inline SVG: one row a name, a dot at its value, a horizontal bar for its deviation, reference lines.
//!
//! For names that would not fit under an axis (recipes of a sweep). Colours are the page's, as in [`super::plot`].

use super::page::escape;
use super::plot::{Scale, colour, marker};
use std::fmt::Write;

/// One row.
pub struct Entry {
    /// At the left.
    pub name: String,
    /// Where the dot is.
    pub value: f64,
    /// Half the length of the bar; 0 for none.
    pub error: f64,
    /// Further values of the row, drawn small and hollow: (index into [`Ranking::references`], value).
    pub references: Vec<(usize, f64)>,
}

/// The whole figure.
pub struct Ranking {
    /// Under the axis, with the unit.
    pub label: String,
    /// Names of the small marks.
    pub references: Vec<String>,
    /// Rows, top to bottom.
    pub entries: Vec<Entry>,
}

/// Pixels: width, height of a row, room above (legend) and below (axis), and of a character of a name.
const WIDTH: f64 = 960.0;
const ROW: f64 = 22.0;
const TOP: f64 = 26.0;
const BOTTOM: f64 = 40.0;
const CHARACTER: f64 = 7.0;
/// Names longer than this are cut.
const LONGEST: usize = 48;

impl Ranking {
    /// The SVG element.
    pub fn svg(&self) -> String {
        let finite = |v: &f64| v.is_finite();
        let values = || {
            let of = |e: &Entry| {
                let mut all = vec![e.value - e.error, e.value + e.error];
                all.extend(e.references.iter().map(|r| r.1));
                all
            };
            self.entries.iter().flat_map(of).filter(finite)
        };
        if values().next().is_none() {
            return super::page::missing("nothing to plot: no finite values");
        }
        let longest = self.entries.iter().map(|e| e.name.chars().count().min(LONGEST)).max().unwrap_or(0);
        let left = CHARACTER * longest as f64 + 16.0;
        let bottom = TOP + ROW * self.entries.len() as f64;
        let height = bottom + BOTTOM;
        let x = Scale::new(values(), left + 8.0, WIDTH - 16.0, false, false);
        let mut out =
            format!("<svg viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">");
        let _ = write!(out, "<title>{}</title>", escape(&self.label));
        for (v, label) in x.ticks(8.0) {
            let px = x.at(v);
            let _ = write!(out, "<line class=\"grid\" x1=\"{px:.1}\" x2=\"{px:.1}\" y1=\"{TOP}\" y2=\"{bottom}\"/>");
            let _ = write!(out, "<text x=\"{px:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>", bottom + 16.0);
        }
        for (i, e) in self.entries.iter().enumerate() {
            row(&mut out, e, &x, TOP + ROW * (i as f64 + 0.5), left);
        }
        let middle = 0.5 * (left + WIDTH);
        let _ = write!(
            out,
            "<text x=\"{middle:.0}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            height - 6.0,
            escape(&self.label)
        );
        self.legend(&mut out);
        out.push_str("</svg>");
        out
    }

    /// Names of the reference marks, flush right above the rows.
    fn legend(&self, out: &mut String) {
        let mut right = WIDTH - 16.0;
        for (i, name) in self.references.iter().enumerate().rev() {
            right -= CHARACTER * name.chars().count() as f64 + 8.0;
            let _ = write!(out, "<text x=\"{right:.0}\" y=\"14\">{}</text>", escape(name));
            right -= 10.0;
            marker(out, reference_mark(i), right, 10.0, 3.5);
            right -= 10.0;
        }
    }
}

/// Squares (the shape of series 8 to 15), in colours other than the dots'.
fn reference_mark(i: usize) -> usize {
    9 + i % 7
}

fn row(out: &mut String, e: &Entry, x: &Scale, y: f64, left: f64) {
    let name: String = e.name.chars().take(LONGEST).collect();
    let _ = write!(out, "<text x=\"{left:.0}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", y + 4.0, escape(&name));
    for &(i, value) in e.references.iter().filter(|r| r.1.is_finite()) {
        marker(out, reference_mark(i), x.at(value), y, 2.5);
    }
    if !e.value.is_finite() {
        return;
    }
    if e.error > 0.0 && e.error.is_finite() {
        let (a, b) = (x.at(e.value - e.error), x.at(e.value + e.error));
        let (top, low) = (y - 4.0, y + 4.0);
        let _ = write!(
            out,
            "<path d=\"M{a:.1} {top:.1}V{low:.1}M{b:.1} {top:.1}V{low:.1}M{a:.1} {y:.1}H{b:.1}\" stroke=\"{}\"/>",
            colour(0)
        );
    }
    marker(out, 0, x.at(e.value), y, 4.0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, value: f64, error: f64) -> Entry {
        Entry { name: name.into(), value, error, references: vec![(0, 10.0)] }
    }

    #[test]
    fn rows_have_a_dot_a_bar_and_their_references() {
        let entries = vec![entry("a<b", 30.0, 2.0), entry("c", 20.0, 0.0)];
        let svg = Ranking { label: "probe, %".into(), references: vec!["untrained".into()], entries }.svg();
        assert_eq!(svg.matches("<circle").count(), 2, "{svg}");
        // One error bar; the squares of two rows and of the legend.
        assert_eq!(svg.matches("stroke=\"var(--s0)\"").count(), 1);
        assert_eq!(svg.matches("fill=\"var(--s1)\"").count(), 3);
        assert!(svg.contains("a&lt;b"));
        // Axis from 10 to 32: the second dot lies between its neighbours.
        let x = |i: usize| svg.split("cx=\"").nth(i).unwrap().split('"').next().unwrap().parse::<f64>().unwrap();
        assert!(x(1) > x(2), "{svg}");
    }

    #[test]
    fn values_that_are_not_finite_leave_their_row_empty() {
        let svg =
            Ranking { label: String::new(), references: Vec::new(), entries: vec![entry("failed", f64::NAN, 0.0)] };
        let svg = svg.svg();
        assert!(!svg.contains("NaN") && svg.contains("failed"), "{svg}");
    }
}
