"""One file for each schedule: a function that takes a backbone to a sparsity."""
