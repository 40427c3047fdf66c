"""An image with the layout of NVIDIA's, made of the embedded server: theirs cannot be had here.

What lies where, and what the environment says, is from docs/hardware.md. The stand-in's Python
backend is the official one, out of the server's wheel; its onnxruntime backend is this project's
engine in that, self-contained as the official one is; its Python is Debian's.
"""

import os
import platform
import shutil
import subprocess
import zipfile
from collections.abc import Mapping
from pathlib import Path

from tests.serving import ROOT, base_environment, run
from utils.embedded_server import IMAGE_PYTHON_VERSION, server_for_image
from utils.targets.profiles import read_profile
from utils.wheels import Wheels, download_wheels

HERE = Path(__file__).parent / "stand_in"
MODEL = Path(__file__).parent / "stand_in_model.py"

# Of all images that are made of it, with a name for its value.
LABEL = "triton-image.test"

SERVER = Path("opt/tritonserver")
BACKEND = SERVER / "backends" / "onnxruntime"
SYSTEM_LIBRARIES = Path("usr/lib/x86_64-linux-gnu")
PACKAGES = Path("usr/local/lib/python3.11/dist-packages")
CUDA = Path("usr/local/cuda-13.4")
CUDA_LIBRARIES = CUDA / "targets/x86_64-linux/lib"

# In ENV LD_LIBRARY_PATH of the image.
HPCX = Path("opt/hpcx/ucx/lib")

# What the server's wheel has of the official Python backend.
PYTHON_BACKEND = (
    "pytriton/tritonserver/backends/python/libtriton_python.so",
    "pytriton/tritonserver/backends/python/triton_python_backend_utils.py",
    f"pytriton/tritonserver/python_backend_stubs/{IMAGE_PYTHON_VERSION}/triton_python_backend_stub",
)

# Where parts of the embedded server's lib/ go; the others are the system's.
ODD_PLACES = {"libtritonserver": SERVER / "lib", "libcudart": CUDA_LIBRARIES, "libnuma": HPCX}

# A small library of the onnxruntime package, which others are made of.
TEMPLATE = "libonnxruntime_providers_shared.so"

LIBRARIES = (
    # Of ONNX Runtime's providers, and what one of them opens.
    BACKEND / "libonnxruntime.so.1",
    BACKEND / "libonnxruntime_providers_cuda.so",
    BACKEND / "libonnxruntime_providers_tensorrt.so",
    BACKEND / "libonnxruntime_providers_openvino.so",
    BACKEND / "libopenvino.so",
    BACKEND / "libopenvino_intel_cpu_plugin.so",
    # Opened by name.
    SYSTEM_LIBRARIES / "libcudnn.so.9.24.0",
    SYSTEM_LIBRARIES / "libcudnn_graph.so.9.24.0",
    SYSTEM_LIBRARIES / "libnvinfer.so.11.2.1",
    SYSTEM_LIBRARIES / "libnvonnxparser.so.11.2.1",
    SYSTEM_LIBRARIES / "libnvinfer_builder_resource_sm90.so.11.2.1",
    CUDA_LIBRARIES / "libcublas.so.1",
    # The driver for older hosts, which must never take the place of the host's. NVIDIA's image has
    # its folder in ld.so.conf.d; with this one, which has no functions, the server would not start.
    CUDA / "compat/lib/libcuda.so.1",
)

# By what they are linked to, in the place of what the template is linked to.
LINKED = {
    BACKEND / "libonnxruntime.so.1": {"libstdc++.so.6": "libopenvino.so"},
    BACKEND / "libonnxruntime_providers_cuda.so": {
        "libstdc++.so.6": "libcublas.so.1",
        "libgcc_s.so.1": "libcuda.so.1",
    },
}

SHORT_NAMES = {
    SYSTEM_LIBRARIES / "libcudnn.so.9.24.0": "libcudnn.so.9",
    SYSTEM_LIBRARIES / "libcudnn_graph.so.9.24.0": "libcudnn_graph.so.9",
    SYSTEM_LIBRARIES / "libnvinfer.so.11.2.1": "libnvinfer.so.11",
    SYSTEM_LIBRARIES / "libnvonnxparser.so.11.2.1": "libnvonnxparser.so.11",
}

# Files of no use to a text classifier, in megabytes.
BALLAST = {SERVER / "backends/pytorch/libtorch.so": 40, CUDA / "compat/lib/other": 10}

TEXTS = {
    SERVER / "LICENSE": "BSD-3-Clause",
    SERVER / "TRITON_VERSION": "2.72.0",
    SERVER / "NVIDIA_Deep_Learning_Container_License.pdf": "licence of the container",
    SERVER / "python/tritonserver-2.72.0-py3-none-any.whl": "",
    SERVER / "repoagents/checksum/README": "",
    BACKEND / "LICENSE": "MIT",
    BACKEND / "onnx_test_runner": "",
    Path("etc/ld.so.conf.d/cuda.conf"): "/usr/local/cuda/targets/x86_64-linux/lib",
    # For the neighbour below, which has no RUNPATH.
    Path("etc/ld.so.conf.d/backend.conf"): f"/{BACKEND}",
}


