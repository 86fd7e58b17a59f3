"""Hosts on this machine: network namespaces with addresses of their own, joined by a bridge. Needs root and iproute2.

    with Hosts(3, rate="1gbit") as hosts:
        process = hosts.start(1, [sys.executable, "…"])
        hosts.cut(1)

They share processors, disk and memory, and nothing of the network: no loopback leads from one to another. Each host
has the name n1, n2, … , which the others know.
"""

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

BURST = "256kb"  # of a token bucket: more than it lets through in a tick of the kernel's clock at 10 Gbit/s


def possible():
    """Whether this process may make hosts."""
    if os.geteuid() or shutil.which("ip") is None:
        return False
    name = f"try{os.getpid()}"
    made = not subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode
    if made:
        subprocess.run(["ip", "netns", "delete", name], capture_output=True)
    return made


class Hosts:
    """``count`` hosts, numbered from 1; ``rate`` limits what each sends and what each receives, as tc writes it."""

    def __init__(self, count, rate=None):
        self.count, self._number = count, os.getpid() % 60000
        self.bridge = f"br{self._number}"
        self._subnet = f"10.77.{self._number % 250}"
        self._undo = contextlib.ExitStack()
        try:
            self._build(rate)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.close()

    def address(self, host):
        """The address of a host; that of the machine itself on the bridge is host 254's."""
        return f"{self._subnet}.{host}"

    def inside(self, host, words):
        """The words of a command that runs on this host, under its name."""
        # Not `ip netns exec`, which mounts another /sys, without the control groups that Slurm looks for.
        first = f'mount --bind {self._names}/hosts /etc/hosts && hostname n{host} && exec "$@"'
        place = [
            "nsenter",
            f"--net=/run/netns/{self._name(host)}",
            "unshare",
            "--mount",
            "--uts",
            "sh",
            "-c",
            first,
            "sh",
        ]
        return [*place, *map(str, words)]

    def start(self, host, words, **more):
        """A process on this host."""
        return subprocess.Popen(self.inside(host, words), **more)

    def cut(self, host):
        """Pull the plug: nothing reaches the host, nothing leaves it, and nobody is told."""
        _ip("link", "set", self._plug(host), "nomaster")

    def mend(self, host):
        """Put it back."""
        _ip("link", "set", self._plug(host), "master", self.bridge)

    def limit(self, rate):
        """Let each host send and receive no faster than this, such as 1gbit; None: as fast as the machine can."""
        for host in range(1, self.count + 1):
            for words in (["tc"], ["ip", "netns", "exec", self._name(host), "tc"]):
                device = self._plug(host) if words == ["tc"] else "eth0"
                subprocess.run([*words, "qdisc", "del", "dev", device, "root"], capture_output=True)
                if rate:
                    bucket = ["tbf", "rate", rate, "burst", BURST, "latency", "50ms"]
                    _run(*words, "qdisc", "add", "dev", device, "root", *bucket)

    def close(self):
        """Leave nothing of them."""
        self._undo.close()

    def _build(self, rate):
        _ip("link", "add", self.bridge, "type", "bridge")
        self._undo.callback(_ip, "link", "delete", self.bridge)
        _ip("address", "add", f"{self.address(254)}/24", "dev", self.bridge)
        _ip("link", "set", self.bridge, "up")
        self._names = self._undo.enter_context(tempfile.TemporaryDirectory())
        names = [f"{self.address(host)} n{host}\n" for host in range(1, self.count + 1)]
        Path(self._names, "hosts").write_text("".join(["127.0.0.1 localhost\n", *names]))
        for host in range(1, self.count + 1):
            name = self._name(host)
            _ip("netns", "add", name)
            self._undo.callback(_ip, "netns", "delete", name)
            _ip("link", "add", self._plug(host), "type", "veth", "peer", "name", "eth0", "netns", name)
            self._undo.callback(_ip, "link", "delete", self._plug(host))  # the kernel would, a while later
            _ip("link", "set", self._plug(host), "master", self.bridge, "up")
            _ip("-n", name, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        self.limit(rate)

    def _name(self, host):
        return f"n{host}-{self._number}"

    def _plug(self, host):
        return f"veth{host}-{self._number}"


def _ip(*words):
    _run("ip", *words)


def _run(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)}: {done.stderr.strip()}")
