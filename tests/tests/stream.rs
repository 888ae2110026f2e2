//! A folder of many JPEG files trains in bounded memory: pictures are decoded in parallel into the cache on disk, and training
//! reads them from there.
//!
//! 100,000 drawn files of 112 pixels a side (LDAE_STREAM_FILES names another number) become 2.8 GB of decoded pictures, of which 50 MB may
//! stay in memory (LDAE_MEMORY_GB). Peaks are read from /proc while the program runs: `VmHWM` counts everything, also pages of the cache file, which the system may take back at any
//! time; `RssAnon` is the program's own memory.

use ldae_host::bench::pipeline::write_jpeg;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const FILES: usize = 100_000;
/// Of the files, and of the pictures that they become.
const JPEG_SIDE: usize = 112;
const SIDE: usize = 96;
/// GB of decoded pictures that may stay in memory: 5,000 take 0.138.
const MEMORY: &str = "0.05";
/// Bound of everything, pages of the cache file included, bytes: a third of 100,000 decoded pictures.
const WHOLE: u64 = 900 << 20;
/// Bound of the program's own memory, bytes: 75 MiB were measured in training, and 5,000 decoded pictures would add 132 MiB.
const OWN: u64 = 140 << 20;

/// `count` files in folders of a thousand; their bytes. Each folder holds the same thousand pictures.
fn draw(folder: &Path, count: usize) -> usize {
    let first = folder.join("000");
    std::fs::create_dir_all(&first).unwrap();
    let sizes: Vec<usize> = (0..count.min(1000)).map(|i| write_jpeg(&first, i, JPEG_SIDE).unwrap()).collect();
    for i in 1000..count {
        let copy = folder.join(format!("{:03}", i / 1000));
        if i % 1000 == 0 {
            std::fs::create_dir(&copy).unwrap();
        }
        let name = format!("{:06}.jpg", i % 1000);
        std::fs::copy(first.join(&name), copy.join(&name)).unwrap();
    }
    (0..count).map(|i| sizes[i % 1000]).sum()
}

/// Peaks of a process's memory until it ends, bytes: everything, and its own.
fn peaks(child: &mut Child) -> (u64, u64) {
    let status = format!("/proc/{}/status", child.id());
    let (mut whole, mut own) = (0, 0);
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
            line.and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) << 10
        };
        whole = whole.max(value("VmHWM:"));
        own = own.max(value("RssAnon:"));
        if child.try_wait().unwrap().is_some() {
            return (whole, own);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
#[ignore = "draws 100,000 files: ci.sh stream"]
fn many_files_train_in_bounded_memory() {
    let count = std::env::var("LDAE_STREAM_FILES").map_or(FILES, |n| n.parse().expect("a number of files"));
    let program = ldae_tests::ldae();
    let folder = tempfile::tempdir().unwrap();
    let (pictures, cache) = (folder.path().join("pictures"), folder.path().join("cache"));
    let began = Instant::now();
    let bytes = draw(&pictures, count);
    println!("{count} files, {:.2} GB, drawn in {:.0?}", bytes as f64 / 1e9, began.elapsed());
    let train = |run: &str, more: &[&str]| {
        let options = "--preset xs --image 96 --patch 12 --channels 3 --batch 32 --steps 5 --log-every 5 --knn-every 1000 \
                       --knn-train 200 --knn-test 100 --checkpoint-every 1000 --pca-patches 2000 --device cpu";
        let began = Instant::now();
        let mut child = Command::new(&program)
            .arg("train")
            .arg("--data")
            .arg(&pictures)
            .arg("--out")
            .arg(folder.path().join(run))
            .args(options.split_whitespace())
            .args(more)
            .env("XDG_CACHE_HOME", &cache)
            .env("LDAE_CACHE_GB", "4")
            .env("LDAE_MEMORY_GB", MEMORY)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let (whole, own) = peaks(&mut child);
        assert!(child.wait().unwrap().success(), "{run}");
        let (seconds, mib) = (began.elapsed().as_secs_f64(), |bytes: u64| bytes >> 20);
        println!("{run}: {seconds:.1} s, peak {} MiB, of which its own {} MiB", mib(whole), mib(own));
        assert!(own > 0 && whole >= own, "the figures of /proc");
        assert!(whole < WHOLE && own < OWN, "{run}: {whole} bytes, of which its own {own}");
        let run = std::fs::read_to_string(folder.path().join(run).join("metrics.jsonl")).unwrap();
        (seconds, run)
    };
    let cached = || -> u64 {
        let files: Vec<_> =
            std::fs::read_dir(cache.join("ldae")).map(|files| files.flatten().collect()).unwrap_or_default();
        files.iter().map(|file| file.metadata().unwrap().len()).sum()
    };
    let (seconds, first) = train("import", &[]);
    println!("{:.2} ms a picture, {:.2} GB in the cache", 1e3 * seconds / count as f64, cached() as f64 / 1e9);
    assert!(count >= 5000, "fewer pictures would not show in the bounds");
    assert!(cached() > (count * SIDE * SIDE * 3) as u64, "all pictures are in the cache");
    let (_, second) = train("cached", &[]);
    assert_eq!(first, second, "the cache gives what the files gave");
    let before = cached();
    train("limited", &["--limit", "1000"]);
    assert_eq!(cached(), before, "a thousand pictures stay in memory");
}
