"""Function Compute on this machine: what `s.yaml` describes, run as the platform would."""
