//! The l-DAE in Burn (METHOD.md section 1).
