"""A served net under load: wrk's 16 clients against `predict` in batches, and against a handler that does not batch.

    python benchmarks/serving.py RUN IMAGES [--seconds 20] [--requests 20000]

RUN: a run, a checkpoint or an exported net. IMAGES: a folder of photographs. One JSON line each: images/s of
`predict --views 1` and of the server, in turn, and of a plain Starlette handler; latencies; resident memory over many
requests; requests that were sent whole and not answered while the server was told to end. wrk is Debian's package.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from report import environment

CLIENTS = 16
IMAGES_SENT = 64  # in turn, by every client

LUA = """
local bodies, turn = {}, 0
for line in io.lines(os.getenv("BODIES")) do
  local file = io.open(line, "rb"); bodies[#bodies + 1] = file:read("*a"); file:close()
end
request = function()
  turn = turn % #bodies + 1
  return wrk.format("POST", "/predict?views=1", nil, bodies[turn])
end
done = function(summary, latency)
  local e, form = summary.errors, '{"requests": %d, "seconds": %.3f, "p50_ms": %.1f, "p99_ms": %.1f, "errors": %d}\\n'
  local lost = e.connect + e.read + e.write + e.status + e.timeout
  local function ms(percent) return latency:percentile(percent) / 1e3 end
  io.write(string.format(form, summary.requests, summary.duration / 1e6, ms(50), ms(99), lost))
end
"""

# The shortest handler that gives the same answers: every request for itself, the event loop waits.
PLAIN = """
import sys, numpy as np, uvicorn
from pathlib import Path
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from gluon_alexnet import backend
from gluon_alexnet.data.augmentation import crop_views
from gluon_alexnet.recordio.dataset.images import decode, shorter_side_256
from gluon_alexnet.workflows.load import open_model
model = open_model(Path(sys.argv[1]), backend.contexts("cpu", [0])[0])

async def predict(request):
    image = shorter_side_256(decode(await request.body()))
    probabilities = model.classify(crop_views(image[None], model.size, 1)[0])[0]
    best = np.argsort(-probabilities)[:5]
    return JSONResponse([{**model.classes[k], "probability": float(probabilities[k])} for k in best])

uvicorn.run(Starlette(routes=[Route("/predict", predict, methods=["POST"])]), port=int(sys.argv[2]), log_level="error")
"""


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextlib.contextmanager
def process(*command: str, port: int):
    """A server's process, once its port answers."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as started:
        try:
            for _ in range(600):
                time.sleep(0.1)
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                    break
            else:
                sys.exit(f"no server: {started.stderr.read()}")
            yield started
        finally:
            if started.poll() is None:
                started.terminate()
            started.wait(90)


def wrk(port: int, seconds: float, folder: Path) -> dict:
    """What wrk's clients see."""
    command = ["wrk", "-t2", f"-c{CLIENTS}", f"-d{seconds:.0f}s", "--timeout", "30s", "-s", str(folder / "post.lua")]
    environment = {**os.environ, "BODIES": str(folder / "bodies")}
    address = f"http://127.0.0.1:{port}"
    out = subprocess.run([*command, address], capture_output=True, text=True, check=True, env=environment).stdout
    found = json.loads(next(line for line in out.splitlines() if line.startswith("{")))
    return {"images_per_second": round(found["requests"] / found["seconds"], 1), **found}


def predict(model: str, folder: Path) -> float:
    """Images/s of the command on the same images."""
    command = ["-m", "gluon_alexnet.tools.main", "predict", model, "-", "--views", "1", "--cpus", "0"]
    names = (folder / "bodies").read_text() * 24
    done = subprocess.run([sys.executable, *command], input=names, capture_output=True, text=True, check=True)
    return float(re.search(r"([\d.]+) images/s", done.stderr)[1])


def resident(pid: int) -> int:
    """MB."""
    return int(re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1]) // 1024


def end_under_load(started, port: int, bodies: list[bytes]) -> dict:
    """Clients that ask without pause while the server gets SIGTERM: what was sent whole and what was answered."""
    counts = {"sent": 0, "answered": 0}
    lock = threading.Lock()

    def client(number):
        for body in itertools.islice(itertools.cycle(bodies), number, None):
            head = f"POST /predict?views=1 HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
            try:
                connected = socket.create_connection(("127.0.0.1", port), timeout=60)
            except ConnectionRefusedError:
                return
            answer = b""
            with connected, contextlib.suppress(OSError):
                connected.sendall(f"{head}Connection: close\r\n\r\n".encode() + body)
                with lock:
                    counts["sent"] += 1
                while part := connected.recv(65536):
                    answer += part
            with lock:
                counts["answered"] += answer.startswith(b"HTTP/1.1 200")

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    time.sleep(5)
    started.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    return {**counts, "exit_code": started.wait(90)}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("images", type=Path)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--requests", type=int, default=20_000)
    options = parser.parse_args()

    print(environment("mxnet", "starlette", "uvicorn", "h11"), flush=True)

    def say(what: str, **values) -> None:
        print(json.dumps({"what": what, **values}), flush=True)

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = sorted(file for file in options.images.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg"))
        files = files[:: max(1, len(files) // IMAGES_SENT)][:IMAGES_SENT]
        (folder / "bodies").write_text("".join(f"{file.resolve()}\n" for file in files))
        (folder / "post.lua").write_text(LUA)
        (folder / "plain.py").write_text(PLAIN)
        port = free_port()
        serve = [sys.executable, "-m", "gluon_alexnet.tools.main", "serve", options.model, "--cpus", "0"]
        with process(*serve, "--port", str(port), port=port):
            wrk(port, 5, folder)
            ratios = []
            for _ in range(options.turns):  # in turn, so that what else the machine does hits both
                batches = predict(options.model, folder)
                found = wrk(port, options.seconds, folder)
                ratios.append(round(found["images_per_second"] / batches, 3))
                say(f"serve, {CLIENTS} clients", **found, predict_images_per_second=batches, ratio=ratios[-1])
            say("ratio to predict --views 1", median=statistics.median(ratios), turns=ratios)
        with process(sys.executable, str(folder / "plain.py"), options.model, str(port), port=port):
            wrk(port, 5, folder)
            say("plain handler", **wrk(port, options.seconds, folder))
        with process(*serve, "--port", str(port), port=port) as started:
            found = wrk(port, options.seconds, folder)
            say(f"serve, {CLIENTS} clients", **found)
            done, memory = found["requests"], [resident(started.pid)]
            while done < options.requests:
                done += wrk(port, options.seconds, folder)["requests"]
                memory.append(resident(started.pid))
            say("memory", requests=done, resident_mb=memory)
            say("SIGTERM", **end_under_load(started, port, [file.read_bytes() for file in files]))


if __name__ == "__main__":
    main()
