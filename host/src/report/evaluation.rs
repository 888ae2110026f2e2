//! The evaluation's tables, and its curves over the time step and over the encoder's blocks.

use super::facts::{json_tables, scalar};
use super::material::Material;
use super::page::{Section, figure, missing, paragraph, table};
use super::plot::{Plot, Series};
use serde_json::Value;

/// Evaluations of this run, each with its protocol.
pub fn section(material: &Material) -> Section {
    let body = match &material.evaluations {
        Ok(files) => files.iter().map(|(name, value)| evaluation_table(name, value)).collect(),
        Err(reason) => missing(reason),
    };
    Section { id: "evaluation", title: "Evaluation", body }
}

/// The table of one `eval/NAME.json`; a file of another shape is shown field by field.
fn evaluation_table(name: &str, value: &Value) -> String {
    let mut out = format!("<h3>{}</h3>\n", super::page::escape(name));
    let Some(rows) = value.get("rows").and_then(Value::as_array).filter(|r| r.iter().all(|v| v.get("knn").is_some()))
    else {
        return out + &json_tables(value);
    };
    let text = |v: &Value, key: &str| v.get(key).map(scalar).unwrap_or_default();
    let share = |v: &Value, key: &str| v.get(key).and_then(Value::as_f64).map(|x| format!("{:.2}", 100.0 * x));
    let probe = |v: &Value| match (share(v, "probe"), share(v, "probe_deviation")) {
        (Some(mean), Some(deviation)) => format!("{mean} ± {deviation}"),
        (Some(mean), None) => mean,
        (None, _) => "-".to_owned(),
    };
    let cells: Vec<Vec<String>> = rows
        .iter()
        .map(|v| {
            let share = |key: &str| share(v, key).unwrap_or_else(|| "-".into());
            let (knn, precision, average) = (share("knn"), share("precision"), share("average_precision"));
            vec![text(v, "embedding"), text(v, "pooling"), text(v, "components"), knn, probe(v), precision, average]
        })
        .collect();
    let head = ["embedding", "pooling", "components", "k-NN, %", "linear probe, %", "precision at k, %", "mAP, %"];
    out.push_str(&table(&head, &cells));
    out.push_str(&few_labels(rows));
    let counts =
        rows.first().map(|v| format!("{} training and {} held-out pictures; ", text(v, "train"), text(v, "test")));
    let classes = value.get("classes").map(|c| format!("{} classes; ", scalar(c))).unwrap_or_default();
    out.push_str(&paragraph(&format!("{}{classes}{}", counts.unwrap_or_default(), text(value, "protocol"))));
    if let Some(tuned) = value.get("fine_tuned") {
        let percent = |key| share(tuned, key).unwrap_or_else(|| "-".into());
        out.push_str(&paragraph(&format!(
            "Fine-tuned with labels for {} epochs: {} %, the same from initial weights {} %.",
            text(tuned, "epochs"),
            percent("accuracy"),
            percent("from_scratch")
        )));
    }
    for curve in value.get("curves").and_then(Value::as_array).into_iter().flatten() {
        out.push_str(&curve_figure(curve).unwrap_or_default());
    }
    for absent in value.get("not_run").and_then(Value::as_array).into_iter().flatten() {
        out.push_str(&missing(&format!("not run: {}: {}", text(absent, "embedding"), text(absent, "reason"))));
    }
    out
}

/// Probes on a few of the labels, where they were trained.
fn few_labels(rows: &[Value]) -> String {
    let number = |v: &Value, key: &str| v.get(key).and_then(Value::as_f64).map_or(f64::NAN, |x| 100.0 * x);
    let mut cells = Vec::new();
    for row in rows {
        let text = |key: &str| row.get(key).map(scalar).unwrap_or_default();
        for few in row.get("few_label").and_then(Value::as_array).into_iter().flatten() {
            let pictures = few.get("pictures").map(scalar).unwrap_or_default();
            let accuracy = format!("{:.2} ± {:.2}", number(few, "mean"), number(few, "deviation"));
            cells.push(vec![
                text("embedding"),
                text("pooling"),
                format!("{:.0}", number(few, "share")),
                pictures,
                accuracy,
            ]);
        }
    }
    if cells.is_empty() {
        return String::new();
    }
    "<h4>Linear probe with few labels</h4>\n".to_owned()
        + &table(&["embedding", "pooling", "labels, %", "pictures", "linear probe, %"], &cells)
}

