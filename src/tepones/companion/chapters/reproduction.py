"""The chapter *Reproduction report*: the table of verdicts as readers see it."""

import pandas as pd


def side_by_side(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Verdicts of `tepones.companion.claims.reproduction.compare`, in columns that fit the page.

    Columns claim, published and compared (verdict and estimate of both), difference, by seeds alone, so they.
    """

    def judged(verdict: str, estimate: str) -> pd.Series:
        numbers = verdicts[estimate].map("{:+.2f}".format, na_action="ignore").fillna("").astype(str)
        return (verdicts[verdict] + " " + numbers.str.replace("-", "−")).str.strip()

    return pd.DataFrame(
        {
            "claim": verdicts["claim"],
            "published": judged("published", "estimate"),
            "compared": judged("compared", "its estimate"),
            "difference": verdicts["difference"],
            "by seeds alone": verdicts["by seeds alone, at most"],
            "so they": verdicts["so they"],
        }
    )
