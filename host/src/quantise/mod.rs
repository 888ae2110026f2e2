//! From trained weights to integers: folding, calibration, bias correction, quality.
