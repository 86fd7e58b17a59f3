"""Names, dependencies and the entry point; each version limit carries its reason."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
# The version's one home is gluon_alexnet/version.py. It is read as text: importing would need what is to be installed.
VERSION = re.search(r'^__version__ = "(.+)"$', (HERE / "gluon_alexnet/version.py").read_text(), re.M)[1]

REQUIREMENTS = [
    "numpy>=1.24,<2",  # MXNet 1.9.1 uses the C interface and names of NumPy 1
    "opencv-python>=4.8,<4.12",  # 4.12 asks for NumPy 2
    "gluoncv==0.10.5.post0",  # the last release; names and step schedule used here are stable in it
    "click>=8.2",  # its test runner keeps stdout and stderr apart
    "faiss-cpu>=1.12",  # exact search among 1.28 million vectors, 18 MB; these releases take NumPy 1
    "matplotlib>=3.7",
    "numba>=0.59",  # compiles the response normalisation for training on a CPU, and the crops' colour shift
    "protobuf>=4.22",  # reads Caffe's files
    "pillow>=9.4",  # second reader for the images on which OpenCV is silent or wrong
    "simplejpeg>=1.9",  # libjpeg-turbo in a wheel: reads the records' JPEGs a quarter faster than OpenCV
    "safetensors>=0.4",  # arrays of and for other programs, in a form that runs nothing when it is read
    "scipy>=1.9",  # loadmat reads the development kits
    "setuptools>=64,<81; python_version >= '3.12'",  # MXNet imports distutils, which Python 3.12 dropped
    "tensorboardX>=2.6",  # event files for TensorBoard without TensorBoard
    "tqdm>=4.64",
    "zlib-ng>=0.4",  # CRC-32 in a fourteenth of the time: the checksum of every record is compared when it is read
]

MXNET_CPU = ["mxnet==1.9.1"]

ONNX = [
    "onnx==1.16.2",  # MXNet 1.9.1's exporter fails with newer ones, and 1.14 has no wheel for Python 3.11
    "onnxruntime>=1.16",  # runs what was written, to check it
]

# The mxnet-cu112 wheel brings no CUDA of its own. These hold the library versions it was linked to,
# and backend.py loads them before MXNet.
MXNET_CUDA = [
    "mxnet-cu112==1.9.1",
    "nvidia-cuda-runtime-cu11==11.8.89",
    "nvidia-cublas-cu11==11.11.3.6",
    "nvidia-cudnn-cu11==8.9.6.50",
    "nvidia-cufft-cu11==10.9.0.58",
    "nvidia-curand-cu11==10.3.0.86",
    "nvidia-cusolver-cu11==11.4.1.48",
    "nvidia-cuda-nvrtc-cu11==11.8.89",
    "nvidia-nvtx-cu11==11.8.86",
    "nvidia-nccl-cu11==2.14.3",
]

# recordio and tools install below gluon_alexnet: top-level packages of those names would shadow other people's.
FOLDERS = {"gluon_alexnet": "gluon_alexnet", "gluon_alexnet.recordio": "recordio", "gluon_alexnet.tools": "tools"}
PACKAGES = [
    name
    for package, folder in FOLDERS.items()
    for name in [package, *(f"{package}.{below}" for below in find_packages(folder))]
]

DOCS = [
    "sphinx>=7.3",
    "myst-nb>=1.1",  # pages in Markdown, and the notebook
    "furo>=2024.1",  # the theme
    "sphinx-click>=6",  # the reference of the commands, from the commands
]

SERVE = [
    "prometheus-client>=0.16",  # the format that Prometheus reads
    "starlette>=0.37",  # routes and requests; each release names the Pythons it still takes
    "uvicorn>=0.29",  # the HTTP server; serving/connection.py builds on its h11 protocol
]

setup(
    name="gluon-alexnet",
    version=VERSION,
    description="The AlexNet of 2012 on Apache MXNet: pack ImageNet, train on two columns, evaluate, deploy",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    keywords="alexnet imagenet mxnet gluon deep-learning image-classification reproducibility",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Environment :: Console",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "License :: OSI Approved :: Apache Software License",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Topic :: Scientific/Engineering :: Image Recognition",
        "Typing :: Typed",
    ],
    python_requires=">=3.10,<3.13",  # 3.9 is past its end of life; NumPy 1.26 has no wheel for 3.13
    packages=PACKAGES,
    package_dir=FOLDERS,
    package_data={
        "gluon_alexnet": ["py.typed"],
        "gluon_alexnet.reporting": ["style.css"],
        "gluon_alexnet.serving": ["page/*"],
    },
    install_requires=REQUIREMENTS,
    extras_require={
        "cpu": MXNET_CPU,
        "cu112": MXNET_CUDA,
        "dask": ["dask>=2023.5", "distributed>=2023.5"],  # `dask scheduler` and `dask worker` as commands
        "onnx": ONNX,
        "serve": SERVE,
        "browser": ["selenium>=4.12"],  # drives the Chromium of the system in `make test-browser`
        "demo": ["scikit-learn>=1.2"],  # ships the 1,797 handwritten digits
        "docs": DOCS,
        "test": [
            "pytest>=7.4",
            "pytest-xdist>=3.5",  # the tests on every core
            "ipykernel>=6.29",  # runs the notebook docs/tour.ipynb
            "nbclient>=0.10",  # the same
            "ruff>=0.9",
            "mypy>=1.11",
            "openvino>=2024.0",  # a third program for the ONNX file, with its own arithmetic
            "tensorboard>=2.11",
            "dask>=2023.5",
            "distributed>=2023.5",
            "httpx2>=2",  # Starlette's test client
            "tritonclient[http]>=2.34",  # asks our server as it asks Triton's
            *DOCS,
            *ONNX,
            *SERVE,
        ],
    },
    entry_points={"console_scripts": ["alexnet-tools = gluon_alexnet.tools.main:main"]},
)
