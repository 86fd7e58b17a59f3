"""MXNet's own errors in one sentence, and settings of the environment that it would end the process for."""

from __future__ import annotations

from ..backend import check_threads, mxnet_sentence

__all__ = ["check_threads", "mxnet_sentence"]
