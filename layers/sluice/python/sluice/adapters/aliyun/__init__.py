"""Alibaba Cloud: OSS, Tablestore, Function Compute."""
