//! The whole check on this machine: in process and through the `std` twin. Emulated boards: `./ci.sh emulated`.

use super::*;

fn artifact() -> Vec<u8> {
    let mut a: Vec<u8> = (0..255).collect();
    a[0] = 16;
    a
}

fn verify(devices: &[&str], device_artifact: Option<Vec<u8>>) -> VerifyReport {
    let artifact = artifact();
    let devices: Vec<Device> = devices.iter().map(|d| d.parse().unwrap()).collect();
    let pictures = Pictures::synthetic(reference::picture_bytes(&artifact).unwrap(), 5);
    let options = Options { device_artifact, ..Options::default() };
    run(&artifact, &devices, &pictures, &options, &Output::new(false)).unwrap()
}

#[test]
fn the_host_and_the_twin_equal_the_host() {
    let report = verify(&["host", "std"], None);
    assert_eq!(report.verdict(), Verdict::Equal, "{report}");
    for device in &report.devices {
        assert_eq!((device.pictures, device.embeddings_equal, device.inputs_equal), (5, 5, 5));
        assert_eq!(device.taps_equal, 5 * report.taps);
    }
}

#[test]
#[ignore = "needs QEMU and the cross targets; `./ci.sh emulated` runs it"]
fn emulated_boards_equal_the_host_and_a_changed_byte_is_found() {
    let boards = ["qemu:cortex-m3", "qemu:cortex-m4", "qemu:cortex-m7", "qemu:rv32imac"];
    let report = verify(&boards, None);
    assert_eq!(report.verdict(), Verdict::Equal, "{report}");
    let mut changed = artifact();
    changed[40] ^= 1;
    let report = verify(&boards, Some(changed));
    println!("{report}");
    assert_eq!(report.verdict(), Verdict::Differs, "{report}");
    for device in &report.devices {
        assert!(!device.artifact_equal);
        assert_eq!(device.inputs_equal, 5);
        assert!(device.first_difference.as_ref().unwrap().at.is_some(), "{report}");
    }
}
