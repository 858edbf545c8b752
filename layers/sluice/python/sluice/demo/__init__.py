"""What `sluice demo` runs: a sender that makes trouble, and a reader that shares no code with the writers."""