def write_root(tree: Path, server_wheel: Path, root: Path) -> None:
    """What the stand-in has over its base.

    Args:
        tree: the embedded server for an image.
        server_wheel: that its tritonserver is out of.
        root: new folder.
    """
    site_packages = tree / "python" / "lib" / "python3.11" / "site-packages"
    _link(tree / "bin" / "tritonserver", root / SERVER / "bin" / "tritonserver")
    _link_tree(tree / "backends" / "onnxruntime", root / BACKEND)
    (root / BACKEND / "model.py").unlink()
    shutil.copy(MODEL, root / BACKEND / "model.py")
    _write_python_backend(server_wheel, root / SERVER / "backends" / "python")
    _link_tree(site_packages / "onnxruntime", root / BACKEND / "onnxruntime")
    for package in site_packages.glob("numpy*"):
        _link_tree(package, root / PACKAGES / package.name)
    for library in (tree / "lib").iterdir():
        place = ODD_PLACES.get(library.name.partition("-")[0], SYSTEM_LIBRARIES)
        _link(library, root / place / library.name)
    template = (site_packages / "onnxruntime" / "capi" / TEMPLATE).read_bytes()
    for path in LIBRARIES:
        _library(template, root / path, LINKED.get(path, {}))
    for path, name in SHORT_NAMES.items():
        (root / path).with_name(name).symlink_to(path.name)
    for path, megabytes in BALLAST.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(os.urandom(megabytes * 1_000_000))
    for path, text in TEXTS.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(f"{text}\n", encoding="utf-8")
    (root / CUDA.parent / "cuda").symlink_to(CUDA.name)
    (root / "usr" / "bin").mkdir()
    (root / "usr" / "bin" / "python3").symlink_to("python3.11")
    shutil.copytree(HERE, root / "opt" / "nvidia", ignore=shutil.ignore_patterns("*Dockerfile"))


def build_stand_in(name: str, folder: Path, base: str) -> None:
    """Build NAME:nvidia.

    Args:
        name: of images; also their label.
        folder: new folder for the build context.
        base: image with Debian's Python 3.11.
    """
    profile, cache, machine = read_profile("cpu"), ROOT / ".cache", platform.machine()
    tree = server_for_image(cache, profile, machine)
    wheels = download_wheels(Wheels(profile.lock_file, machine, IMAGE_PYTHON_VERSION), cache)
    (server_wheel,) = wheels.glob("nvidia_pytriton-*.whl")
    write_root(tree, server_wheel, folder / "root")
    build(f"{name}:nvidia", HERE / "Dockerfile", folder, f"BASE_IMAGE={base}", f"NAME={name}")


def build_small(name: str, folder: Path, base: str) -> None:
    """Build NAME:small, which is to the stand-in what ubuntu:24.04 is to NVIDIA's image."""
    folder.mkdir()
    dockerfile = HERE / "small.Dockerfile"
    build(f"{name}:small", dockerfile, folder, f"BASE_IMAGE={base}", f"NAME={name}")


def build(tag: str, dockerfile: Path, context: Path, *build_arguments: str) -> None:
    """Build an image."""
    done = docker_build(tag, dockerfile, context, *build_arguments)
    assert done.returncode == 0, done.stdout + done.stderr


def docker_build(
    tag: str, dockerfile: Path, context: Path, *build_arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run docker build, with the builder that every docker has."""
    return subprocess.run(
        ["docker", "build", f"--file={dockerfile}", f"--tag={tag}", "--force-rm",
         *(f"--build-arg={argument}" for argument in build_arguments), context],
        check=False, capture_output=True, text=True,
        env={**base_environment(), "DOCKER_BUILDKIT": "0"},
    )  # fmt: skip


def debian(folder: Path) -> str:
    """The base image of the embedded server, pulled or bootstrapped."""
    run("utils/choose_target.py", "--output", folder / "target.env")
    return run("utils/base_image.sh", "docker", folder / "target.env").strip()


def _write_python_backend(server_wheel: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    with zipfile.ZipFile(server_wheel) as wheel:
        for member in PYTHON_BACKEND:
            target = folder / Path(member).name
            target.write_bytes(wheel.read(member))
            target.chmod(0o755)


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)


def _link_tree(source: Path, target: Path) -> None:
    for path in source.rglob("*"):
        if path.is_file():
            _link(path, target / path.relative_to(source))


def _library(template: bytes, target: Path, needed: Mapping[str, str]) -> None:
    """Write a library with its own name in it, linked to others than its template is.

    Names take the place of longer ones in the table of strings; one that is too long for that keeps
    the template's, and can only be opened by its path.
    """
    own = {TEMPLATE: target.name} if len(target.name) <= len(TEMPLATE) else {}
    for old, new in {**own, **needed}.items():
        assert template.count(old.encode() + b"\0") == 1 and len(new) <= len(old)
        template = template.replace(old.encode(), new.encode().ljust(len(old), b"\0"))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(template)
