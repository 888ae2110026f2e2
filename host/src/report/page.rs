//! The skeleton of the page: escaping, tables, figures, and the style sheet (light, dark and printed).
//!
//! Everything the page needs is inside it: no script, no font, no picture and no style is fetched from anywhere.

use std::fmt::Write;

/// One titled part of the page; `body` is HTML.
pub struct Section {
    /// Anchor in the page, also used by the table of contents.
    pub id: &'static str,
    /// Heading as plain text.
    pub title: &'static str,
    /// HTML.
    pub body: String,
}

/// Something the page shows, or the sentence that says how to get it.
pub type Available<T> = std::result::Result<T, String>;

/// `text` as HTML character data or attribute value.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            _ => out.push(c),
        }
    }
    out
}

/// A paragraph of plain text; text between backticks is set as code.
pub fn paragraph(text: &str) -> String {
    format!("<p>{}</p>\n", code_spans(text))
}

/// The sentence in place of a part whose input is not there.
pub fn missing(reason: &str) -> String {
    format!("<p class=\"missing\">{}</p>\n", code_spans(reason))
}

fn code_spans(text: &str) -> String {
    let mut out = String::new();
    for (i, part) in text.split('`').enumerate() {
        if i % 2 == 1 {
            let _ = write!(out, "<code>{}</code>", escape(part));
        } else {
            out.push_str(&escape(part));
        }
    }
    out
}

