//! Reconstructions at several noise levels, and the patch-PCA basis with its spectrum.

use super::material::{Basis, Material, Reconstructions};
use super::page::{Section, figure, missing, paragraph};
use super::picture::Picture;
use super::plot::{Mark, Plot, Series};
use crate::Result;
use std::fmt::Write;

/// How many basis rows are drawn.
const SHOWN_COMPONENTS: usize = 32;

/// Denoising.
///
/// # Errors
/// A picture has the wrong size.
pub fn reconstructions(material: &Material) -> Result<Section> {
    let body = match &material.reconstructions {
        Ok(r) => {
            paragraph(
                "The network sees the picture with noise in the space of its patch-PCA coefficients and predicts the clean \
                 picture. Columns are noise levels: time step t and sigma = sqrt(2)·t/T, in units of the coefficients' RMS.",
            ) + &grid(r)?
        }
        Err(reason) => missing(reason),
    };
    Ok(Section { id: "reconstructions", title: "Reconstructions", body })
}

/// The grid of drawn pictures.
///
/// # Errors
/// The picture has the wrong size.
pub fn samples(material: &Material) -> Result<Section> {
    let body = match &material.samples {
        Ok(grid) => figure(
            &grid.img(grid.width.min(960), "pictures drawn by the run", "")?,
            "Pictures drawn from noise by the averaged weights (`ldae sample`); a row for each class where the run was told \
             the classes.",
        ),
        Err(reason) => missing(reason),
    };
    Ok(Section { id: "samples", title: "Samples", body })
}

fn grid(r: &Reconstructions) -> Result<String> {
    let shown = 72;
    let mut out = String::from("<div class=\"scroll\"><table class=\"cells\"><tr><th></th>");
    for (t, sigma) in &r.levels {
        let _ = write!(out, "<th>t = {t}<br>σ = {sigma:.2}</th>");
    }
    out.push_str("</tr>\n");
    for (i, clean) in r.clean.iter().enumerate() {
        let clean = clean.img(shown, &format!("picture {i}, clean"), "")?;
        let rows = [("clean", None), ("noised input", r.noised.get(i)), ("prediction", r.predicted.get(i))];
        for (row, (what, cells)) in rows.iter().enumerate() {
            let _ = write!(out, "<tr class=\"{}\"><th>{what}</th>", if row == 0 { "gap" } else { "" });
            for (level, (t, _)) in r.levels.iter().enumerate() {
                let cell = match cells {
                    None if level == 0 => clean.clone(),
                    None => String::new(),
                    Some(cells) => match cells.get(level) {
                        Some(p) => p.img(shown, &format!("picture {i}, {what}, t = {t}"), "")?,
                        None => String::new(),
                    },
                };
                let _ = write!(out, "<td>{cell}</td>");
            }
            out.push_str("</tr>\n");
        }
    }
    out.push_str("</table></div>\n");
    Ok(out)
}

/// PCA basis and spectrum.
///
/// # Errors
/// A basis row has the wrong length.
pub fn basis(material: &Material) -> Result<Section> {
    let body = match &material.basis {
        Ok(b) => tiles(b)? + &spectrum(b),
        Err(reason) => missing(reason),
    };
    Ok(Section { id: "basis", title: "Patch-PCA basis", body })
}

fn tiles(b: &Basis) -> Result<String> {
    let mut out = String::from("<div class=\"tiles\">");
    for (i, row) in b.rows.iter().take(SHOWN_COMPONENTS).enumerate() {
        let img = Picture::centred(b.patch, b.channels, row).img(48, &format!("component {}", i + 1), "")?;
        let _ = write!(out, "<span>{img}<br>{}</span>", i + 1);
    }
    out.push_str("</div>");
    let shown = b.rows.len().min(SHOWN_COMPONENTS);
    let caption = format!(
        "First {shown} of {} components, each scaled to full contrast around grey. The model keeps the first K = {}.",
        b.rows.len(),
        b.rank
    );
    Ok(figure(&out, &caption))
}

fn spectrum(b: &Basis) -> String {
    let variances = match &b.variances {
        Ok(v) => v,
        Err(reason) => return missing(reason),
    };
    let point = |(i, v): (usize, &f64)| ((i + 1) as f64, *v);
    let split = b.rank.min(variances.len());
    let bars = |name: String, from: usize, to: usize| {
        let points = variances.iter().enumerate().skip(from).take(to - from).map(point).collect();
        Series::new(&name, points, Mark::Bars)
    };
    let mut series = vec![bars(format!("kept (K = {})", b.rank), 0, split)];
    if split < variances.len() {
        series.push(bars("residual".into(), split, variances.len()));
    }
    let total: f64 = variances.iter().sum();
    let kept: f64 = variances.iter().take(split).sum();
    let plot = Plot {
        x_label: "component".into(),
        y_label: "variance".into(),
        log_x: false,
        log_y: true,
        size: (960.0, 220.0),
        series,
    };
    figure(
        &plot.svg(),
        &format!(
            "Variance along each component (pixel values in [-1, 1]); the kept components hold {:.1} % of it.",
            100.0 * kept / total.max(f64::MIN_POSITIVE)
        ),
    )
}
