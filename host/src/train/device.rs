//! Which device trains: `auto` takes a GPU that is really there, else the CPU (Burn's flex backend).

pub use crate::model::is_cpu;
use crate::{Error, Result};
use burn::tensor::Device;

/// Resolves `auto`, `cpu`, `cuda` or `cuda:i`.
///
/// # Errors
/// The name is unknown, CUDA is not compiled in, or there is no such GPU.
pub fn choose(name: &str) -> Result<Device> {
    match name {
        "cpu" => Ok(Device::flex()),
        "auto" => Ok(gpus().into_iter().next().unwrap_or_else(Device::flex)),
        _ => {
            let index = match name.strip_prefix("cuda") {
                Some("") => 0,
                Some(rest) => {
                    rest.strip_prefix(':').and_then(|i| i.parse::<usize>().ok()).ok_or_else(|| unknown(name))?
                }
                None => return Err(unknown(name)),
            };
            if cfg!(not(feature = "cuda")) {
                return Err(Error::new(format!("device `{name}` needs CUDA, which this program was built without"))
                    .hint("build with `cargo build --release --features cuda`, or use --device cpu"));
            }
            let mut gpus = gpus();
            if index >= gpus.len() {
                return Err(Error::new(format!("device `{name}` is not there: {} GPU(s) found", gpus.len()))
                    .hint("see `nvidia-smi`; --device cpu always works"));
            }
            Ok(gpus.swap_remove(index))
        }
    }
}

/// Resolves a list: `cuda:0,1` or `cuda:0,cuda:1` are two GPUs; everything [`choose`] takes is one device.
///
/// # Errors
/// As [`choose`], or a GPU is named twice.
pub fn choose_all(name: &str) -> Result<Vec<Device>> {
    let mut names: Vec<String> = Vec::new();
    for part in name.split(',') {
        let plain_index = !names.is_empty() && !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        let part = if plain_index { format!("cuda:{part}") } else { part.to_owned() };
        if part != "cpu" && names.contains(&part) {
            return Err(Error::new(format!("device `{part}` is named twice")).hint("name each GPU once"));
        }
        names.push(part);
    }
    names.iter().map(|name| choose(name)).collect()
}

/// The device of one of several processes: `auto` and `cuda` take the GPUs in turn.
///
/// # Errors
/// As [`choose`].
pub fn choose_for(name: &str, rank: usize) -> Result<Device> {
    let gpus = gpus();
    match name {
        "auto" | "cuda" if rank > 0 && !gpus.is_empty() => Ok(gpus[rank % gpus.len()].clone()),
        _ => choose(name),
    }
}

fn unknown(name: &str) -> Error {
    Error::new(format!("unknown device `{name}`")).hint("use auto, cpu, cuda or cuda:INDEX")
}

/// Lets compiled kernels and the choices of the autotuner outlive the process, in `$XDG_CACHE_HOME/ldae/kernels` or
/// `~/.cache/ldae/kernels`: by default they would lie in a `target` folder below the working directory, the kernels not at all. A
/// `cubecl.toml` in the working directory, or above it, that names another place has precedence.
#[cfg(feature = "cuda")]
fn keep_kernels() {
    use cubecl::config::cache::CacheConfig;
    use cubecl::config::{CubeClRuntimeConfig, RuntimeConfig};
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    if matches!(config.environment.path, CacheConfig::Target) {
        config.environment.path = CacheConfig::Directory(crate::data::cache::default_folder().join("kernels"));
        config.compilation.cache = true;
    }
    // False when something read the configuration before: then it stays as it is.
    let _ = CubeClRuntimeConfig::try_set(config);
}

/// GPUs that are present; enumeration is safe without a driver.
fn gpus() -> Vec<Device> {
    #[cfg(feature = "cuda")]
    keep_kernels();
    #[cfg(feature = "cuda")]
    let gpus = Device::enumerate(burn::tensor::DeviceType::Cuda).into_vec();
    #[cfg(not(feature = "cuda"))]
    let gpus = Vec::new();
    gpus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert!(is_cpu(&choose("cpu").unwrap()));
        assert!(choose("auto").is_ok());
        for bad in ["gpu", "cuda:", "cuda:x", "cudax", ""] {
            assert!(choose(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lists() {
        assert_eq!(choose_all("cpu").unwrap().len(), 1);
        assert_eq!(choose_all("cpu,cpu").unwrap().len(), 2);
        for bad in ["", "cpu,", "cuda:0,0", "0,1", "cpu,x"] {
            assert!(choose_all(bad).is_err(), "{bad}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn cuda_without_the_feature_says_how_to_build() {
        assert!(choose("cuda:0").unwrap_err().advice().unwrap().contains("--features cuda"));
    }
}
