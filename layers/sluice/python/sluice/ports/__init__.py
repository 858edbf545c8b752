"""What the service needs from outside, as small Protocols whose docstrings are the contract."""
