"""One file for each criterion: a function that says how much each prunable weight matters."""
