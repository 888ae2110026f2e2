//! What `ldae verify` found, for people and as JSON. Printed in the order: identities, input, first difference, counts,
//! verdict.

use serde::Serialize;
use std::fmt;

/// The whole result.
#[derive(Clone, Debug, Serialize)]
pub struct VerifyReport {
    /// Version of this program.
    pub tool: String,
    /// Artifact on the host.
    pub artifact: ArtifactId,
    /// Where the pictures come from.
    pub pictures_from: String,
    /// Pictures compared on each device.
    pub pictures: usize,
    /// Taps of one inference.
    pub taps: usize,
    /// Scratch that the spec plans, in bytes.
    pub scratch_bytes: usize,
    /// What the devices are compared with.
    pub reference: String,
    /// The worst verdict of all devices.
    pub verdict: Verdict,
    /// One entry for each device, in the order they were named.
    pub devices: Vec<DeviceReport>,
    /// Devices that this machine lacks something for; empty unless [`super::Options::skip_missing`].
    pub not_run: Vec<NotRun>,
}

/// A device that could not be tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotRun {
    /// As named by the user.
    pub device: String,
    /// What is missing.
    pub reason: String,
    /// What to install.
    pub hint: String,
}

/// Which artifact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ArtifactId {
    /// Length in bytes.
    pub bytes: usize,
    /// CRC-32 over all bytes, eight hexadecimal digits.
    pub crc32: String,
    /// SHA-256 over all bytes, hexadecimal.
    pub sha256: String,
}

/// How a device compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Every CRC-32 and every code is equal.
    Equal,
    /// Something differs.
    Differs,
    /// The device did not give a whole answer.
    DidNotFinish,
}

/// The first place where device and host part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Index of the picture.
    pub picture: usize,
    /// Its name.
    pub picture_name: String,
    /// Index of the tap; none when the input or only the final codes differ.
    pub tap: Option<usize>,
    /// Its name, or "input", or "embedding".
    pub tap_name: String,
    /// First differing value of that tap, when the device could be asked for it.
    pub at: Option<ValueDifference>,
}

/// One value of a tap and its neighbourhood.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ValueDifference {
    /// Index of the first differing value, in the tap's canonical order.
    pub index: usize,
    /// How many values the tap has.
    pub of: usize,
    /// How many of them differ.
    pub differing: usize,
    /// Index of the first value shown below.
    pub shown_from: usize,
    /// The host's values around the index.
    pub host: Vec<i64>,
    /// The device's values at the same place.
    pub device: Vec<i64>,
}

/// One device against the host.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceReport {
    /// As named by the user.
    pub device: String,
    /// Emulated board and emulator, or this machine.
    pub board: String,
    /// The core as it names itself.
    pub core: String,
    /// Version of the engine in the firmware.
    pub engine: String,
    /// Kernel in use.
    pub kernel: String,
    /// CRC-32 of the artifact as the device reads it.
    pub artifact_crc32: String,
    /// True when that is the host's.
    pub artifact_equal: bool,
    /// Scratch given to the engine on the device, in bytes.
    pub scratch_bytes: u32,
    /// Pictures that the device answered.
    pub pictures: usize,
    /// Pictures whose pixels arrived unchanged.
    pub inputs_equal: usize,
    /// Taps compared, over all pictures.
    pub taps: usize,
    /// Taps that are equal.
    pub taps_equal: usize,
    /// Pictures whose embedding (codes and norm) is equal.
    pub embeddings_equal: usize,
    /// Where they part first.
    pub first_difference: Option<Difference>,
    /// Why the answer is not whole.
    pub trouble: Option<String>,
    /// Wall time in seconds.
    pub seconds: f64,
    /// The verdict.
    pub verdict: Verdict,
}

impl Verdict {
    /// The worst of all: not finished before different before equal.
    pub fn worst(devices: &[DeviceReport]) -> Self {
        let is = |v| devices.iter().any(|d| d.verdict == v);
        match () {
            () if is(Verdict::DidNotFinish) => Verdict::DidNotFinish,
            () if is(Verdict::Differs) => Verdict::Differs,
            () => Verdict::Equal,
        }
    }
}

impl VerifyReport {
    /// The last line of the report.
    pub fn verdict_line(&self) -> String {
        let named = |v| {
            let names: Vec<_> = self.devices.iter().filter(|d| d.verdict == v).map(|d| d.device.as_str()).collect();
            names.join(", ")
        };
        let mut parts = Vec::new();
        for (verdict, words) in [
            (Verdict::Equal, format!("equal to the reference bit for bit on {} pictures", self.pictures)),
            (Verdict::Differs, "DIFFERENT from the reference".to_owned()),
            (Verdict::DidNotFinish, "DID NOT FINISH".to_owned()),
        ] {
            let names = named(verdict);
            if !names.is_empty() {
                parts.push(format!("{names} {words}"));
            }
        }
        format!("verdict: {}", parts.join("; "))
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let a = &self.artifact;
        writeln!(f, "tool        ldae {}, {} taps, {} bytes of scratch", self.tool, self.taps, self.scratch_bytes)?;
        writeln!(f, "artifact    {} bytes, CRC-32 {}, SHA-256 {}", a.bytes, a.crc32, a.sha256)?;
        writeln!(f, "pictures    {} ({})", self.pictures, self.pictures_from)?;
        writeln!(f, "reference   {}", self.reference)?;
        for device in &self.devices {
            write!(f, "\n{device}")?;
        }
        for n in &self.not_run {
            writeln!(f, "\n{}\n  not run     {}\n              {}", n.device, n.reason, n.hint)?;
        }
        write!(f, "\n{}", self.verdict_line())
    }
}

impl fmt::Display for DeviceReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.device)?;
        writeln!(f, "  board       {}, core {}", self.board, self.core)?;
        if self.kernel.is_empty() {
            writeln!(f, "  engine      {}, did not start", self.engine)?;
        } else {
            writeln!(
                f,
                "  engine      {}, kernel {}, {} bytes of scratch",
                self.engine, self.kernel, self.scratch_bytes
            )?;
        }
        let equal = if self.artifact_equal { "equal" } else { "DIFFERS" };
        writeln!(f, "  artifact    {equal}: CRC-32 {}", self.artifact_crc32)?;
        let count = |name: &str, equal: usize, of: usize| {
            let word = if equal == of { "equal" } else { "DIFFERS" };
            format!("  {name:<11} {word}: {equal} of {of}")
        };
        writeln!(f, "{}", count("input", self.inputs_equal, self.pictures))?;
        if let Some(d) = &self.first_difference {
            writeln!(f, "  first       {} of picture {} ({})", d.tap_name, d.picture, d.picture_name)?;
            if let Some(v) = &d.at {
                writeln!(
                    f,
                    "              value {} of {}; {} differ; from {} on:",
                    v.index, v.of, v.differing, v.shown_from
                )?;
                writeln!(f, "              host   {:?}", v.host)?;
                writeln!(f, "              device {:?}", v.device)?;
            }
        }
        writeln!(f, "{}", count("taps", self.taps_equal, self.taps))?;
        writeln!(f, "{}", count("embeddings", self.embeddings_equal, self.pictures))?;
        if let Some(trouble) = &self.trouble {
            writeln!(f, "  trouble     {trouble}")?;
        }
        let verdict = match self.verdict {
            Verdict::Equal => "equal",
            Verdict::Differs => "DIFFERS",
            Verdict::DidNotFinish => "DID NOT FINISH",
        };
        writeln!(f, "  verdict     {verdict} ({:.1} s)", self.seconds)
    }
}
