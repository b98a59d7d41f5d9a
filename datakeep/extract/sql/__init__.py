"""Running an extraction: one SELECT in one read-only transaction, its rows exact, and the record of it."""
