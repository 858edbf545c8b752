"""Function Compute on this machine: runs what `s.yaml` describes, for tests and for trying out. See the README."""
