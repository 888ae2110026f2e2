//! Host against device, tap by tap.
