//! The files of a whole sweep: sweep.html (tables and plots, self-contained), sweep.md, sweep.json, and every plot as SVG.

use super::cell::plain;
use super::figures;
use super::summary::Summary;
use super::table;
use crate::error::Context;
use crate::report::page::{Section, figure, page, paragraph, standalone_svg, table as html_table};
use crate::{Result, atomic};
use std::path::Path;

/// Writes OUT/sweep.html, sweep.md, sweep.json, sweep.svg, sweep-AXIS.svg and sweep-t-SETTING.svg.
///
/// # Errors
/// OUT is unwritable or the disk full.
pub fn write(root: &Path, summary: &Summary) -> Result<()> {
    let json = serde_json::to_vec_pretty(summary).context(|| "cannot write the summary as JSON")?;
    atomic::write(&root.join("sweep.json"), &json)?;
    atomic::write(&root.join("sweep.md"), table::markdown(summary).as_bytes())?;
    atomic::write(&root.join("sweep.html"), html(summary).as_bytes())?;
    let ranking = ("sweep.svg".to_owned(), figures::ranking(summary));
    let curves = figures::curves(summary).into_iter().map(|(axis, svg)| (format!("sweep-{axis}.svg"), svg));
    let over_t =
        figures::over_t(summary).into_iter().map(|(setting, svg)| (format!("sweep-t-{}.svg", plain(&setting)), svg));
    // Without any score there is a sentence in place of a plot, which is no SVG file.
    for (name, svg) in std::iter::once(ranking).chain(curves).chain(over_t).filter(|(_, svg)| svg.starts_with("<svg")) {
        atomic::write(&root.join(name), standalone_svg(&svg).as_bytes())?;
    }
    Ok(())
}

/// The page.
pub(super) fn html(s: &Summary) -> String {
    let mut statements = String::new();
    for line in s.statements() {
        statements.push_str(&paragraph(&line));
    }
    let rows: Vec<Vec<String>> =
        s.settings.iter().map(|s| std::iter::once(s.setting.clone()).chain(table::cells(s)).collect()).collect();
    let ranking = figure(
        &figures::ranking(s),
        "Every setting in the order of the grid. Dots are means over seeds, bars one sample deviation to each side; squares are \
         the baselines with the same pictures and pooling.",
    );
    let mut curves = String::new();
    for (axis, svg) in figures::curves(s) {
        curves.push_str(&figure(&svg, &format!("{} over {axis}; bars are one sample deviation over seeds.", s.score)));
    }
    for (setting, svg) in figures::over_t(s) {
        let caption =
            format!("{setting}: {} of the trained encoder over t; bars are one sample deviation over seeds.", s.score);
        curves.push_str(&figure(&svg, &caption));
    }
    let mut sections = vec![
        Section { id: "findings", title: "Findings", body: statements },
        Section { id: "ranking", title: "Ranking", body: ranking },
    ];
    if !curves.is_empty() {
        sections.push(Section { id: "curves", title: "Curves", body: curves });
    }
    let body = html_table(&table::head(), &rows) + &paragraph(&s.protocol);
    sections.push(Section { id: "table", title: "Table", body });
    page(&format!("ldae sweep {}: {}", s.name, s.data), &sections)
}
