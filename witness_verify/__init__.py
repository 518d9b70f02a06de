"""Checks evidence packages offline, with nothing but Python's standard library.

Written from the format description (``docs/evidence.md``) alone: it shares no code with what makes
the packages. ``python -m witness_verify PACKAGE --trust CERTIFICATE``.
"""

from witness_verify.failure import Failure
from witness_verify.steps import Result, Step, verify

__all__ = ["Failure", "Result", "Step", "verify"]
