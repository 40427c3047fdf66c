"""Runs the model server and the front before it, until one of them ends or is told to.

The server listens on free ports of the loopback interface, the front on the container's. What the
front is told stands in variables of the environment (docs/reliability.md). SIGTERM first ends the
front, which answers what is under way, and then the server. A model that answers nobody for
UNREADY_SECONDS ends both, with status 1: whoever runs the container starts it anew.
"""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from string import Template

from readiness import READY, readiness

FRONT = Path(__file__).resolve().parents[1] / "front"

# Of a model that was ready before.
UNREADY_SECONDS = 10.0

# One that works on something long answers nobody either, but takes this share of a CPU's time. So
# does an endless loop, hence a limit.
BUSY_SHARE = 0.2
BUSY_SECONDS = 300.0

POLL_SECONDS = 1.0
ANSWER_SECONDS = 2.0

# After SIGTERM; `docker stop` waits 10 s in all.
FRONT_STOP_SECONDS = 7.0
SERVER_STOP_SECONDS = 2.0
# Of a front without a server, whose clients wait for a new start.
FRONT_FAILED_SECONDS = 1.0


class SettingError(Exception):
    """A variable of the environment, or a file that it names, is not what it has to be."""


@dataclass(frozen=True)
class Ports:
    """Of the server, on the loopback interface."""

    http: int
    metrics: int


# Of gRPC, which has no front: behind a secret of this start is what no inference needs.
RESTRICTED = "shared-memory,model-repository,statistics,trace,logging"


def number(environment: Mapping[str, str], name: str, default: int, most: int) -> int:
    """A variable as a whole number from 1.

    Raises:
        SettingError: it is none.
    """
    text = environment.get(name, str(default))
    if not re.fullmatch("[1-9][0-9]{0,9}", text) or int(text) > most:
        raise SettingError(f"{name}: must be 1 to {most}, not '{text}'")
    return int(text)


