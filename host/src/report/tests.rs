use super::*;
use crate::cli::Output;
use crate::run_dir::RunDir;

fn without_addresses(html: &str) -> bool {
    !["http://", "https://", "<script", "<link", "url(", "@import"].iter().any(|bad| html.contains(bad))
}

#[test]
fn an_empty_run_directory_gives_a_page_that_says_what_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let material = collect(&RunDir::new(folder.path()), None, &Output::new(true)).unwrap();
    let page = html(&material).unwrap();
    for command in ["ldae train", "ldae eval", "ldae export", "ldae verify"] {
        assert!(page.contains(command), "{command}");
    }
    assert!(without_addresses(&page));
}

#[test]
fn a_full_run_fills_every_section() {
    let folder = tempfile::tempdir().unwrap();
    fixture::write_run(folder.path());
    let mut material = collect(&RunDir::new(folder.path()), None, &Output::new(true)).unwrap();
    fixture::fill(&mut material);
    let page = html(&material).unwrap();
    assert!(!page.contains("not available"), "{}", page.find("not available").map(|i| &page[i..i + 200]).unwrap_or(""));
    assert!(without_addresses(&page));
    assert!(!page.contains("NaN"));
    assert_eq!(page.matches("<section").count(), page.matches("</section>").count());
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    // `LDAE_FIXTURE_PAGE=fixture.html cargo test --release -p ldae-host report` keeps the page to look at.
    if let Some(path) = std::env::var_os("LDAE_FIXTURE_PAGE") {
        write(&material, path.as_ref(), &std::path::Path::new(&path).with_extension("md")).unwrap();
    }
}

#[test]
fn a_missing_run_is_an_error_with_a_hint() {
    let error = collect(&RunDir::new("no/such/run"), None, &Output::new(true)).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("no/such/run") && error.advice().is_some());
}

#[test]
fn a_damaged_input_is_named_on_the_page() {
    let folder = tempfile::tempdir().unwrap();
    fixture::write_run(folder.path());
    std::fs::write(folder.path().join("export/quality.json"), "{").unwrap();
    let page = html(&collect(&RunDir::new(folder.path()), None, &Output::new(true)).unwrap()).unwrap();
    assert!(page.contains("cannot read quality.json"));
}

#[test]
fn writing_leaves_no_partial_file() {
    let folder = tempfile::tempdir().unwrap();
    let run = RunDir::new(folder.path());
    let material = collect(&run, None, &Output::new(true)).unwrap();
    write(&material, &run.report(), &run.card()).unwrap();
    let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["card.md", "report.html"]);
}
