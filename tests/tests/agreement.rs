//! Runs every suite on every runtime and prints the table: `cargo test -p ldae-tests --test agreement`. Words behind `--` choose the
//! runtimes and suites whose names contain one of them. Exit status 1 when a cell failed.

use ldae_tests::runtime::{self, Runtime};
use ldae_tests::suite::{SUITES, Suite, operations};
use ldae_tests::table::{Cell, Column, render};
use ldae_tests::tolerance::TOLERANCES;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

fn main() -> ExitCode {
    // What the test runner would understand (--ignored, --nocapture, --quiet) has no meaning here.
    let words: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let begun = Instant::now();
    let mut runtimes = runtime::all();
    let mut suites: Vec<&Suite> = SUITES.iter().collect();
    let named = |name: &str| words.iter().any(|w| name.contains(w.as_str()));
    if runtimes.iter().any(|r| named(&r.name())) {
        runtimes.retain(|r| named(&r.name()));
    }
    if suites.iter().any(|s| named(s.name)) {
        suites.retain(|s| named(s.name));
    }
    let mut faults = stale_ignores(&runtimes);
    match operations::uncovered() {
        Ok(uncovered) => faults.extend(uncovered.into_iter().map(|o| format!("operation {o} and cases do not match"))),
        Err(e) => faults.push(e),
    }

    let (columns, seconds) = run(&runtimes, &suites);
    let names: Vec<&str> = suites.iter().map(|s| s.name).collect();
    println!("\nsuites × runtimes; figures are the largest distance from the reference\n");
    println!("{}", render(&names, &columns));
    for t in TOLERANCES {
        let suite = t.suite.unwrap_or("any suite");
        println!("tolerance: {:?}, {suite}: {:?} {:.0e}: {}", t.form, t.measure, t.limit, t.reason);
    }
    for (suite, seconds) in suites.iter().zip(&seconds) {
        println!("suite {}: {} ({seconds:.1} s of one core)", suite.name, suite.about);
    }
    faults.iter().for_each(|f| println!("fault: {f}"));
    let cells = columns.iter().flat_map(|c| &c.cells);
    let failed = cells.clone().filter(|c| matches!(c, Cell::Failed(_))).count() + faults.len();
    let passed = cells.filter(|c| matches!(c, Cell::Passed(_))).count();
    println!("{passed} cells passed, {failed} faults, {:.1} s", begun.elapsed().as_secs_f64());
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Ignored suites that do not exist (any more).
fn stale_ignores(runtimes: &[Box<dyn Runtime>]) -> Vec<String> {
    let mut stale = Vec::new();
    for runtime in runtimes {
        for ignored in runtime.ignored().iter().filter(|i| SUITES.iter().all(|s| s.name != i.suite)) {
            stale.push(format!("{} ignores {}, which is no suite", runtime.name(), ignored.suite));
        }
    }
    stale
}

/// All cells, on all cores, and the time of each suite.
fn run(runtimes: &[Box<dyn Runtime>], suites: &[&Suite]) -> (Vec<Column>, Vec<f64>) {
    let missing: Vec<Option<String>> = runtimes.iter().map(|r| r.available().err()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let (suite, at) = (i / runtimes.len(), i % runtimes.len());
            let Some(suite) = suites.get(suite) else { break done };
            let begun = Instant::now();
            let cell = cell(&*runtimes[at], suite, missing[at].is_some());
            done.push((i, cell, begun.elapsed().as_secs_f64()));
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut cells: Vec<(usize, Cell, f64)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|t| t.join().expect("panics are caught in the cells")).collect()
    });
    cells.sort_by_key(|(i, ..)| *i);
    let mut columns: Vec<Column> = runtimes
        .iter()
        .zip(missing)
        .map(|(r, missing)| Column { runtime: r.name(), missing, cells: Vec::new() })
        .collect();
    let mut seconds = vec![0.0; suites.len()];
    for (i, cell, time) in cells {
        columns[i % runtimes.len()].cells.push(cell);
        seconds[i / runtimes.len()] += time;
    }
    (columns, seconds)
}

fn cell(runtime: &dyn Runtime, suite: &Suite, missing: bool) -> Cell {
    if let Some(ignored) = runtime.ignored().iter().find(|i| i.suite == suite.name) {
        return Cell::Ignored(ignored.reason.to_owned());
    }
    if missing {
        return Cell::Skipped;
    }
    match catch_unwind(AssertUnwindSafe(|| (suite.run)(runtime))) {
        Ok(Ok(found)) => Cell::Passed(found),
        Ok(Err(cause)) => Cell::Failed(cause),
        Err(_) => Cell::Failed("panicked".to_owned()),
    }
}
