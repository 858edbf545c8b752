"""Invokers of composers that run on Function Compute."""
