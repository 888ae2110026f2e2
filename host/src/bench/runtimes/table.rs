//! The comparison as text and in Markdown.

use super::{Row, SideBySide};
use std::fmt::Write;

/// Headings, and whether a column holds numbers.
const HEADINGS: [(&str, bool); 13] = [
    ("runtime", false),
    ("file", false),
    ("KB", true),
    ("load ms", true),
    ("10 % us", true),
    ("median us", true),
    ("90 % us", true),
    ("ratio", true),
    ("memory MB", true),
    ("cosine", true),
    ("5 %", true),
    ("error", true),
    ("k-NN / probe %", true),
];

/// The cells of a row that ran.
fn cells(row: &Row) -> Option<[String; 13]> {
    let m = row.measured.as_ref()?;
    let or = |v: Option<String>| v.unwrap_or_else(|| "-".to_owned());
    Some([
        row.name.clone(),
        row.file.clone(),
        or(row.bytes.map(|b| format!("{:.0}", b as f64 / 1024.0))),
        format!("{:.1}", m.load_ms),
        format!("{:.0}", m.q10_us),
        format!("{:.0}", m.median_us),
        format!("{:.0}", m.q90_us),
        or(m.ratio.map(|r| format!("{r:.2}"))),
        or(m.memory_bytes.map(|b| format!("{:.1}", b as f64 / 1_048_576.0))),
        or(m.agreement.map(|a| format!("{:.6}", a.cosine_mean))),
        or(m.agreement.map(|a| format!("{:.6}", a.cosine_q05))),
        or(m.agreement.map(|a| format!("{:.1e}", a.scaled_error))),
        or(m.scores.map(|s| format!("{:.2} / {:.2}", 100.0 * s.knn, 100.0 * s.probe))),
    ])
}

/// What cannot be read off the table.
fn notes(found: &SideBySide) -> String {
    let mut t = format!("{}, {:.2} MMAC a picture; one thread each\n", found.encoder, found.macs as f64 / 1e6);
    // Writing to a String does not fail.
    let _ = writeln!(t, "pictures: {}", found.pictures);
    match &found.reference {
        Some(reference) => {
            let _ = writeln!(
                t,
                "cosine (mean, 5 % quantile) and error (largest of a component, scaled by the rms; integer codes end at ±5 deviations) against {reference}"
            );
        }
        None => t.push_str("no float form to compare with: `ldae export RUN --onnx` writes one\n"),
    }
    if let Some(version) = &found.onnxruntime {
        let _ = writeln!(t, "onnxruntime {version}; `basic` keeps the arithmetic, without it everything is optimised");
    }
    let calls = found.rows.iter().filter_map(|r| r.measured.as_ref()).map(|m| m.calls);
    let (least, most) = (calls.clone().min().unwrap_or(0), calls.max().unwrap_or(0));
    let _ = writeln!(
        t,
        "latency of {least} to {most} calls each, in short blocks in turn; ratio to the fastest integer kernel"
    );
    t.push_str("memory: growth of the process by library, file, load and one call (resident set)\n");
    t
}

/// For the terminal.
pub fn text(found: &SideBySide) -> String {
    let table: Vec<[String; 13]> = found.rows.iter().filter_map(cells).collect();
    let width = |i: usize| table.iter().map(|r| r[i].chars().count()).max().unwrap_or(0).max(HEADINGS[i].0.len());
    let mut t = notes(found);
    let mut line = |cells: &[&str]| {
        for (i, cell) in cells.iter().enumerate() {
            let gap = if i == 0 { "" } else { "  " };
            let _ = if HEADINGS[i].1 {
                write!(t, "{gap}{cell:>0$}", width(i))
            } else {
                write!(t, "{gap}{cell:<0$}", width(i))
            };
        }
        t.push('\n');
    };
    line(&HEADINGS.map(|(name, _)| name));
    table.iter().for_each(|row| line(&row.each_ref().map(String::as_str)));
    missing(&mut t, found, "");
    t.truncate(t.trim_end().len());
    t
}

/// For docs/RESULTS.md.
pub fn markdown(found: &SideBySide) -> String {
    let mut t = notes(found).lines().map(|l| format!("{l}  \n")).collect::<String>() + "\n";
    let _ = writeln!(t, "| {} |", HEADINGS.map(|(name, _)| name).join(" | "));
    let _ = writeln!(t, "|{}|", HEADINGS.map(|(_, number)| if number { "--:" } else { "---" }).join("|"));
    for row in found.rows.iter().filter_map(cells) {
        let _ = writeln!(t, "| {} |", row.join(" | "));
    }
    t.push('\n');
    missing(&mut t, found, "* ");
    t.truncate(t.trim_end().len());
    t
}

fn missing(t: &mut String, found: &SideBySide, bullet: &str) {
    for row in &found.rows {
        if let Some(reason) = &row.missing {
            let hint = row.hint.as_ref().map(|h| format!(" ({h})")).unwrap_or_default();
            let _ = writeln!(t, "{bullet}not run: {}: {reason}{hint}", row.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Measured, Scores};
    use super::*;
    use crate::eval::agreement::Agreement;

    #[test]
    fn rows_that_ran_are_in_the_table_and_the_others_below_it() {
        let measured = Measured {
            load_ms: 1.25,
            q10_us: 10.0,
            median_us: 20.0,
            q90_us: 30.0,
            calls: 40,
            ratio: Some(1.0),
            memory_bytes: Some(1 << 20),
            agreement: Some(Agreement {
                pictures: 2,
                scaled_error: 0.01,
                cosine_mean: 0.999,
                cosine_median: 0.999,
                cosine_q05: 0.99,
                cosine_min: 0.98,
            }),
            scores: Some(Scores { knn: 0.4, probe: 0.5, probe_deviation: 0.001 }),
        };
        let row = |name: &str, measured, missing: Option<&str>| Row {
            name: name.to_owned(),
            file: "a.ldae".to_owned(),
            bytes: Some(2048),
            measured,
            missing: missing.map(str::to_owned),
            hint: missing.map(|_| "install it".to_owned()),
        };
        let found = SideBySide {
            encoder: "a.ldae".to_owned(),
            macs: 1_500_000,
            pictures: "drawn".to_owned(),
            reference: None,
            onnxruntime: None,
            rows: vec![row("here", Some(measured), None), row("elsewhere", None, Some("no library"))],
        };
        let text = text(&found);
        assert!(text.contains("here     a.ldae   2      1.2"), "{text}");
        assert!(text.ends_with("not run: elsewhere: no library (install it)"), "{text}");
        let markdown = markdown(&found);
        assert!(
            markdown.contains(
                "| here | a.ldae | 2 | 1.2 | 10 | 20 | 30 | 1.00 | 1.0 | 0.999000 | 0.990000 | 1.0e-2 | 40.00 / 50.00 |"
            ),
            "{markdown}"
        );
        assert!(markdown.ends_with("* not run: elsewhere: no library (install it)"));
    }
}
