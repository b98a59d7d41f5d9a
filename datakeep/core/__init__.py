"""The ground floor: digests, names, path rules, comparisons, verdicts and errors. Pure; no I/O."""
