//! k-NN, linear probe and baselines.
