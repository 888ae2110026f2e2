//! Nearest neighbours and the two-dimensional map of held-out embeddings.

use super::material::{Embedded, Material};
use super::page::{Section, figure, missing, paragraph};
use super::picture::Picture;
use super::plot::{Mark, Plot, Series};
use crate::Result;
use std::fmt::Write;

/// Query pictures shown, and neighbours of each.
const QUERIES: usize = 10;
const NEIGHBOURS: usize = 7;
/// Thumbnails on the picture map; more would only hide each other.
const THUMBNAILS: usize = 160;
/// Power-iteration steps per principal axis: the map is a picture, three digits are plenty.
const POWER_STEPS: usize = 100;

/// Indices and cosines of the `k` nearest others of picture `query`, nearest first; ties by index.
pub fn nearest(e: &Embedded, query: usize, k: usize) -> Vec<(usize, f32)> {
    let norm = |v: &[f32]| v.iter().map(|x| x * x).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
    let q = e.row(query);
    let mut all: Vec<(usize, f32)> = (0..e.len())
        .filter(|&i| i != query)
        .map(|i| {
            let v = e.row(i);
            (i, q.iter().zip(v).map(|(a, b)| a * b).sum::<f32>() / (norm(q) * norm(v)))
        })
        .collect();
    all.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    all.truncate(k);
    all
}

/// The first picture of each class in turn, or evenly spaced ones without labels: chosen without looking at results.
fn queries(e: &Embedded) -> Vec<usize> {
    let Some(labels) = &e.labels else {
        let step = (e.len() / QUERIES).max(1);
        return (0..e.len()).step_by(step).take(QUERIES).collect();
    };
    let mut classes: Vec<u16> = labels.clone();
    classes.sort_unstable();
    classes.dedup();
    classes.iter().filter_map(|c| labels.iter().position(|l| l == c)).take(QUERIES).collect()
}

/// Queries and their neighbours.
///
/// # Errors
/// A picture has the wrong size.
pub fn neighbours(material: &Material) -> Result<Section> {
    let body = match &material.embedded {
        Ok(e) => neighbour_rows(e)?,
        Err(reason) => missing(reason),
    };
    Ok(Section { id: "neighbours", title: "Nearest neighbours", body })
}

