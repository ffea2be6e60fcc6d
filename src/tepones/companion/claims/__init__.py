"""Claims of papers: the ledger that judges them, the statistics it judges by, and the comparison of two runs."""
