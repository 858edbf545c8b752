"""Ringing for a composer that runs on Function Compute."""