/// A table; cells are plain text. Columns whose cells are all numbers are set flush right.
pub fn table(header: &[&str], rows: &[Vec<String>]) -> String {
    let numeric: Vec<bool> =
        (0..header.len()).map(|c| rows.iter().all(|r| r.get(c).is_none_or(|cell| is_numeric(cell)))).collect();
    let class = |c: usize| if numeric.get(c) == Some(&true) { " class=\"n\"" } else { "" };
    let mut out = String::from("<div class=\"scroll\"><table><thead><tr>");
    for (c, h) in header.iter().enumerate() {
        let _ = write!(out, "<th{}>{}</th>", class(c), escape(h));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for (c, cell) in row.iter().enumerate() {
            let _ = write!(out, "<td{}>{}</td>", class(c), escape(cell));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
    out
}

/// Numbers, also with a percent sign or as "mean ± deviation".
fn is_numeric(cell: &str) -> bool {
    cell.is_empty() || cell == "-" || cell.split('±').all(|part| part.replace(['%', ' '], "").parse::<f64>().is_ok())
}

/// A figure of ready-made HTML (`content`) with a plain-text caption.
pub fn figure(content: &str, caption: &str) -> String {
    format!("<figure>{content}<figcaption>{}</figcaption></figure>\n", code_spans(caption))
}

/// Headline numbers: label and value pairs, plain text.
pub fn headline(numbers: &[(String, String)]) -> String {
    let mut out = String::from("<dl class=\"headline\">");
    for (label, value) in numbers {
        let _ = write!(out, "<div><dt>{}</dt><dd>{}</dd></div>", escape(label), escape(value));
    }
    out.push_str("</dl>\n");
    out
}

/// The whole page.
pub fn page(title: &str, sections: &[Section]) -> String {
    let title = escape(title);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n<title>{title}</title>\n<style>\n{STYLE}</style>\n\
         </head>\n<body>\n<main>\n<h1>{title}</h1>\n<nav>"
    );
    for s in sections {
        let _ = write!(out, "<a href=\"#{}\">{}</a> ", s.id, escape(s.title));
    }
    out.push_str("</nav>\n");
    for s in sections {
        let _ = write!(out, "<section id=\"{}\">\n<h2>{}</h2>\n{}</section>\n", s.id, escape(s.title), s.body);
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

/// An SVG element of the page as a file of its own, with the page's colours.
pub fn standalone_svg(svg: &str) -> String {
    svg.replacen("<svg ", "<svg xmlns=\"http://www.w3.org/2000/svg\" ", 1).replacen(
        '>',
        &format!("><style>{STYLE}</style>"),
        1,
    )
}

/// Series colours are those of Okabe and Ito (Color Universal Design, 2008): told apart with any colour vision.
const STYLE: &str = "\
:root { --ink: #1b1b1b; --dim: #666; --line: #d4d4d4; --paper: #fff; --panel: #f6f6f4;
  --s0: #0072b2; --s1: #d55e00; --s2: #009e73; --s3: #cc79a7; --s4: #e69f00; --s5: #56b4e9; --s6: #8a7f00; --s7: #777; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e8e6; --dim: #a0a09c; --line: #3c3c3a; --paper: #161615;
  --panel: #20201f; --s0: #4aa3df; --s1: #ee7b30; --s2: #2fc796; --s3: #e09cc3; --s6: #d8c800; --s7: #aaa; } }
@media print { :root { --ink: #000; --dim: #444; --line: #bbb; --paper: #fff; --panel: #fff; } nav { display: none; }
  section, figure, tr { break-inside: avoid; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1020px; margin: 0 auto; padding: 24px 20px 64px; }
h1 { font-size: 24px; margin: 0 0 4px; } h2 { font-size: 18px; margin: 40px 0 8px; border-bottom: 1px solid var(--line); }
h3 { font-size: 15px; margin: 20px 0 4px; }
nav { font-size: 13px; } nav a { margin-right: 10px; color: var(--s0); text-decoration: none; }
p { max-width: 76ch; margin: 8px 0; } code { font: 13px ui-monospace, monospace; background: var(--panel); padding: 1px 4px; }
.missing { color: var(--dim); font-style: italic; }
.headline { display: flex; flex-wrap: wrap; gap: 10px; margin: 16px 0; }
.headline div { background: var(--panel); border: 1px solid var(--line); border-radius: 6px; padding: 8px 14px; }
.headline dt { color: var(--dim); font-size: 12px; } .headline dd { margin: 0; font-size: 20px; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: 13.5px; margin: 8px 0; }
th, td { text-align: left; padding: 3px 14px 3px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { color: var(--dim); font-weight: 600; } .n { text-align: right; font-variant-numeric: tabular-nums; }
figure { margin: 12px 0; } figcaption { color: var(--dim); font-size: 13px; max-width: 90ch; }
svg { max-width: 100%; height: auto; } svg text { fill: var(--ink); font: 12px system-ui, sans-serif; }
svg .grid { stroke: var(--line); stroke-width: 1; } svg .axis { stroke: var(--dim); stroke-width: 1; }
img { image-rendering: pixelated; vertical-align: top; }
.cells td { padding: 2px; border: 0; text-align: center; } .cells th { padding: 2px 8px 2px 2px; border: 0; font-weight: 400; font-size: 12px; }
.cells .gap td, .cells .gap th { padding-top: 10px; }
.same { outline: 2px solid var(--s2); } .other { outline: 2px solid var(--s1); } .query { outline: 2px solid var(--dim); }
.tiles { display: flex; flex-wrap: wrap; gap: 6px; } .tiles span { font-size: 11px; color: var(--dim); text-align: center; }
.columns { display: flex; flex-wrap: wrap; gap: 0 20px; } .columns figure { max-width: 460px; } .pass { color: var(--s2); } .fail { color: var(--s1); font-weight: 600; }
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(escape("<a href=\"x\">&"), "&lt;a href=&quot;x&quot;&gt;&amp;");
        assert!(table(&["<b>"], &[vec!["<i>".into()]]).contains("&lt;i&gt;"));
        assert_eq!(missing("run `ldae <x>`"), "<p class=\"missing\">run <code>ldae &lt;x&gt;</code></p>\n");
    }

    #[test]
    fn number_columns_are_flush_right() {
        let html = table(&["name", "k-NN"], &[vec!["pixels".into(), "43.9 ± 0.1".into()]]);
        assert!(html.contains("<td>pixels</td><td class=\"n\">43.9 ± 0.1</td>"));
    }
}
