"""What is wrong around the work: MXNet's own errors in one sentence, and an environment that cannot work."""

from __future__ import annotations

from ..backend import check_threads, mxnet_sentence

__all__ = ["check_threads", "mxnet_sentence"]
