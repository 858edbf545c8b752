"""What `sluice demo` runs: a sender that repeats and reorders batches, and an independent reader."""
