"""Makes, changes and removes what Sluice needs on Alibaba Cloud besides its functions."""
