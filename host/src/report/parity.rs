//! Float against integer (export/quality.json) and host against device (verify.json).

use super::curves::percent;
use super::facts::json_tables;
use super::material::Material;
use super::page::{Section, figure, missing, paragraph, table};
use super::plot::{Mark, Plot, Series};
use serde_json::Value;

/// The gates of NUMERICS.md: cosine of the worst 5 %, and points of linear-probe accuracy.
const COSINE_GATE: f64 = 0.999;
const PROBE_GATE_POINTS: f64 = 0.3;

/// Float against integer.
pub fn float_integer(material: &Material) -> Section {
    let body = match &material.quality {
        Ok(q) => quality(q),
        Err(reason) => missing(reason),
    };
    Section { id: "integer", title: "Float against integer", body }
}

fn quality(q: &Value) -> String {
    let number = |path: &str| q.pointer(path).and_then(Value::as_f64);
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut push = |what: &str, value: Option<String>, gate: String| {
        if let Some(value) = value {
            rows.push(vec![what.to_owned(), value, gate]);
        }
    };
    let gate = |ok: bool, text: String| format!("{text}: {}", if ok { "met" } else { "MISSED" });
    push("centred cosine, median", number("/cosine_median").map(|v| format!("{v:.5}")), String::new());
    let worst = number("/cosine_q05");
    let verdict = worst.map(|v| gate(v >= COSINE_GATE, format!("≥ {COSINE_GATE}"))).unwrap_or_default();
    push("centred cosine, 5 % quantile", worst.map(|v| format!("{v:.5}")), verdict);
    push("nearest neighbour agrees", number("/nn_top1_agreement").map(percent), String::new());
    push("ten nearest agree", number("/nn_top10_agreement").map(percent), String::new());
    for (name, float, integer, gated) in
        [("k-NN accuracy", "/knn_float", "/knn_int", false), ("linear probe", "/probe_float", "/probe_int", true)]
    {
        let (Some(f), Some(i)) = (number(float), number(integer)) else { continue };
        let change = i - f;
        let verdict = if gated {
            gate(change.abs() <= PROBE_GATE_POINTS, format!("change {change:+.2} points, within {PROBE_GATE_POINTS}"))
        } else {
            format!("change {change:+.2} points")
        };
        push(name, Some(format!("float {f:.2} %, integer {i:.2} %")), verdict);
    }
    let mut body = paragraph(
        "The integer encoder is the one that boards run; every number here is from the device crate's own engine, against the same \
         network in f32, on standardised embeddings (NUMERICS.md, \"Promises\").",
    );
    body.push_str(&table(&["measure", "value", "gate"], &rows));
    body.push_str(&histogram(q).unwrap_or_default());
    body.push_str(&layers(q).unwrap_or_default());
    body
}

/// `cosine_histogram`: `counts[i]` pictures between `edges[i]` and `edges[i + 1]`.
fn histogram(q: &Value) -> Option<String> {
    let numbers = |path| Some(q.pointer(path)?.as_array()?.iter().filter_map(Value::as_f64).collect::<Vec<f64>>());
    let (edges, counts) = (numbers("/cosine_histogram/edges")?, numbers("/cosine_histogram/counts")?);
    let points = edges.windows(2).zip(counts).map(|(e, count)| (0.5 * (e[0] + e[1]), count)).collect();
    let plot = Plot {
        x_label: "centred cosine between float and integer embedding".into(),
        y_label: "pictures".into(),
        log_x: false,
        log_y: false,
        size: (960.0, 200.0),
        series: vec![Series::new("", points, Mark::Bars)],
    };
    Some(figure(&plot.svg(), "One count a picture."))
}

fn layers(q: &Value) -> Option<String> {
    let layers = q.get("layers")?.as_array()?;
    let points: Vec<(f64, f64)> =
        layers.iter().enumerate().filter_map(|(i, l)| Some((i as f64 + 1.0, l.get("sqnr_db")?.as_f64()?))).collect();
    let plot = Plot {
        x_label: "tap, in the order of the graph".into(),
        y_label: "signal to quantisation noise, dB".into(),
        log_x: false,
        log_y: false,
        size: (960.0, 200.0),
        series: vec![Series::new("", points, Mark::Bars)],
    };
    let detail =
        format!("<details><summary>Per layer</summary>{}</details>", json_tables(&Value::Array(layers.clone())));
    Some(
        figure(&plot.svg(), "Signal to quantisation noise at each tap, float network against integer network.")
            + &detail,
    )
}

/// Host against device.
pub fn verify(material: &Material) -> Section {
    let body = match &material.verify {
        Ok(v) => verdicts(v),
        Err(reason) => missing(reason),
    };
    Section { id: "verify", title: "Host against device", body }
}

/// True when every device of a verify.json is equal, false when one is not; none without devices.
pub fn all_equal(verify: &Value) -> Option<bool> {
    let devices = verify.get("devices")?.as_array().filter(|d| !d.is_empty())?;
    Some(devices.iter().all(|d| d.get("verdict").and_then(Value::as_str) == Some("equal")))
}

fn verdicts(v: &Value) -> String {
    let Some(devices) = v.get("devices").and_then(Value::as_array) else { return json_tables(v) };
    let field = |d: &Value, key: &str| match d.get(key) {
        Some(Value::String(s)) => s.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    };
    let of = |d: &Value, part: &str, whole: &str| format!("{} of {}", field(d, part), field(d, whole));
    let rows: Vec<Vec<String>> = devices
        .iter()
        .map(|d| {
            let first = d.get("first_difference").map(|f| field(f, "tap_name")).unwrap_or_default();
            vec![
                field(d, "device"),
                field(d, "core"),
                field(d, "kernel"),
                field(d, "verdict"),
                of(d, "inputs_equal", "pictures"),
                of(d, "taps_equal", "taps"),
                of(d, "embeddings_equal", "pictures"),
                if first.is_empty() { field(d, "trouble") } else { format!("first at {first}") },
            ]
        })
        .collect();
    let header =
        ["device", "core", "kernel", "verdict", "inputs equal", "taps equal", "embeddings equal", "difference"];
    let not_run = v.get("not_run").and_then(Value::as_array).into_iter().flatten();
    let not_run: String =
        not_run.map(|d| missing(&format!("{} not run: {}", field(d, "device"), field(d, "reason")))).collect();
    paragraph(
        "The same pictures through the same artifact on this machine and on each device: CRC-32 of every tap and every code of the \
         embedding.",
    ) + &table(&header, &rows)
        + &not_run
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_are_judged_from_the_numbers() {
        let met = quality(&serde_json::json!({"cosine_q05": 0.9994, "probe_float": 46.25, "probe_int": 46.20}));
        assert!(met.contains("0.999: met") && met.contains("within 0.3: met"), "{met}");
        let missed = quality(&serde_json::json!({"cosine_q05": 0.99, "probe_float": 46.25, "probe_int": 45.0}));
        assert!(missed.contains("0.999: MISSED") && missed.contains("within 0.3: MISSED"), "{missed}");
    }

    #[test]
    fn one_unequal_device_is_not_equal() {
        let v = serde_json::json!({"devices": [{"device": "a", "verdict": "equal"}, {"device": "b", "verdict": "did-not-finish"}]});
        assert_eq!(all_equal(&v), Some(false));
        assert_eq!(all_equal(&serde_json::json!({"devices": []})), None);
        assert!(verdicts(&v).contains("did-not-finish"));
    }

    #[test]
    fn an_empty_report_is_no_error() {
        assert!(quality(&serde_json::json!({})).contains("measure"));
    }
}
