//! The one description of a model: training configuration, artifact header, memory plan and report are computed from it.
//!
//! Everything here is a `const fn` in `u32`/`u64` arithmetic that cannot overflow for a spec that [`EncoderSpec::check`]
//! accepts, so firmware sizes its buffers at compile time.

/// Largest accepted image side in pixels.
pub const MAX_IMAGE: u16 = 1024;
/// Largest accepted number of tokens N: bounds the row buffers and the exact integer sums of NUMERICS rules 6 and 9.
pub const MAX_TOKENS: u32 = 4096;
/// Largest accepted width W (vit-large has 1024).
pub const MAX_WIDTH: u16 = 2048;
/// Largest accepted number of blocks L.
pub const MAX_DEPTH: u16 = 64;
/// Largest accepted number of values of one patch P (16·16·3 = 768 in the papers).
pub const MAX_PATCH_VALUES: u32 = 4096;
/// Largest accepted hidden width of the MLP (r·W).
pub const MAX_HIDDEN: u32 = 8192;
/// Largest head width: NUMERICS rule 2 (127·127·512 < 2^23).
pub const MAX_HEAD_WIDTH: u16 = 512;

/// Standard deviations that one unit of an embedding's code stands for: codes are i8 over ±5 deviations (NUMERICS rule 9).
pub const CODE_UNIT: f32 = 5.0 / 127.0;

/// How tokens become one embedding (NUMERICS rule 9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// Mean over tokens: W components.
    Mean,
    /// Mean, then standard deviation over tokens: 2·W components.
    MeanStd,
    /// Means over the four quarters of the token grid (top left, top right, bottom left, bottom right): 4·W components.
    Grid2x2,
}

impl Pooling {
    /// Code in the artifact.
    pub const fn code(self) -> u8 {
        match self {
            Pooling::Mean => 0,
            Pooling::MeanStd => 1,
            Pooling::Grid2x2 => 2,
        }
    }

    /// Inverse of [`Pooling::code`].
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Pooling::Mean),
            1 => Some(Pooling::MeanStd),
            2 => Some(Pooling::Grid2x2),
            _ => None,
        }
    }

    /// Name on the command line and in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Pooling::Mean => "mean",
            Pooling::MeanStd => "mean-std",
            Pooling::Grid2x2 => "grid2x2",
        }
    }

    /// Inverse of [`Pooling::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        [Pooling::Mean, Pooling::MeanStd, Pooling::Grid2x2].into_iter().find(|p| p.name() == name)
    }

    /// Components per unit of width.
    pub const fn factor(self) -> u32 {
        match self {
            Pooling::Mean => 1,
            Pooling::MeanStd => 2,
            Pooling::Grid2x2 => 4,
        }
    }
}

/// Shape of an encoder. All fields are counts; the image is square.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EncoderSpec {
    /// Image side in pixels.
    pub image: u16,
    /// Channels C: 1 (grey) or 3 (RGB).
    pub channels: u8,
    /// Patch side p in pixels; divides `image`.
    pub patch: u16,
    /// PCA rank K, 1..=P.
    pub rank: u16,
    /// Width W; a multiple of `heads`.
    pub width: u16,
    /// Blocks L.
    pub depth: u16,
    /// Attention heads H.
    pub heads: u16,
    /// MLP ratio r: the hidden width is r·W.
    pub mlp_ratio: u8,
    /// Pooling of the tokens.
    pub pooling: Pooling,
}

/// Why a spec is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecError {
    /// A dimension is zero or above its maximum.
    OutOfRange {
        /// Which field.
        field: &'static str,
        /// Its value.
        value: u32,
        /// The largest accepted value.
        max: u32,
    },
    /// The patch side does not divide the image side.
    PatchDoesNotDivideImage {
        /// Image side.
        image: u16,
        /// Patch side.
        patch: u16,
    },
    /// The width is no multiple of the number of heads.
    HeadsDoNotDivideWidth {
        /// Width W.
        width: u16,
        /// Heads H.
        heads: u16,
    },
    /// The rank K exceeds the patch length P.
    RankExceedsPatch {
        /// Rank K.
        rank: u16,
        /// Patch values P.
        patch_values: u32,
    },
}

impl core::fmt::Display for SpecError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match *self {
            SpecError::OutOfRange { field, value, max } => write!(f, "{field} is {value}, accepted are 1 to {max}"),
            SpecError::PatchDoesNotDivideImage { image, patch } => {
                write!(f, "patch side {patch} does not divide image side {image}")
            }
            SpecError::HeadsDoNotDivideWidth { width, heads } => write!(f, "{heads} heads do not divide width {width}"),
            SpecError::RankExceedsPatch { rank, patch_values } => {
                write!(f, "rank {rank} exceeds the {patch_values} values of a patch")
            }
        }
    }
}

