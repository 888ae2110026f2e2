//! The named recipes: the road from a diffusion transformer to the l-DAE (METHOD.md section 2), the timestep-dependent encoder
//! (section 3), and the methods they are compared with.

use super::*;

/// All names, in the order of the road.
pub const NAMES: [&str; 19] = [
    "dit-baseline",
    "dit-uncond",
    "dit-no-perceptual",
    "dit-conv-vae",
    "ddm-linear-gamma2",
    "tok-patch-vae",
    "tok-patch-ae",
    "tok-patch-pca",
    "predict-clean",
    "no-input-scaling",
    "image-input",
    "image-output",
    "l-dae",
    "l-dae-single-sigma",
    "dae-pixel",
    "semantic-ddm",
    "mae",
    "moco-v3",
    "supervised",
];

/// The recipe of a name.
///
/// # Errors
/// There is none; the hint lists them.
pub fn named(name: &str) -> Result<Recipe> {
    let method = match name {
        "mae" => Method::Masked(Masked { mask_ratio: 0.75 }),
        "moco-v3" => Method::Contrastive(Contrastive { temperature: 0.2 }),
        "supervised" => Method::Labels(Labels {}),
        _ => Method::Denoise(denoise(name).ok_or_else(|| {
            Error::new(format!("there is no recipe `{name}`"))
                .hint(format!("recipes: {}; or name a TOML file that starts from one", NAMES.join(", ")))
        })?),
    };
    Ok(Recipe { name: name.to_owned(), method })
}

/// Each stage as its change against the one above it in METHOD.md's table.
fn denoise(name: &str) -> Option<Denoise> {
    use TokenizerKind as T;
    let after = |stage: &str, change: fn(&mut Denoise)| {
        denoise(stage).map(|mut parts| {
            change(&mut parts);
            parts
        })
    };
    match name {
        "dit-baseline" => Some(Denoise {
            tokenizer: T::Vqgan,
            schedule: Schedule::Ddpm,
            input: Space::Latent,
            target: Target::Noise,
            labels: true,
            feed: Feed::Tokens,
            directional: false,
            encoder_sees: Sees::Noisy,
            condition_dropout: 0.0,
        }),
        "dit-uncond" => after("dit-baseline", |d| d.labels = false),
        "dit-no-perceptual" => after("dit-uncond", |d| d.tokenizer = T::VqganNoPerceptual),
        "dit-conv-vae" => after("dit-no-perceptual", |d| d.tokenizer = T::ConvVae),
        "ddm-linear-gamma2" => after("dit-conv-vae", |d| d.schedule = Schedule::Gamma2Linear),
        "tok-patch-vae" => after("ddm-linear-gamma2", |d| d.tokenizer = T::PatchVae),
        "tok-patch-ae" => after("ddm-linear-gamma2", |d| d.tokenizer = T::PatchAe),
        "tok-patch-pca" => after("ddm-linear-gamma2", |d| d.tokenizer = T::PatchPca),
        "predict-clean" => after("tok-patch-pca", |d| d.target = Target::CleanLatent),
        "no-input-scaling" => after("predict-clean", |d| d.schedule = Schedule::SigmaLinear),
        "image-input" => after("no-input-scaling", |d| d.input = Space::Image),
        "image-output" => after("image-input", |d| d.target = Target::ProjectedImage),
        "l-dae" => after("image-output", |d| d.target = Target::Image),
        "l-dae-single-sigma" => after("l-dae", |d| d.schedule = Schedule::Single(SINGLE_SIGMA)),
        "dae-pixel" => after("l-dae", |d| d.tokenizer = T::Pixel),
        // x_t is noised in pixels and an encoder of its own passes one direction to the denoiser (section 3).
        "semantic-ddm" => after("dit-uncond", |d| {
            d.tokenizer = T::Pixel;
            d.feed = Feed::Vector;
            d.directional = true;
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_recipe_without_contradictions() {
        for name in NAMES {
            let recipe = named(name).unwrap();
            recipe.check().unwrap();
            let text = toml::to_string(&recipe).unwrap();
            assert_eq!(toml::from_str::<Recipe>(&text).unwrap(), recipe, "{text}");
        }
        assert!(named("l-dea").unwrap_err().advice().unwrap().contains("l-dae-single-sigma"));
    }

    #[test]
    fn the_road_ends_where_it_should() {
        let d = denoise("l-dae").unwrap();
        assert_eq!(
            (d.tokenizer, d.schedule, d.input, d.target, d.labels),
            (TokenizerKind::PatchPca, Schedule::SigmaLinear, Space::Image, Target::Image, false)
        );
        assert_eq!(named("l-dae-single-sigma").unwrap().embedding_step(), 408);
        assert_eq!(named("l-dae").unwrap().embedding_step(), 10);
        assert!(named("dit-baseline").unwrap().needs_labels() && named("supervised").unwrap().needs_labels());
        assert!(!named("mae").unwrap().generates() && named("tok-patch-pca").unwrap().generates());
    }
}
