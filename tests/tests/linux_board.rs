//! The program of `firmware-examples/linux-board` against this machine: the integer engine's embeddings bit for bit, tract's
//! within 1e-5. Run by `./ci.sh linux_board`, which builds the programs and names them in `LDAE_BOARD_RUNNERS`: one a line,
//! `NAME COMMAND...`; `LDAE_BOARD_TRACT` says that they also run ONNX.

use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use ldae_device::tract::TractEncoder;
use ldae_host::data::{LoadOptions, load};
use ldae_shared::npy;
use ldae_shared::resize::{Picture, resize_crop};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Largest difference of tract between processors, in root mean squares of an embedding: what is promised of every export.
const AGREEMENT: f32 = 1e-5;

struct Runner {
    name: String,
    command: Vec<String>,
}

impl Runner {
    fn all() -> Vec<Runner> {
        let lines = std::env::var("LDAE_BOARD_RUNNERS").expect("run this by ./ci.sh linux_board");
        let runner = |line: &str| {
            let mut words = line.split_whitespace().map(str::to_owned);
            Runner { name: words.next().unwrap(), command: words.collect() }
        };
        lines.lines().filter(|l| !l.trim().is_empty()).map(runner).collect()
    }

    fn run(&self, arguments: &[&str], input: &[u8]) -> Output {
        let mut process = Command::new(&self.command[0])
            .args(&self.command[1..])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A program that refuses its arguments does not read.
        let _ = process.stdin.take().unwrap().write_all(input);
        process.wait_with_output().unwrap()
    }

    /// As [`Runner::run`], with exit status 0.
    fn runs(&self, arguments: &[&str], input: &[u8]) -> String {
        let output = self.run(arguments, input);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{}: {errors}", self.name);
        String::from_utf8(output.stdout).unwrap()
    }
}

fn ldae(arguments: &[&str]) {
    let output = Command::new(ldae_tests::ldae()).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    // 1: a run of a few steps misses the quality gate; the files are written all the same.
    assert!(matches!(output.status.code(), Some(0 | 1)), "{arguments:?}: {text}");
}

/// The files of an export of a run of a few steps: integer, float32, int8 weights.
fn export(folder: &Path) -> [String; 3] {
    let run = folder.join("run").display().to_string();
    let train = "--preset xs --rank 16 --width 32 --depth 2 --heads 2 --batch 32 --steps 10 --pca-patches 2000 \
                 --seed 7 --device cpu --data drawn:train=160,test=60,side=32,seed=3";
    ldae(&["train", "--out", &run].into_iter().chain(train.split_whitespace()).collect::<Vec<_>>());
    let files = ["encoder.ldae", "encoder.onnx", "encoder-int8.onnx"].map(|f| format!("{run}/export/{f}"));
    ldae(&["export", &run, "--onnx", &files[1], "--onnx-int8", &files[2]]);
    files
}

/// A hundred pictures of CIFAR-10 where the data set is (`LDAE_CIFAR10`, or beside the repository), else the program's own;
/// and some of other sizes, shapes and formats.
fn pictures(folder: &Path) -> PathBuf {
    let beside = concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data/cifar10");
    let cifar = PathBuf::from(std::env::var_os("LDAE_CIFAR10").unwrap_or_else(|| beside.into()));
    let source = if cifar.is_dir() { cifar.display().to_string() } else { "drawn:test=100,side=32".into() };
    println!("pictures: {source}");
    let options = LoadOptions { side: Some(32), channels: Some(3), limit: Some(100), ..LoadOptions::default() };
    let split = load(&source, &options).unwrap().test.unwrap();
    let folder = folder.join("pictures");
    fs::create_dir(&folder).unwrap();
    for i in 0..100 {
        let picture = RgbImage::from_raw(32, 32, split.image(i).to_vec()).unwrap();
        picture.save_with_format(folder.join(format!("{i:03}.png")), ImageFormat::Png).unwrap();
    }
    for (i, (width, height)) in [(48, 48), (100, 75), (75, 100), (333, 40), (33, 32)].into_iter().enumerate() {
        let value = |x: u32, y: u32| (x * 7 + y * 13 + (x * y) / 9) as u8;
        let colour = RgbImage::from_fn(width, height, |x, y| image::Rgb([value(x, y), value(y, x), (x ^ y) as u8]));
        let grey = GrayImage::from_fn(width, height, |x, y| image::Luma([value(x, y)]));
        let save = |picture: DynamicImage, ending: &str, format| {
            picture.save_with_format(folder.join(format!("odd{i}.{ending}")), format).unwrap();
        };
        save(colour.into(), "jpg", ImageFormat::Jpeg);
        save(grey.into(), "png", ImageFormat::Png);
    }
    folder
}

/// Embeddings by the name of the picture.
type Embeddings = BTreeMap<String, Vec<f32>>;

