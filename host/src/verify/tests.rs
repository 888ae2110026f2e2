//! The whole check on this machine: in process and through the `std` twin. Emulated boards: `./ci.sh emulated`.

use super::*;
use ldae_shared::format::{Artifact, ArtifactDesc, Fill, reseal};
use ldae_shared::spec::{EncoderSpec, Pooling};

/// A small odd shape: 9 tokens, width 10, heads of 5.
fn artifact() -> Vec<u8> {
    let spec = EncoderSpec {
        image: 12,
        channels: 3,
        patch: 4,
        rank: 7,
        width: 10,
        depth: 2,
        heads: 2,
        mlp_ratio: 2,
        pooling: Pooling::MeanStd,
    };
    ArtifactDesc::synthetic(spec, Fill::Random, 1).write(|_| [0; 32]).unwrap()
}

/// The same with the last weight of the last block changed.
fn changed_weight() -> Vec<u8> {
    let mut bytes = artifact();
    let parsed = Artifact::parse(&bytes).unwrap();
    let last = parsed.blocks().last().unwrap().fc2.rows().last().unwrap().1;
    let offset = last.as_ptr_range().end as usize - bytes.as_ptr() as usize - 1;
    bytes[offset] ^= 1;
    reseal(&mut bytes);
    bytes
}

#[test]
fn a_changed_weight_is_found_at_its_first_tap() {
    for device in verify(&["host", "std"], Some(changed_weight())).devices {
        assert_eq!(device.verdict, Verdict::Differs, "{device}");
        assert_eq!((device.artifact_equal, device.inputs_equal), (false, 5));
        let first = device.first_difference.as_ref().unwrap();
        assert_eq!(first.tap_name, "block1.fc2", "{device}");
        // One output channel of ten: one value of each of the nine tokens.
        let at = first.at.as_ref().unwrap();
        assert_eq!((at.index % 10, at.of), (9, 90), "{device}");
        assert!(at.differing <= 9 && at.host != at.device, "{device}");
    }
}

#[test]
fn a_damaged_artifact_on_the_device_is_refused_there_and_differs() {
    let mut damaged = artifact();
    *damaged.last_mut().unwrap() ^= 1;
    let report = verify(&["std"], Some(damaged));
    assert_eq!(report.verdict, Verdict::Differs, "{report}");
    assert!(report.devices[0].trouble.as_ref().unwrap().contains("artifact refused"), "{report}");
}

#[test]
fn pictures_of_another_size_are_refused_before_anything_runs() {
    let pictures = Pictures::synthetic(7, 2);
    let error = run(&artifact(), &[Device::Host], &pictures, &Options::default(), &Output::new(false)).unwrap_err();
    assert!(error.to_string().contains("432 bytes"), "{error}");
}

#[test]
fn devices_that_lack_something_are_left_out_only_on_request_and_never_all() {
    let pictures = Pictures::synthetic(432, 1);
    let empty = tempfile::tempdir().unwrap();
    let run = |devices: &[&str], skip_missing| {
        let devices: Vec<Device> = devices.iter().map(|d| d.parse().unwrap()).collect();
        let options = Options { firmware: Some(empty.path().to_owned()), skip_missing, ..Options::default() };
        run(&artifact(), &devices, &pictures, &options, &Output::new(false))
    };
    assert!(run(&["host", "std"], false).is_err());
    let report = run(&["host", "std"], true).unwrap();
    assert_eq!((report.verdict, report.devices.len(), report.not_run.len()), (Verdict::Equal, 1, 1));
    assert!(report.to_string().contains("no firmware for std"), "{report}");
    assert!(run(&["std"], true).is_err());
    assert!(run(&[], true).is_err());
}

fn verify(devices: &[&str], device_artifact: Option<Vec<u8>>) -> VerifyReport {
    let artifact = artifact();
    let devices: Vec<Device> = devices.iter().map(|d| d.parse().unwrap()).collect();
    let pictures = Pictures::synthetic(reference::spec(&artifact).unwrap().pixels() as usize, 5);
    let options = Options { device_artifact, ..Options::default() };
    run(&artifact, &devices, &pictures, &options, &Output::new(false)).unwrap()
}

#[test]
fn the_host_and_the_twin_equal_the_host() {
    let report = verify(&["host", "std"], None);
    assert_eq!(report.verdict, Verdict::Equal, "{report}");
    for device in &report.devices {
        assert_eq!((device.pictures, device.embeddings_equal, device.inputs_equal), (5, 5, 5));
        assert_eq!(device.taps_equal, 5 * report.taps);
    }
}

#[test]
#[ignore = "needs QEMU and the cross targets; `./ci.sh emulated` runs it"]
fn emulated_boards_equal_the_host_and_a_changed_byte_is_found() {
    let boards: Vec<String> = BOARDS.iter().map(|b| format!("qemu:{}", b.name)).collect();
    let boards: Vec<&str> = boards.iter().map(String::as_str).collect();
    let boards = boards.as_slice();
    let report = verify(boards, None);
    assert_eq!(report.verdict, Verdict::Equal, "{report}");
    let report = verify(boards, Some(changed_weight()));
    assert_eq!(report.verdict, Verdict::Differs, "{report}");
    for device in &report.devices {
        assert!(!device.artifact_equal);
        assert_eq!(device.inputs_equal, 5);
        let first = device.first_difference.as_ref().unwrap();
        assert_eq!(first.tap_name, "block1.fc2", "{report}");
        assert!(first.at.is_some(), "{report}");
    }
}
