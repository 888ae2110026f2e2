//! Reading pictures: folders, tar shards, CIFAR binaries, IDX, and pictures that the program draws.