impl core::error::Error for SpecError {}

const fn in_range(field: &'static str, value: u32, max: u32) -> Result<(), SpecError> {
    if value == 0 || value > max { Err(SpecError::OutOfRange { field, value, max }) } else { Ok(()) }
}

macro_rules! check {
    ($e:expr) => {
        if let Err(e) = $e {
            return Err(e);
        }
    };
}

impl EncoderSpec {
    /// A shape from its numbers: image, channels, patch; rank, width, heads; depth, MLP ratio.
    pub const fn from_numbers(
        (image, channels, patch): (u16, u8, u16),
        (rank, width, heads): (u16, u16, u16),
        (depth, mlp_ratio): (u16, u8),
        pooling: Pooling,
    ) -> Self {
        EncoderSpec { image, channels, patch, rank, width, depth, heads, mlp_ratio, pooling }
    }

    /// Accepts exactly the shapes that the engine, the format and the integer bounds cover.
    pub const fn check(&self) -> Result<(), SpecError> {
        check!(in_range("image side", self.image as u32, MAX_IMAGE as u32));
        if self.channels != 1 && self.channels != 3 {
            return Err(SpecError::OutOfRange { field: "channels (1 or 3)", value: self.channels as u32, max: 3 });
        }
        check!(in_range("patch side", self.patch as u32, self.image as u32));
        check!(in_range("rank", self.rank as u32, MAX_PATCH_VALUES));
        check!(in_range("width", self.width as u32, MAX_WIDTH as u32));
        check!(in_range("depth", self.depth as u32, MAX_DEPTH as u32));
        check!(in_range("heads", self.heads as u32, self.width as u32));
        check!(in_range("MLP ratio", self.mlp_ratio as u32, 16));
        check!(in_range("MLP hidden width", self.hidden(), MAX_HIDDEN));
        if !self.image.is_multiple_of(self.patch) {
            return Err(SpecError::PatchDoesNotDivideImage { image: self.image, patch: self.patch });
        }
        check!(in_range("patch values", self.patch_values(), MAX_PATCH_VALUES));
        check!(in_range("tokens", self.tokens(), MAX_TOKENS));
        if !self.width.is_multiple_of(self.heads) {
            return Err(SpecError::HeadsDoNotDivideWidth { width: self.width, heads: self.heads });
        }
        check!(in_range("head width", self.head_width() as u32, MAX_HEAD_WIDTH as u32));
        if self.rank as u32 > self.patch_values() {
            return Err(SpecError::RankExceedsPatch { rank: self.rank, patch_values: self.patch_values() });
        }
        Ok(())
    }

    /// Tokens along one side of the grid; 0 for a patch of 0, which [`EncoderSpec::check`] refuses.
    pub const fn grid(&self) -> u32 {
        if self.patch == 0 { 0 } else { self.image as u32 / self.patch as u32 }
    }

    /// Tokens N.
    pub const fn tokens(&self) -> u32 {
        self.grid() * self.grid()
    }

    /// Values of one patch P = p·p·C.
    pub const fn patch_values(&self) -> u32 {
        self.patch as u32 * self.patch as u32 * self.channels as u32
    }

    /// Bytes of one picture: image·image·C.
    pub const fn pixels(&self) -> u32 {
        self.image as u32 * self.image as u32 * self.channels as u32
    }

    /// Width of one head, W / H; 0 without heads, which [`EncoderSpec::check`] refuses.
    pub const fn head_width(&self) -> u16 {
        match self.width.checked_div(self.heads) {
            Some(width) => width,
            None => 0,
        }
    }

    /// Hidden width of the MLP, r·W.
    pub const fn hidden(&self) -> u32 {
        self.mlp_ratio as u32 * self.width as u32
    }

    /// Components of the embedding E.
    pub const fn embedding(&self) -> u32 {
        self.width as u32 * self.pooling.factor()
    }

    /// Tokens of the largest pooled cell: N, or those of the largest quarter of the grid. It fixes the shift of pooled
    /// sums ([`crate::fixed::pool_shift`]).
    pub const fn pooled_tokens(&self) -> u32 {
        match self.pooling {
            Pooling::Mean | Pooling::MeanStd => self.tokens(),
            Pooling::Grid2x2 => {
                let side = self.grid().div_ceil(2);
                side * side
            }
        }
    }

    /// Number of taps of one inference: pixels, patches, latents, embedding product, stream; 14 a block; last
    /// LayerNorm, pooled sums, codes. The engine numbers them, test vectors carry one CRC for each.
    pub const fn taps(&self) -> usize {
        5 + 14 * self.depth as usize + 3
    }

