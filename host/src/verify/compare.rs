//! Compares a device's answer with the host's own results.

use super::answer::{Answer, PictureResult};
use super::reference::Reference;
use super::report::{DeviceReport, Difference, ValueDifference, Verdict};
use super::session::Ran;

/// Values shown on either side of the first differing one.
const NEIGHBOURS: usize = 4;

/// The report of one device; `artifact_crc` is the host's, `names` are those of the pictures.
pub fn compare(
    device: String,
    board: String,
    ran: &Ran,
    reference: &Reference,
    artifact_crc: u32,
    names: &[String],
) -> DeviceReport {
    let answer = &ran.answer;
    let identity = answer.identity.clone().unwrap_or_default();
    let plan = answer.plan.clone().unwrap_or_default();
    let pairs = || reference.pictures.iter().zip(&answer.pictures);
    let equal = |f: fn(&PictureResult, &PictureResult) -> bool| pairs().filter(|(h, d)| f(h, d)).count();
    let inputs_equal = equal(|h, d| h.input_crc == d.input_crc);
    let embeddings_equal = equal(|h, d| h.codes == d.codes && h.norm2 == d.norm2);
    let taps_equal = pairs().map(|(h, d)| h.taps.iter().zip(&d.taps).filter(|(a, b)| a == b).count()).sum();
    let taps = pairs().map(|(h, d)| h.taps.len().max(d.taps.len())).sum();
    let first_difference = first_difference(reference, answer, names);
    let artifact_equal = identity.artifact_crc == artifact_crc;
    let whole = answer.finished && ran.trouble.is_none() && answer.pictures.len() == reference.pictures.len();
    // A device that refuses an artifact other than the host's has found a difference.
    let refused_another = answer.finished && answer.identity.is_some() && answer.plan.is_none() && !artifact_equal;
    let verdict = match (whole, first_difference.is_some()) {
        (true, false) => Verdict::Equal,
        (_, true) => Verdict::Differs,
        (false, false) if refused_another => Verdict::Differs,
        (false, false) => Verdict::DidNotFinish,
    };
    DeviceReport {
        device,
        board,
        core: identity.core,
        engine: identity.version,
        kernel: plan.kernel,
        artifact_crc32: format!("{:08x}", identity.artifact_crc),
        artifact_equal,
        scratch_bytes: plan.scratch_bytes,
        pictures: answer.pictures.len(),
        inputs_equal,
        taps,
        taps_equal,
        embeddings_equal,
        first_difference,
        trouble: ran.trouble.clone(),
        seconds: ran.seconds,
        verdict,
    }
}

/// The first picture that differs, and in it the first tap in the order of computation.
fn first_difference(reference: &Reference, answer: &Answer, names: &[String]) -> Option<Difference> {
    reference.pictures.iter().zip(&answer.pictures).enumerate().find_map(|(picture, (host, device))| {
        let tap = host.taps.iter().zip(&device.taps).position(|(a, b)| a != b);
        let (tap, tap_name) = if host.input_crc != device.input_crc {
            (None, "input".to_owned())
        } else if let Some(tap) = tap {
            (Some(tap), reference.tap_names.get(tap).cloned().unwrap_or_else(|| format!("tap {tap}")))
        } else if host.taps.len() != device.taps.len() {
            (None, "number of taps".to_owned())
        } else if host.codes != device.codes || host.norm2 != device.norm2 {
            (None, "embedding".to_owned())
        } else {
            return None;
        };
        let picture_name = names.get(picture).cloned().unwrap_or_default();
        Some(Difference { picture, picture_name, tap, tap_name, at: None })
    })
}

/// Where two versions of one tap part. `None` when they are equal.
pub fn locate(host: &[i64], device: &[i64]) -> Option<ValueDifference> {
    if host == device {
        return None;
    }
    let index = host.iter().zip(device).position(|(a, b)| a != b).unwrap_or(host.len().min(device.len()));
    let differing = host.iter().zip(device).filter(|(a, b)| a != b).count() + host.len().abs_diff(device.len());
    let shown_from = index.saturating_sub(NEIGHBOURS);
    let around = |values: &[i64]| values.iter().skip(shown_from).take(2 * NEIGHBOURS + 1).copied().collect();
    Some(ValueDifference { index, of: host.len(), differing, shown_from, host: around(host), device: around(device) })
}