def api_keys(environment: Mapping[str, str]) -> list[str]:
    """The keys of API_KEY, and of the lines of API_KEY_FILE.

    Raises:
        SettingError: the file cannot be read, or has none.
    """
    keys = _lines(environment.get("API_KEY", ""))
    # What was to be a key and came out empty must not open the door.
    if "API_KEY" in environment and not keys:
        raise SettingError("API_KEY: has no key")
    if "API_KEY_FILE" in environment:
        file = environment["API_KEY_FILE"]
        try:
            of_file = _lines(Path(file).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(f"API_KEY_FILE: {file}: cannot be read: {error}") from error
        if not of_file:
            raise SettingError(f"API_KEY_FILE: {file}: has no keys")
        keys += of_file
    return keys


def _lines(text: str) -> list[str]:
    """Those with anything in them, without the white space around it, which no header can have."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def nginx_path(name: str, path: Path) -> str:
    """An absolute path as nginx.conf can have it.

    Raises:
        SettingError: with `name`; it has characters that mean something there.
    """
    text = str(path.absolute())
    if re.search(r"[\s;{}\"'\\$]", text):
        raise SettingError(f"{name}: {text}: is no path that nginx takes")
    return text


def tls(environment: Mapping[str, str]) -> str:
    """nginx's directives for the certificate, "" for none.

    Raises:
        SettingError: one file without the other, or they cannot be read or are no pair.
    """
    names = ("TLS_CERTIFICATE_FILE", "TLS_KEY_FILE")
    if not any(name in environment for name in names):
        return ""
    files = [environment.get(name, "") for name in names]
    for name, file in zip(names, files, strict=True):
        if not os.access(file, os.R_OK):
            raise SettingError(f"{name}: {file or 'not set'}: cannot be read")
    certificate, key = (
        nginx_path(name, Path(file)) for name, file in zip(names, files, strict=True)
    )
    try:
        # A key that is encrypted would be asked for its password.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except OSError as error:
        raise SettingError(
            f"TLS_CERTIFICATE_FILE: {certificate}: is no certificate of {key}: {error}"
        ) from error
    return (
        f"ssl_certificate {certificate}; ssl_certificate_key {key};"
        " ssl_protocols TLSv1.2 TLSv1.3; ssl_session_cache shared:tls:1m;"
    )


def public_ports(environment: Mapping[str, str]) -> dict[str, int]:
    """Those that clients use, by the variables that name them.

    Raises:
        SettingError: names a variable.
    """
    wanted = environment.get("GRPC", "off")
    if wanted not in ("on", "off"):
        raise SettingError(f"GRPC: must be on or off, not '{wanted}'")
    defaults = {"HTTP_PORT": 8000, "METRICS_PORT": 8002}
    if wanted == "on":
        defaults["GRPC_PORT"] = 8001
    return {name: number(environment, name, port, 65535) for name, port in defaults.items()}


def server_options(environment: Mapping[str, str], ports: Ports) -> list[str]:
    """Where the server listens.

    Raises:
        SettingError: names a variable.
    """
    grpc = ["--allow-grpc=false"]
    port = public_ports(environment).get("GRPC_PORT")
    if port:
        secret = f"{RESTRICTED}:front={secrets.token_hex(16)}"
        grpc = [f"--grpc-port={port}", f"--grpc-restricted-protocol={secret}"]
    return [
        *("--http-address=127.0.0.1", f"--http-port={ports.http}"),
        *("--metrics-address=127.0.0.1", f"--metrics-port={ports.metrics}"),
        *grpc,
    ]


def choose_ports(environment: Mapping[str, str]) -> Ports:
    """Two that nobody has, nor will once those of the clients are listened at.

    Raises:
        SettingError: names the variable of a port that cannot be listened at.
    """
    with ExitStack() as held:
        # nginx tries again for seconds, and of two servers at one port leaves one out.
        for name, port in public_ports(environment).items():
            listener = held.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("", port))
                listener.listen()
            except OSError as error:
                raise SettingError(f"{name}: port {port}: {error.strerror}") from error
        first, second = (held.enter_context(socket.socket()) for _ in range(2))
        first.bind(("127.0.0.1", 0))
        second.bind(("127.0.0.1", 0))
        return Ports(first.getsockname()[1], second.getsockname()[1])


def settings(
    environment: Mapping[str, str], contract: Mapping[str, object], ports: Ports
) -> dict[str, object]:
    """What the Lua of the front is told.

    Raises:
        SettingError: names a variable.
    """
    return {
        "api_keys": api_keys(environment),
        "max_text_bytes": number(environment, "MAX_TEXT_BYTES", 131_072, 1 << 24),
        "max_texts": number(environment, "MAX_TEXTS", 256, 1 << 16),
        "max_in_flight": number(environment, "MAX_IN_FLIGHT", 256, 1 << 16),
        "triton_port": ports.http,
        "path": f"/v2/models/{contract['model']}",
    }


def configuration(
    environment: Mapping[str, str], repository: Path, model: str, ports: Ports, run: Path
) -> str:
    """nginx.conf.

    Raises:
        SettingError: names a variable.
    """
    path = f"/v2/models/{model}"
    certificate = tls(environment)
    public = public_ports(environment)
    models = nginx_path("MODEL_REPOSITORY", repository)
    return Template((FRONT / "nginx.conf").read_text(encoding="utf-8")).safe_substitute(
        RUN=nginx_path("TMPDIR", run),
        FRONT=nginx_path("server", FRONT),
        MODELS=models,
        CONTRACT=f"{models}/front.json",
        WORKERS=max(1, len(os.sched_getaffinity(0)) // 4),
        MAX_BODY_BYTES=number(environment, "MAX_BODY_BYTES", 2_000_000, 1 << 26),
        TIMEOUT_SECONDS=number(environment, "TIMEOUT_SECONDS", 60, 3600),
        TRITON_HTTP_PORT=ports.http,
        TRITON_METRICS_PORT=ports.metrics,
        LISTEN=f"{public['HTTP_PORT']} backlog=1024" + " ssl" * bool(certificate),
        METRICS_LISTEN=public["METRICS_PORT"],
        TLS=certificate,
        MODEL_PATH=path,
        MODEL_PATTERN=re.escape(path) + "(/versions/1)?",
    )


@contextmanager
def prepared(environment: Mapping[str, str], ports: Ports) -> Iterator[Path]:
    """A folder with what nginx reads, removed at the end; nobody else can look into it.

    Raises:
        SettingError: names a variable or file.
    """
    repository = Path(environment.get("MODEL_REPOSITORY", "/models"))
    file = repository / "front.json"
    try:
        contract = json.loads(file.read_text(encoding="utf-8"))
        model = str(contract["model"])
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise SettingError(
            f"{file}: cannot be read: {error} (render the repository anew, or set FRONT=off)"
        ) from error
    try:
        run = Path(tempfile.mkdtemp(prefix="front-"))
    except OSError as error:
        raise SettingError(f"TMPDIR: {error.strerror} (docker run --tmpfs /tmp)") from error
    try:
        text = json.dumps(settings(environment, contract, ports))
        (run / "settings.json").write_text(text, encoding="utf-8")
        text = configuration(environment, repository, model, ports, run)
        (run / "nginx.conf").write_text(text, encoding="utf-8")
        yield run
    finally:
        shutil.rmtree(run, ignore_errors=True)


class Stop(Exception):  # noqa: N818, nothing is wrong
    """SIGTERM or SIGINT."""


class Signals:
    """SIGTERM and SIGINT, which interrupt nothing but a watch: what is begun has to be ended."""

    def __init__(self) -> None:
        self._told = False
        self._interrupt = False
        signal.signal(signal.SIGTERM, self._note)
        signal.signal(signal.SIGINT, self._note)

    def _note(self, *_: object) -> None:
        self._told = True
        if self._interrupt:
            self._interrupt = False
            raise Stop

    def watch(self, server: subprocess.Popen[bytes], front: subprocess.Popen[bytes]) -> int:
        """The status to end with: 0 when told to."""
        try:
            self._interrupt = True
            status = 0 if self._told else watch(server, front)
            self._interrupt = False
        except Stop:
            return 0
        return status


def cpu_seconds(pid: int) -> float:
    """That a process has taken so far; 0 of one that has gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    # proc(5): utime and stime, the 14th and 15th of all fields.
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def watch(server: subprocess.Popen[bytes], front: subprocess.Popen[bytes]) -> int:
    """Wait until one of them ends or answers nobody; the status to end with."""
    was_ready, silent, busy = False, 0.0, 0.0
    asked, worked = time.monotonic(), cpu_seconds(server.pid)
    while True:
        if server.poll() is not None:
            print(f"error: tritonserver: ended with {server.returncode}", file=sys.stderr)
            return server.returncode if server.returncode > 0 else 1
        if front.poll() is not None:
            print(f"error: nginx: ended with {front.returncode}", file=sys.stderr)
            return 1
        if time.monotonic() - asked >= POLL_SECONDS:
            status = readiness(os.environ, ANSWER_SECONDS, log=False)
            now, work = time.monotonic(), cpu_seconds(server.pid)
            was_ready = was_ready or status == READY
            # A container that was paused has not been silent for as long.
            passed = min(now - asked, POLL_SECONDS + ANSWER_SECONDS)
            if status == READY or (status and not was_ready):
                # What is loading has never been ready: how long that takes is the model's affair.
                # That it is, the front says at once.
                silent, busy = 0.0, 0.0
            elif work - worked >= BUSY_SHARE * passed:
                busy += passed
            else:
                silent += passed
            asked, worked = now, work
        if silent >= UNREADY_SECONDS or busy >= BUSY_SECONDS:
            print(f"error: tritonserver: no answer for {silent + busy:.0f} s", file=sys.stderr)
            return 1
        time.sleep(0.05)


def start(command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """In a process group of its own: a signal is for this process, which passes it on in order."""
    return subprocess.Popen(command, env=environment, process_group=0)


def kill(process: subprocess.Popen[bytes]) -> None:
    """With whatever it has started: nginx's workers outlive their master."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def end(process: subprocess.Popen[bytes], signal_number: int, seconds: float) -> None:
    """Tell a process to end, and end it where it does not."""
    if process.poll() is None:
        process.send_signal(signal_number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    kill(process)


def run(command: Sequence[str]) -> int:
    """Run until the end; `command` starts the server, ports are added to it.

    Raises:
        SettingError: names a variable or file.
    """
    signals = Signals()
    ports = choose_ports(os.environ)
    with prepared(os.environ, ports) as folder, ExitStack() as started:
        options = server_options(os.environ, ports)
        # Nobody but the front needs the keys, and it reads them in its folder.
        environment = {name: value for name, value in os.environ.items() if name != "API_KEY"}
        nginx = ("nginx", "-e", "stderr", "-p", str(folder), "-c", str(folder / "nginx.conf"))
        try:
            server = start([*command, *options], environment)
            started.callback(kill, server)
            front = start(nginx, environment)
            started.callback(kill, front)
        except OSError as error:
            print(f"error: {error.filename}: {error.strerror}", file=sys.stderr)
            return 1
        status = signals.watch(server, front)
        if status:
            kill(server)
        end(front, signal.SIGQUIT, FRONT_FAILED_SECONDS if status else FRONT_STOP_SECONDS)
        end(server, signal.SIGTERM, SERVER_STOP_SECONDS)
        started.pop_all()
        return status


def main(command: Sequence[str]) -> int:
    """The status to exit with."""
    try:
        return run(command)
    except SettingError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
