"""Serve a checkpoint with Triton. Usage: serve.py CHECKPOINT [PORT]; without one it prepares.

Run by this contender's own Python. The ONNX file is made once for each checkpoint and kept with the
environment that made it.
"""

# mypy: disable-error-code="import-not-found"

import hashlib
import os
import shutil
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent
HOME = Path(sys.prefix) / "classic_ensemble"
STEPS = HOME / "steps"
BACKENDS = HOME / "backends"
TRITON = Path(sysconfig.get_path("purelib")) / "pytriton" / "tritonserver"

PYTHON_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"


def lay_out_backends() -> None:
    """Triton's own for Python, as official images have it, and one for ONNX Runtime."""
    shutil.rmtree(BACKENDS, ignore_errors=True)
    shutil.copytree(TRITON / "backends" / "python", BACKENDS / "python")
    stub = TRITON / "python_backend_stubs" / PYTHON_VERSION / "triton_python_backend_stub"
    shutil.copy(stub, BACKENDS / "python")
    (BACKENDS / "python" / stub.name).chmod(0o755)
    (BACKENDS / "onnxruntime").mkdir()
    shutil.copy(HERE / "backend.py", BACKENDS / "onnxruntime" / "model.py")


def lay_out_environment() -> None:
    """This environment without torch: exporting needs it, the served steps do not.

    transformers imports torch where it is installed, which would count as memory of the server.
    """
    packages = Path(sysconfig.get_path("purelib"))
    shutil.rmtree(STEPS, ignore_errors=True)
    links = STEPS / packages.relative_to(sys.prefix)
    links.mkdir(parents=True)
    for path in packages.iterdir():
        if not path.name.startswith("torch"):
            (links / path.name).symlink_to(path)
    shutil.copy(Path(sys.prefix) / "pyvenv.cfg", STEPS)
    (STEPS / "bin").mkdir()
    (STEPS / "bin" / "python3").symlink_to(Path(sys.executable).resolve())


def repository(model: Path) -> Path:
    """The model repository of a checkpoint, made if it is not there yet."""
    digest = hashlib.sha256()
    for path in [*sorted(model.iterdir()), *sorted(HERE.glob("*.p*"))]:
        digest.update(path.read_bytes())
    target = HOME / "repositories" / digest.hexdigest()[:16]
    if not target.is_dir():
        # Only here is torch needed.
        from fill import fill

        draft = target.with_name(f".{target.name}-{os.getpid()}")
        fill(model, draft)
        draft.rename(target)
    return target


def libraries() -> str:
    """LD_LIBRARY_PATH: what Triton is linked with, and libpython for its stubs."""
    own = TRITON.parents[1] / "nvidia_pytriton.libs"
    return f"{own}:{sysconfig.get_config_var('LIBDIR')}"


def main() -> None:
    """Prepare, or with a port become tritonserver."""
    model, *port = sys.argv[1:]
    models = repository(Path(model))
    if not port:
        lay_out_backends()
        lay_out_environment()
        return
    # The stub takes its packages from the environment whose python3 is first on PATH.
    os.environ["PATH"] = f"{STEPS / 'bin'}:{os.environ['PATH']}"
    os.environ["LD_LIBRARY_PATH"] = libraries()
    program = TRITON / "bin" / "tritonserver"
    options = [
        f"--model-repository={models}",
        f"--backend-directory={BACKENDS}",
        "--http-address=127.0.0.1",
        f"--http-port={port[0]}",
        "--allow-grpc=false",
        "--allow-metrics=false",
        "--disable-auto-complete-config",
        "--exit-timeout-secs=8",
    ]
    os.execv(program, [str(program), *options])  # noqa: S606


if __name__ == "__main__":
    main()
