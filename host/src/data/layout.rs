//! What a path says: split, class, file kind.
//!
//! * Split: the first folder (after folders common to everything) named `train`, `val`, `test`, `unlabeled` or a usual
//!   variant of these, whatever the case; everything is `train` where there is none.
//! * Class: the first folder below the split (torchvision's ImageFolder rule); deeper folders only hold files.
//! * Folders that contain everything ("scenes96/...") carry no information and are ignored.

use std::collections::BTreeSet;
use std::path::Path;

/// The split a picture belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Part {
    /// Training pictures.
    Train = 0,
    /// Validation pictures.
    Val = 1,
    /// Test pictures.
    Test = 2,
    /// Pictures without labels.
    Unlabelled = 3,
}

impl Part {
    /// In the order of their numbers.
    pub const ALL: [Part; 4] = [Part::Train, Part::Val, Part::Test, Part::Unlabelled];

    /// The split a folder of this name stands for.
    pub fn of_folder(name: &str) -> Option<Part> {
        match name.to_ascii_lowercase().as_str() {
            "train" | "training" | "trainset" => Some(Part::Train),
            "val" | "valid" | "validation" => Some(Part::Val),
            "test" | "testing" | "testset" | "t10k" => Some(Part::Test),
            "unlabeled" | "unlabelled" | "extra_unlabeled" => Some(Part::Unlabelled),
            _ => None,
        }
    }
}

/// The split named by one of the words of a file name (`train-000012.tar`, `t10k-images-idx3-ubyte`).
pub(crate) fn part_in_name(name: &str) -> Option<Part> {
    name.split(|c: char| !c.is_ascii_alphanumeric()).find_map(Part::of_folder)
}

/// The last component of a path, lossily as text.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The name without `.gz` or `.xz`.
pub(crate) fn without_compression(name: &str) -> &str {
    name.strip_suffix(".gz").or_else(|| name.strip_suffix(".xz")).unwrap_or(name)
}

/// Endings of picture files, lower case.
pub(crate) const PICTURES: [&str; 12] =
    ["jpg", "jpeg", "png", "bmp", "gif", "webp", "ppm", "pgm", "pbm", "pnm", "tif", "tiff"];

/// True for names of pictures, compressed or not; hidden files (also macOS's `._name`) are none.
pub(crate) fn is_picture(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or(name);
    let ending = without_compression(last).rsplit_once('.').map(|(_, e)| e.to_ascii_lowercase());
    !last.starts_with('.') && ending.is_some_and(|e| PICTURES.contains(&e.as_str()))
}

/// True for names of tar archives, compressed or not.
pub(crate) fn is_tar(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    !name.starts_with('.')
        && (without_compression(&lower).ends_with(".tar") || lower.ends_with(".tgz") || lower.ends_with(".txz"))
}

/// Split and class name of each of `paths` (relative, `/`-separated). `default` is the split of paths that name none.
pub(crate) fn places(paths: &[&str], default: &[Part]) -> Vec<(Part, Option<String>)> {
    let folders: Vec<Vec<&str>> = paths
        .iter()
        .map(|p| {
            let mut folders: Vec<&str> = p.split('/').filter(|c| !c.is_empty() && *c != ".").collect();
            folders.pop();
            folders
        })
        .collect();
    let mut skip = 0;
    loop {
        let here: BTreeSet<Option<&str>> = folders.iter().map(|f| f.get(skip).copied()).collect();
        // One folder holds everything, is no split, and has folders below it: a wrapper. (A lone class folder with
        // nothing but files keeps its class.)
        let only = if here.len() == 1 { here.into_iter().next().flatten() } else { None };
        let below = folders.iter().any(|f| f.len() > skip + 1);
        match only {
            Some(name) if Part::of_folder(name).is_none() && below => skip += 1,
            _ => break,
        }
    }
    folders
        .iter()
        .zip(default)
        .map(|(f, &default)| {
            let rest = &f[skip.min(f.len())..];
            match rest.first().and_then(|name| Part::of_folder(name)) {
                Some(part) => (part, rest.get(1).map(|c| (*c).to_owned())),
                None => (default, rest.first().map(|c| (*c).to_owned())),
            }
        })
        .map(|(part, class)| (part, class.filter(|_| part != Part::Unlabelled)))
        .collect()
}