    /// Multiply-accumulates of one inference: front end, L blocks (four products of the attention's linears, two of
    /// activations, two of the MLP); pooling and normalisation are not counted.
    pub const fn macs(&self) -> u64 {
        let (n, w) = (self.tokens() as u64, self.width as u64);
        let front = n * self.rank as u64 * (self.patch_values() as u64 + w);
        let block = n * w * (4 * w + 2 * self.hidden() as u64) + 2 * n * n * w;
        front + self.depth as u64 * block
    }

    /// Parameters of the exported encoder (weights and biases; the position table counts, tables do not).
    pub const fn parameters(&self) -> u64 {
        let (w, k, h) = (self.width as u64, self.rank as u64, self.hidden() as u64);
        let front = k * (self.patch_values() as u64 + 1) + w * (k + 1) + self.tokens() as u64 * w;
        let block = 4 * w * (w + 1) + h * (w + 1) + w * (h + 1);
        front + self.depth as u64 * block
    }
}

/// A named shape. Board presets are those of EMBEDDED.md section 4; the vit-* shapes those of the papers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Preset {
    /// Name on the command line.
    pub name: &'static str,
    /// Shape.
    pub spec: EncoderSpec,
    /// Where it is meant to run.
    pub target: &'static str,
}

const fn board(image: u16, patch: u16, rank: u16, width: u16, depth: u16, heads: u16, mlp_ratio: u8) -> EncoderSpec {
    EncoderSpec { image, channels: 3, patch, rank, width, depth, heads, mlp_ratio, pooling: Pooling::MeanStd }
}

const fn paper(width: u16, depth: u16, heads: u16) -> EncoderSpec {
    // Rank 64 of P = 768: the best single rank of the papers' patch-PCA sweep lies at 32 to 64 (METHOD.md section 2).
    EncoderSpec {
        image: 224,
        channels: 3,
        patch: 16,
        rank: 64,
        width,
        depth,
        heads,
        mlp_ratio: 4,
        pooling: Pooling::Mean,
    }
}

/// All presets, smallest first. Board ranks are a multiple of 16 near P/6 to P/9, the inner maximum of the rank sweep.
pub const PRESETS: [Preset; 9] = [
    Preset { name: "xs", spec: board(32, 8, 32, 64, 4, 2, 2), target: "64 KB RAM, 256 KB flash (Cortex-M0+, M3)" },
    Preset { name: "s", spec: board(48, 8, 32, 96, 4, 3, 2), target: "RP2040, nRF52840 class" },
    Preset { name: "s-plus", spec: board(64, 8, 32, 96, 6, 3, 3), target: "nRF52840, STM32F4 class" },
    Preset { name: "m", spec: board(64, 8, 32, 128, 6, 4, 3), target: "RP2350, STM32H7, ESP32-C3/C6 class" },
    Preset { name: "l", spec: board(96, 12, 48, 192, 4, 3, 3), target: "STM32H7, RP2350 class" },
    Preset { name: "vit-tiny", spec: paper(192, 12, 3), target: "Linux boards" },
    Preset { name: "vit-small", spec: paper(384, 12, 6), target: "Linux boards" },
    Preset { name: "vit-base", spec: paper(768, 12, 12), target: "workstation, comparison with the papers" },
    Preset { name: "vit-large", spec: paper(1024, 24, 16), target: "workstation, comparison with the papers" },
];

/// Looks a preset up by name.
pub fn preset(name: &str) -> Option<&'static Preset> {
    PRESETS.iter().find(|p| p.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_valid_and_match_the_published_macs() {
        for p in PRESETS {
            assert_eq!(p.spec.check(), Ok(()), "{}", p.name);
        }
        // EMBEDDED.md section 4 gives MMAC 2.4, 12.3, 41.3, 70.8, 106 (front ends differ slightly there).
        let published = [2.4, 12.3, 41.3, 70.8, 106.0];
        for (p, want) in PRESETS.iter().zip(published) {
            let got = p.spec.macs() as f64 / 1e6;
            assert!((got / want - 1.0).abs() < 0.08, "{}: {got} against {want}", p.name);
        }
    }

    #[test]
    fn refuses_what_the_engine_does_not_cover() {
        let good = PRESETS[0].spec;
        let bad = |f: fn(&mut EncoderSpec)| {
            let mut s = good;
            f(&mut s);
            s.check().is_err()
        };
        assert!(bad(|s| s.patch = 5));
        assert!(bad(|s| s.patch = 0));
        assert!(bad(|s| s.image = 0));
        assert!(bad(|s| s.channels = 2));
        assert!(bad(|s| s.heads = 3));
        assert!(bad(|s| s.heads = 0));
        assert!(bad(|s| s.rank = 193));
        assert!(bad(|s| s.depth = 0));
        assert!(bad(|s| s.mlp_ratio = 0));
        assert!(bad(|s| {
            s.width = 2048;
            s.mlp_ratio = 16
        }));
    }
}
