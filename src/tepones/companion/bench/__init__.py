"""How long scores and pruning take: what the command `tepones bench` measures."""
