//! Configuration, provenance and any JSON as tables, from JSON and TOML whose fields may grow.

use super::material::Material;
use super::page::{Section, missing, paragraph, table};
use serde_json::Value;
use std::fmt::Write;

/// Deepest nesting that is unfolded into tables; below it the JSON text itself is shown.
const MAX_NESTING: usize = 4;

/// Any JSON as tables: a list of objects is one table, an object's scalars are a two-column table, the rest follows.
pub fn json_tables(value: &Value) -> String {
    tables(value, 0)
}

fn tables(value: &Value, depth: usize) -> String {
    match value {
        _ if depth >= MAX_NESTING => paragraph(&scalar(value)),
        Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_object) => list_table(items),
        Value::Object(fields) => {
            let (nested, flat): (Vec<_>, Vec<_>) = fields.iter().partition(|(_, v)| is_nested(v));
            let rows: Vec<Vec<String>> = flat.iter().map(|(k, v)| vec![label(k), scalar(v)]).collect();
            let mut out = if rows.is_empty() { String::new() } else { table(&["", "value"], &rows) };
            for (k, v) in nested {
                let _ = write!(out, "<h3>{}</h3>{}", super::page::escape(&label(k)), tables(v, depth + 1));
            }
            out
        }
        other => paragraph(&scalar(other)),
    }
}

/// Objects as rows; columns in order of first appearance; nested cells as JSON text.
fn list_table(items: &[Value]) -> String {
    let mut columns: Vec<&String> = Vec::new();
    for item in items.iter().filter_map(Value::as_object) {
        for key in item.keys().filter(|k| !columns.contains(k)).collect::<Vec<_>>() {
            columns.push(key);
        }
    }
    // Names before numbers: JSON objects come sorted by key, which puts "knn" before "name".
    let is_text = |c: &String| items.iter().any(|item| item.get(c).is_some_and(Value::is_string));
    columns.sort_by_key(|c| !is_text(c));
    let header: Vec<String> = columns.iter().map(|c| label(c)).collect();
    let rows: Vec<Vec<String>> = items
        .iter()
        .map(|item| columns.iter().map(|c| item.get(*c).map(scalar).unwrap_or_default()).collect())
        .collect();
    table(&header.iter().map(String::as_str).collect::<Vec<_>>(), &rows)
}

fn is_nested(value: &Value) -> bool {
    match value {
        Value::Object(o) => !o.is_empty(),
        Value::Array(a) => a.iter().any(|v| v.is_object()),
        _ => false,
    }
}

fn label(key: &str) -> String {
    key.replace('_', " ")
}

pub(super) fn scalar(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::Bool(b) => if *b { "yes" } else { "no" }.into(),
        Value::String(s) => s.clone(),
        Value::Number(n) if n.is_f64() => {
            let v = n.as_f64().unwrap_or(f64::NAN);
            if v != 0.0 && v.abs() < 1e-3 { format!("{v:.3e}") } else { format!("{v:.4}") }
        }
        Value::Array(a) if a.iter().all(|v| !v.is_object() && !v.is_array()) => {
            a.iter().map(scalar).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// The resolved configuration.
pub fn configuration(material: &Material) -> Section {
    let body = match &material.config {
        Ok(config) => table(&["setting", "value"], &config_rows(config)),
        Err(reason) => missing(reason),
    };
    Section { id: "configuration", title: "Configuration", body }
}

/// Settings of config.toml with dotted names.
pub fn config_rows(config: &toml::Table) -> Vec<Vec<String>> {
    fn walk(prefix: &str, table: &toml::Table, rows: &mut Vec<Vec<String>>) {
        for (k, v) in table {
            let name = if prefix.is_empty() { k.clone() } else { format!("{prefix}.{k}") };
            match v {
                toml::Value::Table(t) => walk(&name, t, rows),
                toml::Value::String(s) => rows.push(vec![name, s.clone()]),
                other => rows.push(vec![name, other.to_string()]),
            }
        }
    }
    let mut rows = Vec::new();
    walk("", config, &mut rows);
    rows
}

/// Where everything came from.
pub fn provenance(material: &Material) -> Section {
    let body = table(&["", "value"], &provenance_rows(material));
    Section { id: "provenance", title: "Provenance", body }
}

/// Tool version, data and artifacts.
pub fn provenance_rows(material: &Material) -> Vec<Vec<String>> {
    let mut rows = vec![
        vec!["run".to_owned(), material.run.clone()],
        vec!["tool".to_owned(), format!("ldae {}", env!("CARGO_PKG_VERSION"))],
    ];
    rows.extend(material.data.iter().map(|(k, v)| vec![k.clone(), v.clone()]));
    for (name, bytes, sha) in &material.artifacts {
        rows.push(vec![format!("artifact {name}"), format!("{bytes} bytes, SHA-256 {sha}")]);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_becomes_tables() {
        let html = json_tables(
            &serde_json::json!({"protocol": "x", "rows": [{"name": "a", "knn": 0.5}, {"name": "b", "probe": null}]}),
        );
        assert!(html.contains("<h3>rows</h3>") && html.contains("0.5000") && html.contains("<td>b</td>"), "{html}");
        for column in ["name", "knn", "probe"] {
            assert!(html.contains(&format!(">{column}</th>")), "{html}");
        }
    }

    #[test]
    fn deep_nesting_ends() {
        let mut v = serde_json::json!(1);
        for _ in 0..50 {
            v = serde_json::json!({ "a": v });
        }
        assert!(json_tables(&v).len() < 2000);
    }

    #[test]
    fn toml_names_are_dotted() {
        let t: toml::Table = "seed = 1\n[spec]\nwidth = 64\nname = \"xs\"".parse().unwrap();
        assert_eq!(config_rows(&t), [["seed", "1"], ["spec.name", "xs"], ["spec.width", "64"]]);
    }
}