fn neighbour_rows(e: &Embedded) -> Result<String> {
    let mut out = paragraph(&format!(
        "First picture of each class among {} held-out ones, and its {NEIGHBOURS} nearest others by cosine of the standardised \
         embedding ({}, {} components). Green frame: same class; orange: another. Labels were not used in training.",
        e.len(),
        e.source,
        e.dim
    ));
    out.push_str("<div class=\"scroll\"><table class=\"cells\">\n");
    for query in queries(e) {
        let class = e.class(query);
        let _ = write!(out, "<tr><th>{}</th>", super::page::escape(&class));
        let _ = write!(out, "<td>{}</td><td></td>", e.pictures[query].img(64, &format!("query: {class}"), "query")?);
        for (i, cosine) in nearest(e, query, NEIGHBOURS) {
            let frame = match &e.labels {
                Some(l) if l[i] == l[query] => "same",
                Some(_) => "other",
                None => "",
            };
            let alt = format!("{} cosine {cosine:.3}", e.class(i));
            let _ = write!(out, "<td>{}<br><small>{cosine:.2}</small></td>", e.pictures[i].img(64, &alt, frame)?);
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</table></div>\n");
    Ok(out)
}

/// First two principal components of the rows: n coordinate pairs and the share of variance they hold.
fn principal_plane(e: &Embedded) -> (Vec<(f64, f64)>, f64) {
    let (n, d) = (e.len(), e.dim);
    let mut mean = vec![0.0f64; d];
    for i in 0..n {
        mean.iter_mut().zip(e.row(i)).for_each(|(m, v)| *m += f64::from(*v) / n as f64);
    }
    let centred: Vec<f64> =
        (0..n).flat_map(|i| e.row(i).iter().zip(&mean).map(|(v, m)| f64::from(*v) - m).collect::<Vec<_>>()).collect();
    let total: f64 = centred.iter().map(|v| v * v).sum();
    let mut axes: Vec<Vec<f64>> = Vec::new();
    for a in 0..2 {
        // Any start that is not orthogonal to the axis will do; this one is fixed, so the page is reproducible.
        let mut axis: Vec<f64> = (0..d).map(|j| 1.0 + ((j * 7 + a * 3) % 11) as f64 / 11.0).collect();
        for _ in 0..POWER_STEPS {
            let mut next = vec![0.0; d];
            for row in centred.chunks_exact(d) {
                let s = dot(row, &axis);
                next.iter_mut().zip(row).for_each(|(x, v)| *x += s * v);
            }
            for done in &axes {
                let s = dot(&next, done);
                next.iter_mut().zip(done).for_each(|(x, v)| *x -= s * v);
            }
            let norm = dot(&next, &next).sqrt();
            if norm <= f64::MIN_POSITIVE {
                break;
            }
            axis = next.iter().map(|x| x / norm).collect();
        }
        axes.push(axis);
    }
    let points: Vec<(f64, f64)> = centred.chunks_exact(d).map(|r| (dot(r, &axes[0]), dot(r, &axes[1]))).collect();
    let held: f64 = points.iter().map(|p| p.0 * p.0 + p.1 * p.1).sum();
    (points, if total > 0.0 { held / total } else { 0.0 })
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Map of the embeddings.
///
/// # Errors
/// A picture has the wrong size.
pub fn map(material: &Material) -> Result<Section> {
    let body = match &material.embedded {
        Ok(e) if e.len() >= 3 && e.dim >= 2 => maps(e)?,
        Ok(_) => missing("not available: a map needs three pictures and two components"),
        Err(reason) => missing(reason),
    };
    Ok(Section { id: "map", title: "Map of the embeddings", body })
}

fn maps(e: &Embedded) -> Result<String> {
    let (points, share) = principal_plane(e);
    let mut series: Vec<Series> = Vec::new();
    if let Some(labels) = &e.labels {
        for (c, name) in e.classes.iter().enumerate() {
            let of_class = points.iter().zip(labels).filter(|(_, l)| usize::from(**l) == c).map(|(p, _)| *p);
            series.push(Series::new(name, of_class.collect(), Mark::Dots));
        }
        series.retain(|s| !s.points.is_empty());
    } else {
        series.push(Series::new("", points.clone(), Mark::Dots));
    }
    let plot = Plot {
        x_label: "principal component 1".into(),
        y_label: if series.len() > 8 { String::new() } else { "principal component 2".into() },
        log_x: false,
        log_y: false,
        size: (960.0, 460.0),
        series,
    };
    let caption = format!(
        "{} held-out pictures in the plane of the first two principal components of their embeddings ({:.1} % of the variance; a plane \
         shows less than neighbours do).",
        e.len(),
        100.0 * share
    );
    let sheet = thumbnail_sheet(e, &points, 960, 460);
    Ok(figure(&plot.svg(), &caption)
        + &figure(&sheet.img(960, "thumbnails on the map", "")?, "The same plane with pictures."))
}

/// Thumbnails at their places on one picture.
fn thumbnail_sheet(e: &Embedded, points: &[(f64, f64)], width: usize, height: usize) -> Picture {
    let side = e.pictures[0].width.min(40);
    let mut sheet = Picture { width, height, channels: 3, pixels: vec![128; width * height * 3] };
    let bounds = |f: fn(&(f64, f64)) -> f64| {
        let (l, h) = points.iter().map(f).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        (l, (h - l).max(1e-12))
    };
    let ((x0, xs), (y0, ys)) = (bounds(|p| p.0), bounds(|p| p.1));
    let step = (points.len() / THUMBNAILS).max(1);
    for (picture, p) in e.pictures.iter().zip(points).step_by(step).take(THUMBNAILS) {
        let left = ((p.0 - x0) / xs * (width - side) as f64) as usize;
        let top = ((1.0 - (p.1 - y0) / ys) * (height - side) as f64) as usize;
        for row in 0..side {
            for column in 0..side {
                let (sr, sc) = (row * picture.height / side, column * picture.width / side);
                for channel in 0..3 {
                    let source = (sr * picture.width + sc) * picture.channels + channel.min(picture.channels - 1);
                    let value = picture.pixels.get(source).copied().unwrap_or(128);
                    sheet.pixels[((top + row) * width + left + column) * 3 + channel] = value;
                }
            }
        }
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;

    fn embedded(rows: &[[f32; 3]]) -> Embedded {
        Embedded {
            source: "test".into(),
            dim: 3,
            values: rows.concat(),
            pictures: vec![Picture::square(2, 1, &[0, 50, 100, 255]); rows.len()],
            labels: Some((0..rows.len() as u16).map(|i| i % 2).collect()),
            classes: vec!["a".into(), "b".into()],
        }
    }

    #[test]
    fn nearest_by_angle_not_by_length() {
        let e = embedded(&[[1.0, 0.0, 0.0], [0.9, 0.5, 0.0], [9.0, 0.1, 0.0], [-1.0, 0.0, 0.0]]);
        let order: Vec<usize> = nearest(&e, 0, 3).into_iter().map(|n| n.0).collect();
        assert_eq!(order, [2, 1, 3]);
    }

    #[test]
    fn plane_holds_all_of_planar_data() {
        let e = embedded(&[[0.0, 0.0, 5.0], [2.0, 0.0, 5.0], [0.0, 1.0, 5.0], [2.0, 1.0, 5.0], [1.0, 3.0, 5.0]]);
        let (points, share) = principal_plane(&e);
        assert!((share - 1.0).abs() < 1e-9, "{share}");
        let distance =
            |a: usize, b: usize| ((points[a].0 - points[b].0).powi(2) + (points[a].1 - points[b].1).powi(2)).sqrt();
        assert!((distance(0, 1) - 2.0).abs() < 1e-9 && (distance(0, 2) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn collapsed_embeddings_still_draw() {
        let e = embedded(&[[1.0; 3]; 4]);
        assert!(maps(&e).is_ok() && neighbour_rows(&e).is_ok());
    }
}
