"""The companion: the study, the claims it tests, and the book. Nothing outside this folder imports it."""
