"""The chapter *Rank your own* is a tutorial: its cells hold all its code, its chart is `tepones.ranking.chart`'s."""
