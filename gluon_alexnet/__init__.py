"""AlexNet (Krizhevsky, Sutskever and Hinton, NIPS 2012) on Apache MXNet 1.9.1.

Importing this package imports nothing heavy: MXNet is loaded by :mod:`gluon_alexnet.backend` alone.
"""

__version__ = "0.1.0"
