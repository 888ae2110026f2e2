//! The summary as one table: text for a terminal, Markdown for documents. Scores are in percent.

use super::statistic::{Statistic, Verdict};
use super::summary::{SettingSummary, Summary};
use std::fmt::Write;

/// Column heads after the setting.
const HEAD: [&str; 9] =
    ["seeds", "probe %", "k-NN %", "untrained %", "PCA %", "pixels %", "over untrained", "loss first → last", "fell"];

/// The cells of one line, as in [`HEAD`].
pub(super) fn cells(s: &SettingSummary) -> Vec<String> {
    let loss = s.loss.map_or("-".into(), |(a, b)| format!("{a:.4} → {b:.4}"));
    let fell = s.loss_fell.map_or("-", |fell| if fell { "yes" } else { "NO" });
    let over = s.over_untrained.map_or("-".into(), |d| {
        let word = match d.verdict {
            Verdict::Above => "",
            Verdict::Below => " NO",
            Verdict::WithinNoise => " (noise)",
            Verdict::OneSeed => " (one seed)",
        };
        format!("{:+.2}{word}", 100.0 * d.value)
    });
    vec![
        s.seeds.len().to_string(),
        score(s.probe.as_ref()),
        score(s.knn.as_ref()),
        score(s.untrained.as_ref()),
        score(s.pca.as_ref()),
        score(s.pixels.as_ref()),
        over,
        loss,
        fell.to_owned(),
    ]
}

/// Heads of the whole table.
pub(super) fn head() -> Vec<&'static str> {
    std::iter::once("setting").chain(HEAD).collect()
}

fn score(s: Option<&Statistic>) -> String {
    s.map_or("-".into(), |s| match s.deviation {
        Some(d) => format!("{:.2} ± {:.2}", 100.0 * s.mean, 100.0 * d),
        None => format!("{:.2}", 100.0 * s.mean),
    })
}

/// What the columns are, in a line.
fn explanation(s: &Summary) -> String {
    format!(
        "mean ± deviation over seeds of training; untrained, PCA and pixels: {} of the baselines with the same pictures and pooling \
         (the better of their forms); {}",
        s.score, s.protocol
    )
}

/// For a terminal.
pub fn text(s: &Summary) -> String {
    let rows: Vec<Vec<String>> =
        s.settings.iter().map(|s| std::iter::once(s.setting.clone()).chain(cells(s)).collect()).collect();
    let head = head();
    let width =
        |c: usize| rows.iter().map(|r| r[c].chars().count()).chain([head[c].chars().count()]).max().unwrap_or(0);
    let widths: Vec<usize> = (0..head.len()).map(width).collect();
    let mut t = format!("sweep {} on {}: {} of {} cells measured\n", s.name, s.data, s.measured, s.cells);
    let line = |cells: Vec<&str>, t: &mut String| {
        for (c, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            let pad = " ".repeat(width - cell.chars().count());
            let _ = if c == 0 { write!(t, "  {cell}{pad}") } else { write!(t, "  {pad}{cell}") };
        }
        t.push('\n');
    };
    line(head.clone(), &mut t);
    for row in &rows {
        line(row.iter().map(String::as_str).collect(), &mut t);
    }
    let _ = writeln!(t, "{}", explanation(s));
    t.push_str(&s.statements().join("\n"));
    t
}

/// For documents.
pub fn markdown(s: &Summary) -> String {
    let plain = |cell: &str| cell.replace('|', "\\|");
    let mut t = format!("### Sweep {} on {}\n\n| {} |\n|---|", plain(&s.name), plain(&s.data), head().join(" | "));
    t.push_str(&"--:|".repeat(HEAD.len()));
    t.push('\n');
    for setting in &s.settings {
        let _ = writeln!(t, "| {} | {} |", plain(&setting.setting), cells(setting).join(" | "));
    }
    let _ = writeln!(t, "\n{}.\n", explanation(s));
    for line in s.statements() {
        let _ = writeln!(t, "* {line}");
    }
    t
}