/// Split and label of each picture.
pub(crate) type Labels = Vec<(Part, Option<u16>)>;

/// Class names, sorted bytewise (all-digit names by value), and each picture's label. Where some pictures have a class,
/// those without go to [`Part::Unlabelled`].
pub(crate) fn label(places: &[(Part, Option<String>)]) -> Result<(Vec<String>, Labels), String> {
    let names: BTreeSet<&str> = places.iter().filter_map(|(_, class)| class.as_deref()).collect();
    let mut classes: Vec<String> = names.into_iter().map(str::to_owned).collect();
    if classes.iter().all(|c| c.len() < 18 && c.bytes().all(|b| b.is_ascii_digit())) {
        classes.sort_by_key(|c| c.parse::<u64>().unwrap_or(u64::MAX));
    }
    if classes.len() >= usize::from(u16::MAX) {
        return Err(format!("{} class folders, at most {} are supported", classes.len(), u16::MAX - 1));
    }
    let position: std::collections::HashMap<&str, u16> =
        classes.iter().enumerate().map(|(i, c)| (c.as_str(), i as u16)).collect();
    let labels = places
        .iter()
        .map(|(part, class)| match class {
            Some(class) => (*part, Some(position[class.as_str()])),
            None if classes.is_empty() => (*part, None),
            None => (Part::Unlabelled, None),
        })
        .collect();
    Ok((classes, labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split_class(paths: &[&str]) -> Vec<(Part, Option<String>)> {
        places(paths, &vec![Part::Train; paths.len()])
    }

    fn some(part: Part, class: &str) -> (Part, Option<String>) {
        (part, Some(class.into()))
    }

    #[test]
    fn splits_and_classes_below_a_wrapper() {
        let paths = ["set/train/sea/1.jpg", "set/val/forest/deep/2.jpg", "set/unlabeled/3.jpg", "./set/Test/sea/4.jpg"];
        let expected =
            [some(Part::Train, "sea"), some(Part::Val, "forest"), (Part::Unlabelled, None), some(Part::Test, "sea")];
        assert_eq!(split_class(&paths), expected);
    }

    #[test]
    fn class_folders_without_splits() {
        assert_eq!(split_class(&["b/1.jpg", "a/2.jpg"]), [some(Part::Train, "b"), some(Part::Train, "a")]);
        assert_eq!(split_class(&["only/1.jpg", "only/2.jpg"]), [some(Part::Train, "only"), some(Part::Train, "only")]);
        assert_eq!(split_class(&["1.jpg", "2.jpg"]), [(Part::Train, None), (Part::Train, None)]);
        assert_eq!(split_class(&["w/x/a/1.jpg", "w/x/b/2.jpg"]), [some(Part::Train, "a"), some(Part::Train, "b")]);
    }

    #[test]
    fn labels_sort_bytewise_or_by_number() {
        let (classes, labels) = label(&[some(Part::Train, "b"), some(Part::Val, "B"), (Part::Train, None)]).unwrap();
        assert_eq!(classes, ["B", "b"]);
        assert_eq!(labels, [(Part::Train, Some(1)), (Part::Val, Some(0)), (Part::Unlabelled, None)]);
        let (classes, _) = label(&[some(Part::Train, "10"), some(Part::Train, "9")]).unwrap();
        assert_eq!(classes, ["9", "10"]);
    }

    #[test]
    fn file_kinds() {
        assert!(is_picture("a/b.JPG") && is_picture("b.ppm.xz") && !is_picture("a/._b.jpg") && !is_picture("jpg"));
        assert!(is_tar("x-000.tar") && is_tar("x.tar.gz") && is_tar("x.txz") && !is_tar("x.tar.txt"));
        assert_eq!(part_in_name("t10k-images-idx3-ubyte"), Some(Part::Test));
        assert_eq!(part_in_name("emnist-letters-train-images"), Some(Part::Train));
    }
}
