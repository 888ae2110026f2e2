use super::*;

#[test]
fn board_presets_fit_where_they_are_meant_to() {
    let fits = |name: &str| inspect(name).unwrap().fits;
    assert_eq!(fits("xs").len(), BOARDS.len(), "xs is for every board");
    for (preset, boards) in [
        ("s", vec!["RP2040", "nRF52840"]),
        ("s-plus", vec!["nRF52840", "STM32F4"]),
        ("m", vec!["RP2350", "STM32H743", "ESP32-C3"]),
        ("l", vec!["STM32H743", "RP2350"]),
    ] {
        for board in boards {
            assert!(fits(preset).contains(&board), "{preset} on {board}: {:?}", fits(preset));
        }
    }
    assert!(fits("vit-large").is_empty());
}

#[test]
fn an_unknown_name_lists_the_presets() {
    let error = inspect("no-such-thing").unwrap_err();
    assert!(error.advice().unwrap().contains("s-plus"));
}

#[test]
fn damaged_bytes_are_named() {
    let error = inspect_artifact("x.ldae", b"not an artifact").unwrap_err();
    assert!(error.to_string().starts_with("x.ldae is no valid artifact") && error.advice().is_some());
}
