"""Two ladders on three targets, in tidy form: accuracy rises to rung 3, then falls; the score rises throughout."""

import pandas as pd

TARGETS = ["handwritten digits", "greek", "cyrillic"]


def small_ladders():
    rows = [
        {
            "ladder": f"{method}-0",
            "method": method,
            "rung": k,
            "sparsity": 1 - 0.6**k,
            "target": target,
            "accuracy": 0.9 + (0.01 * k if k < 4 else -0.05 * k),
            "score": "gaussian",
            "value": 10.0 * k,
        }
        for method in ("magnitude", "random")
        for target in TARGETS
        for k in range(12)
    ]
    return pd.DataFrame(rows).sample(frac=1, random_state=0)
