"""The vendor's SDK for OSS, loaded without its encryption, and kept quiet."""

from __future__ import annotations

import logging
import warnings

from sluice.adapters.aliyun.lean_imports import lean_imports

with lean_imports("aliyunsdkcore", "aliyunsdkkms", "Crypto", "crcmod"):
    import oss2

# From Python 3.12 on, each signature would warn of a function that the SDK calls.
warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"oss2\.auth\Z")
# Its debug lines hold tokens and signatures, and what it says of errors we say ourselves.
logging.getLogger("oss2").setLevel(logging.CRITICAL)

__all__ = ["oss2"]