/// The trained encoder over t or over its blocks: a line for every input and pooling, and the best point in words.
fn curve_figure(curve: &Value) -> Option<String> {
    let points = curve.get("points")?.as_array()?;
    let over_t = curve.get("axis")?.as_str()? == "t";
    let has_probe = points.iter().all(|p| p.get("probe").is_some_and(Value::is_number));
    let (score, deviation) = if has_probe { ("probe", "probe_deviation") } else { ("knn", "") };
    let number = |p: &Value, key: &str| p.get(key).and_then(Value::as_f64);
    let text = |p: &Value, key: &str| p.get(key).map(scalar).unwrap_or_default();
    let mut series: Vec<Series> = Vec::new();
    for p in points {
        let name = if over_t { format!("{}, {}", text(p, "input"), text(p, "pooling")) } else { text(p, "pooling") };
        let at = series.iter().position(|s| s.name == name).unwrap_or_else(|| {
            series.push(Series::line(&name, Vec::new()));
            series.len() - 1
        });
        series[at].points.push((number(p, "at")?, 100.0 * number(p, score)?));
        series[at].errors.push(100.0 * number(p, deviation).unwrap_or(0.0));
    }
    let best = points.get(usize::try_from(curve.get("best")?.as_u64()?).ok()?)?;
    let axis = if over_t { "time step t" } else { "block" };
    let caption = format!(
        "The trained encoder over {axis}{}. Best: {} {}, {} input, pooling {}: {:.2} % (the best of many on these pictures).",
        if over_t { ", of clean pictures and of pictures noised at the same t" } else { "; 0 is before any block" },
        if over_t { "t =" } else { "block" },
        text(best, "at"),
        text(best, "input"),
        text(best, "pooling"),
        100.0 * number(best, score)?
    );
    let y_label = if has_probe { "linear probe, %" } else { "k-NN, %" }.to_owned();
    let plot = Plot { x_label: axis.into(), y_label, log_x: false, log_y: false, size: (960.0, 260.0), series };
    Some(figure(&plot.svg(), &caption))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evaluations_are_shown_in_percent_and_what_was_not_run_is_said() {
        let html = evaluation_table(
            "run",
            &serde_json::json!({"protocol": "k = 20", "classes": 10,
                "rows": [{"embedding": "trained, float", "pooling": "mean", "components": 64, "train": 9, "test": 5, "knn": 0.5,
                          "probe": 0.6, "probe_deviation": 0.001}, {"embedding": "raw pixels", "knn": 0.25}],
                "not_run": [{"embedding": "supervised", "reason": "use `--supervised`"}]}),
        );
        assert!(html.contains("<td class=\"n\">50.00</td><td class=\"n\">60.00 ± 0.10</td>"), "{html}");
        assert!(html.contains("not run: supervised: use <code>--supervised</code>"), "{html}");
    }

    #[test]
    fn curves_and_few_labels_have_their_places() {
        let point = |at: u32, input: &str, probe: f64| serde_json::json!({"at": at, "input": input, "pooling": "mean", "knn": 0.4, "probe": probe, "probe_deviation": 0.002});
        let html = evaluation_table(
            "run",
            &serde_json::json!({"rows": [{"embedding": "trained, float", "knn": 0.5, "precision": 0.41, "average_precision": 0.3,
                    "few_label": [{"share": 0.01, "pictures": 500, "mean": 0.25, "deviation": 0.01}]}],
                "curves": [{"axis": "t", "best": 2, "points": [point(0, "clean", 0.5), point(0, "noised", 0.5),
                    point(10, "clean", 0.52), point(10, "noised", 0.51)]}]}),
        );
        assert!(html.contains("<td class=\"n\">41.00</td><td class=\"n\">30.00</td>"), "{html}");
        assert!(
            html.contains("<td class=\"n\">1</td><td class=\"n\">500</td><td class=\"n\">25.00 ± 1.00</td>"),
            "{html}"
        );
        assert_eq!((html.matches("<polyline").count(), html.matches("<path").count()), (2, 4));
        assert!(html.contains("Best: t = 10, clean input, pooling mean: 52.00 %"), "{html}");
    }
}
