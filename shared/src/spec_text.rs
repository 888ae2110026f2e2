//! A spec as one line of text, for the metadata of files that have no binary header (ONNX):
//! `image=32,channels=3,patch=4,rank=16,width=64,depth=4,heads=2,mlp_ratio=2,pooling=mean-std`.
//!
//! Every key exactly once, in this order, decimal numbers without sign or leading zero. Anything else is refused, so that one
//! spec has one text. Reading does not check the shape: [`EncoderSpec::check`] does.

use crate::spec::{EncoderSpec, Pooling};
use core::fmt;
use core::str::FromStr;

/// The text is not a spec as [`EncoderSpec`] displays it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpecTextError {
    /// The key that was expected next, or "end".
    pub expected: &'static str,
}

impl fmt::Display for SpecTextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not a spec: expected {}", self.expected)
    }
}

impl core::error::Error for SpecTextError {}

impl fmt::Display for EncoderSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "image={},channels={},patch={},rank={}", self.image, self.channels, self.patch, self.rank)?;
        write!(f, ",width={},depth={},heads={}", self.width, self.depth, self.heads)?;
        write!(f, ",mlp_ratio={},pooling={}", self.mlp_ratio, self.pooling.name())
    }
}

impl FromStr for EncoderSpec {
    type Err = SpecTextError;

    fn from_str(text: &str) -> Result<Self, SpecTextError> {
        let mut items = text.split(',');
        let mut value = |expected: &'static str| {
            let (key, value) = items.next().and_then(|i| i.split_once('=')).unwrap_or_default();
            if key == expected { Ok(value) } else { Err(SpecTextError { expected }) }
        };
        let spec = EncoderSpec {
            image: number("image", value("image")?)?,
            channels: number("channels", value("channels")?)?,
            patch: number("patch", value("patch")?)?,
            rank: number("rank", value("rank")?)?,
            width: number("width", value("width")?)?,
            depth: number("depth", value("depth")?)?,
            heads: number("heads", value("heads")?)?,
            mlp_ratio: number("mlp_ratio", value("mlp_ratio")?)?,
            pooling: Pooling::from_name(value("pooling")?).ok_or(SpecTextError { expected: "pooling" })?,
        };
        if items.next().is_some() { Err(SpecTextError { expected: "end" }) } else { Ok(spec) }
    }
}

fn number<T: FromStr>(expected: &'static str, text: &str) -> Result<T, SpecTextError> {
    // `parse` also takes a plus sign and leading zeros.
    let plain = text.bytes().all(|b| b.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().map_err(|_| SpecTextError { expected }) } else { Err(SpecTextError { expected }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::PRESETS;
    use std::string::ToString;

    #[test]
    fn every_preset_survives_the_text() {
        for preset in PRESETS {
            assert_eq!(preset.spec.to_string().parse(), Ok(preset.spec), "{}", preset.name);
        }
        let text = "image=32,channels=3,patch=8,rank=32,width=64,depth=4,heads=2,mlp_ratio=2,pooling=mean-std";
        assert_eq!(PRESETS[0].spec.to_string(), text);
    }

    #[test]
    fn refuses_every_other_text() {
        let good = PRESETS[0].spec.to_string();
        let bad = |text: &str| text.parse::<EncoderSpec>().map_err(|e| e.expected);
        assert_eq!(bad(""), Err("image"));
        assert_eq!(bad(&good[..good.len() - 1]), Err("pooling"));
        assert_eq!(bad(&(good.clone() + ",image=32")), Err("end"));
        assert_eq!(bad(&good.replace("heads=2", "heads=02")), Err("heads"));
        assert_eq!(bad(&good.replace("heads=2", "heads=+2")), Err("heads"));
        assert_eq!(bad(&good.replace("heads=2", "heads=70000")), Err("heads"));
        assert_eq!(bad(&good.replace("depth=4", "heads=4")), Err("depth"));
        assert_eq!(bad(&good.replace("pooling=mean-std", "pooling=max")), Err("pooling"));
        for end in 0..good.len() {
            assert!(good[..end].parse::<EncoderSpec>().is_err() || good[..end].ends_with("pooling=mean"), "{end}");
        }
    }
}
