//! What [`super::load`] returns.

use super::Split;
use serde::{Deserialize, Serialize};

/// A file (or record) that could not be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadFile {
    /// Path relative to the source, or `file:record`.
    pub name: String,
    /// One line.
    pub reason: String,
}

/// Widths and heights of the pictures before the resize.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sizes {
    /// Of the picture with the fewest pixels: (width, height).
    pub min: (u32, u32),
    /// Of the picture with the most pixels.
    pub max: (u32, u32),
    /// The most frequent size and how many pictures have it.
    pub common: (u32, u32),
    /// Pictures of the most frequent size.
    pub common_count: u64,
    /// Number of different sizes.
    pub distinct: u64,
    /// Pictures in colour (the others are grey).
    pub colour: u64,
}

/// Pictures of one shape in named splits.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Last part of the source's path, or `drawn`.
    pub name: String,
    /// What kind of source was recognised ("folder of images", "CIFAR-10 binary", ...).
    pub kind: String,
    /// Class names; a label is an index into them. Folder names are sorted bytewise.
    pub classes: Vec<String>,
    /// Training pictures.
    pub train: Split,
    /// Test pictures, where the source has them; else, when there is no `val` either, the cut described at
    /// [`Dataset::test_is_cut`].
    pub test: Option<Split>,
    /// Validation pictures, where the source has them.
    pub val: Option<Split>,
    /// Pictures in `unlabeled/`, or without a class in a source that has classes.
    pub unlabelled: Option<Split>,
    /// True when the source has neither test nor validation pictures, so that a fixed shuffle moved every tenth
    /// training picture to `test`.
    pub test_is_cut: bool,
    /// Files that were skipped.
    pub bad: Vec<BadFile>,
    /// Sizes before the resize.
    pub sizes: Sizes,
    /// sha256 (hex) over every decoded picture, its label and split, and the class names.
    pub fingerprint: String,
}

impl Dataset {
    /// Number of classes: those it names, or as many as the labels of the training pictures need.
    pub fn label_count(&self) -> usize {
        let largest = self.train.labels().and_then(|labels| labels.iter().max());
        self.classes.len().max(largest.map_or(0, |&label| usize::from(label) + 1))
    }

    /// Training pictures alone, without labels or a source.
    pub fn of_pictures(name: &str, train: Split) -> Self {
        Dataset {
            name: name.to_owned(),
            kind: "pictures in memory".to_owned(),
            classes: Vec::new(),
            train,
            test: None,
            val: None,
            unlabelled: None,
            test_is_cut: false,
            bad: Vec::new(),
            sizes: Sizes::default(),
            fingerprint: String::new(),
        }
    }

    /// The split evaluation uses: `test`, else `val`. A source with neither has a tenth of its training pictures cut
    /// off as `test` at load, so training and held-out pictures never overlap; only a set of one single picture
    /// returns `train` itself.
    pub fn held_out(&self) -> &Split {
        self.test.as_ref().or(self.val.as_ref()).unwrap_or(&self.train)
    }

    /// Height and width of every picture.
    pub fn side(&self) -> usize {
        self.train.side()
    }

    /// 1 (grey) or 3 (RGB).
    pub fn channels(&self) -> usize {
        self.train.channels()
    }

    /// Name and pictures of each split that is there, training first.
    pub fn splits(&self) -> Vec<(&'static str, &Split)> {
        let others = [("val", &self.val), ("test", &self.test), ("unlabelled", &self.unlabelled)];
        let others = others.into_iter().filter_map(|(name, split)| split.as_ref().map(|s| (name, s)));
        std::iter::once(("train", &self.train)).chain(others).collect()
    }
}
