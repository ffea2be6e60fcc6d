"""The chapter *Reproduction report* shows the tables of `tepones.companion.claims.reproduction.compare` as they are."""
