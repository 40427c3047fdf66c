"""What is collected out of NVIDIA's image, and what is not."""

import subprocess
from pathlib import Path

import pytest

from tests.containers import docker
from tests.image.ngc.conftest import Bases, paths
from tests.serving import ROOT

pytestmark = pytest.mark.image

COLLECT = ROOT / "server" / "ngc-slim" / "collect.sh"
LIBRARIES = "/opt/tritonserver/lib"
BACKEND = "/opt/tritonserver/backends/onnxruntime"


def collect(image: str, *providers: str, before: str = "true") -> subprocess.CompletedProcess[str]:
    """Run collect.sh in an image after another command; the paths that it collected."""
    command = f"{before} && bash /collect.sh /collected {' '.join(providers)} >/dev/null"
    return docker(
        "run", "--rm", f"--volume={COLLECT}:/collect.sh:ro", "--entrypoint=bash", image,
        "-c", f"{command} && cd /collected && find . -not -type d -printf '/%P\\n'", check=False,
    )  # fmt: skip


def test_it_is_smaller_than_nvidias_image(bases: Bases, slim: str) -> None:
    sizes = {
        image: int(docker("inspect", "--format", "{{.Size}}", image).stdout)
        for image in (bases.nvidia, slim, bases.small)
    }
    print({image: f"{size / 1e6:.0f} MB" for image, size in sizes.items()})
    assert sizes[slim] < sizes[bases.nvidia]


def test_licences_stay_and_what_a_classifier_does_not_need_goes(slim: str) -> None:
    found = paths(slim)
    assert {
        "/opt/tritonserver/LICENSE",
        "/opt/tritonserver/TRITON_VERSION",
        "/opt/tritonserver/NVIDIA_Deep_Learning_Container_License.pdf",
        f"{BACKEND}/LICENSE",
        "/usr/share/doc/libpython3.11/copyright",
        "/usr/local/lib/python3.11/dist-packages/numpy-1.26.4.dist-info/LICENSE.txt",
    } <= found
    parts = ("backends/pytorch", "repoagents", "onnx_test_runner", "whl", "cuda-13", "numpy/f2py")
    assert not [path for path in found for part in parts if part in path]
    assert not [path for path in found if path.startswith("/collect")]
    gpu = (
        "nvinfer",
        "cudnn",
        "cublas",
        "providers_cuda",
        "providers_tensorrt",
        "providers_openvino",
    )
    assert not [path for path in found for part in gpu if part in path]
    # It is linked to; its plugin is not.
    assert {path for path in found if "openvino" in path} == {f"{BACKEND}/libopenvino.so"}
    assert not [path for path in found if Path(path).name.startswith("libcuda.so")]


def test_libraries_come_from_wherever_the_loader_finds_them(slim: str) -> None:
    found = {Path(path).name.partition("-")[0] for path in paths(slim) if LIBRARIES in path}
    # By ld.so.conf.d through a link, by LD_LIBRARY_PATH, from the system's folder.
    assert {"libcudart", "libnuma", "libarchive", "libpython3.11.so.1.0"} <= found
    # The C library is the small image's.
    assert not {"libc.so.6", "libm.so.6", "ld"} & found


@pytest.mark.parametrize(
    ("providers", "there"),
    [
        (("openvino",), {"openvino"}),
        (("cuda",), {"cuda"}),
        (("cuda", "tensorrt"), {"cuda", "tensorrt"}),
    ],
)
def test_a_profile_has_its_providers_and_no_others(
    bases: Bases, providers: tuple[str, ...], there: set[str]
) -> None:
    compat = "echo /usr/local/cuda/compat/lib >/etc/ld.so.conf.d/00-cuda-compat.conf && ldconfig"
    done = collect(bases.nvidia, *providers, before=compat)
    assert done.returncode == 0, done.stderr
    found = set(done.stdout.splitlines())
    for provider in ("openvino", "cuda", "tensorrt"):
        path = f"{BACKEND}/libonnxruntime_providers_{provider}.so"
        assert (path in found) == (provider in there)
    assert (f"{BACKEND}/libopenvino_intel_cpu_plugin.so" in found) == ("openvino" in there)
    # libonnxruntime.so.1 is linked to it.
    assert f"{BACKEND}/libopenvino.so" in found
    assert (f"{LIBRARIES}/libcublas.so.1" in found) == ("cuda" in there)
    assert (f"{LIBRARIES}/libcudnn_graph.so.9" in found) == ("cuda" in there)
    resource = f"{LIBRARIES}/libnvinfer_builder_resource_sm90.so.11.2.1"
    assert (resource in found) == ("tensorrt" in there)
    # The host's driver, never the image's own.
    assert not [path for path in found if "libcuda.so" in path]


@pytest.mark.parametrize(
    ("before", "providers", "error"),
    [
        (
            "rm /usr/lib/x86_64-linux-gnu/libcudnn.so.9*",
            ("cuda",),
            "error: libcudnn.so.[0-9]*: is in no folder of libraries (for cuda; another release?)",
        ),
        (
            "rm -r /opt/tritonserver/backends/onnxruntime",
            (),
            "error: /opt/tritonserver/backends/onnxruntime: is not in this image"
            " (is it one of nvcr.io/nvidia/tritonserver?)",
        ),
        ("true", ("rocm",), "error: rocm: is no provider (openvino, cuda or tensorrt)"),
    ],
)
def test_what_is_missing_stops_it_with_one_line(
    bases: Bases, before: str, providers: tuple[str, ...], error: str
) -> None:
    done = collect(bases.nvidia, *providers, before=before)
    assert done.returncode == 1
    assert done.stderr.startswith(error), done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_build_on_an_image_that_lacks_a_library_says_which(bases: Bases) -> None:
    changed = bases.changed("lacking", "rm /opt/hpcx/ucx/lib/libnuma*")
    done = bases.build("ngc-slim", changed)
    assert done.returncode != 0
    assert "\nerror: libnuma-3582bce9.so.1.0.0, which /opt/tritonserver/" in done.stdout