/// What tract on this machine gives for the files of `folder`.
fn by_tract(encoder: &TractEncoder, folder: &Path) -> Embeddings {
    let spec = encoder.spec();
    let embedded = fs::read_dir(folder).unwrap().map(|file| {
        let file = file.unwrap();
        let picture = image::open(file.path()).unwrap();
        let (width, height) = (picture.width() as usize, picture.height() as usize);
        let (channels, bytes) = match picture.color().has_color() {
            true => (3, picture.into_rgb8().into_raw()),
            false => (1, picture.into_luma8().into_raw()),
        };
        let picture = Picture::new(width, height, channels, &bytes).unwrap();
        let pixels = resize_crop(&picture, spec.image.into(), spec.channels.into());
        let mut row = vec![0f32; spec.embedding() as usize];
        encoder.embed(&pixels, &mut row).unwrap();
        (file.file_name().into_string().unwrap(), row)
    });
    embedded.collect()
}

/// A stored matrix with its names.
fn stored(path: &str) -> Embeddings {
    let file = fs::read(path).unwrap();
    let (of, rows, columns, values) = npy::read(&file).unwrap();
    assert_eq!(of, npy::Type::F32);
    let values: Vec<f32> = values.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let names = fs::read_to_string(Path::new(path).with_extension("names.txt")).unwrap();
    let all: Embeddings =
        names.lines().map(str::to_owned).zip(values.chunks_exact(columns).map(<[f32]>::to_vec)).collect();
    assert_eq!(all.len(), rows, "two pictures of one name");
    all
}

/// Largest difference of a component, in root mean squares of its expected embedding.
fn scaled_difference(found: &Embeddings, expected: &Embeddings) -> f32 {
    assert!(found.keys().eq(expected.keys()));
    let worst = found.values().zip(expected.values()).map(|(a, b)| {
        let rms = (b.iter().map(|v| v * v).sum::<f32>() / b.len() as f32).sqrt();
        a.iter().zip(b).map(|(a, b)| (a - b).abs() / rms).fold(0.0, f32::max)
    });
    worst.fold(0.0, f32::max)
}

#[test]
#[ignore = "needs the programs that ./ci.sh linux_board builds"]
fn runners_embed_as_this_machine_does() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let files = export(folder.path());
    let pictures = pictures(folder.path());
    let pictures = pictures.display().to_string();
    let (host, board) = (at("host.npy"), at("board.npy"));
    ldae(&["embed", &files[0], "--data", &pictures, "--out", &host]);
    let expected = stored(&host);
    assert_eq!(expected.len(), 110);
    let with_tract = std::env::var_os("LDAE_BOARD_TRACT").is_some();
    let runners = Runner::all();
    assert!(!runners.is_empty());
    for runner in &runners {
        runner.runs(&[&files[0], &pictures, "--store", &board], &[]);
        assert_eq!(stored(&board), expected, "{}: embeddings", runner.name);
        println!("{}: integer engine equal bit for bit, 110 pictures", runner.name);
        for file in &files[1..] {
            if !with_tract {
                let output = runner.run(&[file, &pictures], &[]);
                assert_eq!(output.status.code(), Some(2), "{}: runs ONNX without tract", runner.name);
                continue;
            }
            let encoder = TractEncoder::new(&fs::read(file).unwrap()).unwrap();
            runner.runs(&[file, &pictures, "--store", &board], &[]);
            let worst = scaled_difference(&stored(&board), &by_tract(&encoder, Path::new(&pictures)));
            let weights = encoder.weights().name();
            println!("{}: tract, {weights} weights: largest scaled difference {worst:.2e}", runner.name);
            assert!(worst <= AGREEMENT, "{}", runner.name);
        }
    }
}

#[test]
#[ignore = "needs the programs that ./ci.sh linux_board builds"]
fn frames_neighbours_and_errors() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let encoder = at("odd.ldae");
    fs::write(&encoder, ldae_tests::odd_artifact(ldae_shared::spec::Pooling::MeanStd)).unwrap();
    // Three frames of 20 x 17 grey; the encoder takes 15 x 15 RGB.
    let frames: Vec<u8> = (0..3 * 20 * 17u32).map(|i| (i * i / 7 % 251) as u8).collect();
    for runner in Runner::all() {
        let store = at("set.npy");
        runner.runs(&[&encoder, "--frames", "20x17x1", "--store", &store], &frames);
        let lines = runner.runs(&[&encoder, "--frames", "20x17x1", "--set", &store, "--json"], &frames[..2 * 340]);
        let lines: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines.len(), 2);
        for (i, line) in lines.iter().enumerate() {
            assert_eq!(line["neighbours"].as_array().unwrap().len(), 3);
            assert_eq!(line["neighbours"][0]["name"], line["name"]);
            assert_eq!(line["name"], format!("frame {i}"));
            assert!((line["neighbours"][0]["cosine"].as_f64().unwrap() - 1.0).abs() < 1e-6);
            assert_eq!(line["embedding"].as_array().unwrap().len(), 28);
        }
        let refused = |arguments: &[&str], input: &[u8], part: &str| {
            let output = runner.run(arguments, input);
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
            assert!(text.contains(part) && text.contains("\nhint: "), "{text}");
        };
        refused(&[&encoder, "--frames", "20x17x1"], &frames[..341], "ends 1 bytes into a frame");
        refused(&[&at("none.ldae"), "x.png"], &[], "cannot read");
        refused(&[&store, "x.png"], &[], "set.npy");
        refused(&[&encoder, "--camera", "/dev/null"], &[], "is no camera");
        fs::write(at("bad.png"), b"no picture").unwrap();
        refused(&[&encoder, &at("bad.png")], &[], "none of 1 pictures");
    }
}
