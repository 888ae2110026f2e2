//! Writing the artifact with its test vectors and quality report.