#[cfg(test)]
mod tests {
    use super::super::answer::{Identity, Plan};
    use super::*;

    fn result(taps: [u32; 2], codes: [i8; 2]) -> PictureResult {
        PictureResult { input_crc: 1, norm2: 2, codes: codes.to_vec(), taps: taps.to_vec() }
    }

    fn reference() -> Reference {
        Reference {
            pictures: vec![result([10, 11], [1, 2]), result([20, 21], [3, 4])],
            tap_names: vec!["patches".into(), "latents".into()],
            plan: Plan { taps: 2, components: 2, scratch_bytes: 8, kernel: "portable".into() },
        }
    }

    fn judge(change: impl FnOnce(&mut Ran)) -> DeviceReport {
        let reference = reference();
        let identity = Identity { artifact_bytes: 3, artifact_crc: 99, core: "cortex-m3".into(), version: "0".into() };
        let answer = Answer {
            identity: Some(identity),
            plan: Some(reference.plan.clone()),
            pictures: reference.pictures.clone(),
            finished: true,
            ..Answer::default()
        };
        let mut ran = Ran { answer, trouble: None, counts: None, seconds: 1.0 };
        change(&mut ran);
        compare("d".into(), "b".into(), &ran, &reference, 99, &["one".into(), "two".into()])
    }

    #[test]
    fn equal_answers_are_equal() {
        let report = judge(|_| {});
        assert_eq!((report.verdict, report.taps, report.taps_equal), (Verdict::Equal, 4, 4));
        assert_eq!((report.embeddings_equal, report.inputs_equal), (2, 2));
    }

    #[test]
    fn the_first_differing_tap_of_the_first_differing_picture_is_named() {
        let report = judge(|ran| ran.answer.pictures[1].taps = vec![20, 0]);
        assert_eq!(report.verdict, Verdict::Differs);
        let first = report.first_difference.unwrap();
        assert_eq!((first.picture, first.picture_name.as_str(), first.tap), (1, "two", Some(1)));
        assert_eq!(first.tap_name, "latents");
        assert_eq!(report.taps_equal, 3);
    }

    #[test]
    fn a_changed_input_code_or_norm_is_a_difference() {
        let name = |change: fn(&mut PictureResult)| {
            let report = judge(|ran| change(&mut ran.answer.pictures[0]));
            assert_eq!(report.verdict, Verdict::Differs);
            report.first_difference.unwrap().tap_name
        };
        assert_eq!(name(|p| p.input_crc = 0), "input");
        assert_eq!(name(|p| p.codes[0] = 0), "embedding");
        assert_eq!(name(|p| p.norm2 = 0), "embedding");
        assert_eq!(name(|p| p.taps.truncate(1)), "number of taps");
    }

    #[test]
    fn missing_pictures_and_trouble_never_pass() {
        assert_eq!(judge(|ran| drop(ran.answer.pictures.pop())).verdict, Verdict::DidNotFinish);
        assert_eq!(judge(|ran| ran.answer.finished = false).verdict, Verdict::DidNotFinish);
        assert_eq!(judge(|ran| ran.trouble = Some("stopped".into())).verdict, Verdict::DidNotFinish);
        let refused = |crc: u32| {
            judge(|ran| {
                ran.answer.plan = None;
                ran.answer.pictures.clear();
                ran.answer.identity.as_mut().unwrap().artifact_crc = crc;
                ran.trouble = Some("artifact refused".into());
            })
        };
        assert_eq!(refused(98).verdict, Verdict::Differs);
        assert_eq!(refused(99).verdict, Verdict::DidNotFinish);
    }

    #[test]
    fn the_first_differing_value_is_shown_with_its_neighbours() {
        assert_eq!(locate(&[1, 2, 3], &[1, 2, 3]), None);
        let at = locate(&[1, 2, 3, 4, 5, 6, 7], &[1, 2, 3, 4, 5, -6]).unwrap();
        assert_eq!((at.index, at.of, at.differing, at.shown_from), (5, 7, 2, 1));
        assert_eq!(at.host, [2, 3, 4, 5, 6, 7]);
        assert_eq!(at.device, [2, 3, 4, 5, -6]);
        let shorter = locate(&[1, 2], &[]).unwrap();
        assert_eq!((shorter.index, shorter.device.len()), (0, 0));
    }
}
