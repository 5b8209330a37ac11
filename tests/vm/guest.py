# SPDX-License-Identifier: GPL-2.0-only
"""Starts one guest, a stock kernel in QEMU or a UML kernel, and waits for its end."""

import lzma
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import bare as bare_guest
import verdict
from lanes import STOCK, TOP, BenchError, Lane, cache_dir

VM = TOP / "tests" / "vm"
# What reaches the host's files; the rest comes from /lib/modules in the guest.
BOOT_MODULES = ["virtio_pci", "9pnet_virtio", "9p", "overlay"]
PROBE_SECONDS = 20


def need_tool(name, package):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if not path:
        raise BenchError(f"{name} is missing; install it with: apt-get install {package} (or: tests/vm/deps --install)")
    return path


def module_files(lane, names):
    """The files of the named modules and all that they need, in load order."""
    root = lane.modules.parents[2]
    modprobe = need_tool("modprobe", "kmod")
    seen = []
    for name in names:
        shown = subprocess.run([modprobe, "-S", lane.release, "-d", str(root), "--show-depends", name],
                               capture_output=True, text=True, check=False)
        if shown.returncode:
            raise BenchError(f"kernel {lane.release} has no module {name}: {shown.stderr.strip()}")
        for line in shown.stdout.splitlines():
            word = line.split()
            if word[0] == "insmod" and word[1] not in seen:
                seen.append(word[1])
    return seen


def make_initramfs(target, files):
    """Writes a cpio archive; files maps a path in it to bytes or to a path here."""
    with tempfile.TemporaryDirectory() as tmp:
        for name, content in files.items():
            path = Path(tmp) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                shutil.copyfile(content, path)
            path.chmod(0o755)
        names = sorted(str(p.relative_to(tmp)) for p in Path(tmp).rglob("*"))
        with open(target, "wb") as out:
            subprocess.run([need_tool("cpio", "cpio"), "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=tmp,
                           input="\n".join(names).encode(), stdout=out, check=True)


def busybox(lane):
    if lane.is_cross:
        return lane.root / "usr/bin/busybox"
    path = need_tool("busybox", "busybox-static")
    # ldd fails where there is nothing to link dynamically.
    if subprocess.run(["ldd", path], capture_output=True, check=False).returncode == 0:
        raise BenchError("busybox is not a static one; install it with: apt-get install busybox-static")
    return path


def spawn(command, **args):
    """A child in its own session, which dies with this program even if that is killed."""
    return subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *command], start_new_session=True, **args)


def kill(process):
    """Ends the whole session of a child of ours."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()


def qemu_base(lane, accel, memory, smp):
    if lane.is_cross:
        machine = [need_tool("qemu-system-aarch64", "qemu-system-arm"), "-machine", "virt"]
    else:
        machine = [need_tool("qemu-system-x86_64", "qemu-system-x86"), "-machine", "q35"]
    return [*machine, *accel, "-m", str(memory),
            "-smp", str(smp), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-monitor", "none"]


def emulated(lane):
    """Whether its processors are QEMU's."""
    return not lane.is_uml and (lane.is_cross or not kvm_works())


def kvm_works():
    """Whether a stock guest really boots under KVM: there are /dev/kvm that hang it.

    The answer holds until the host boots again, and is kept in the cache."""
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    note = cache_dir() / "kvm-probe"
    if note.exists() and note.read_text().startswith(boot_id):
        return note.read_text().split()[1] == "yes"
    for name in STOCK:
        try:
            lane = Lane(name)
            break
        except BenchError:
            continue
    else:
        return False
    script = "#!/bin/sh\n/bin/busybox echo KVM-GUEST-IS-UP\n/bin/busybox poweroff -f\n"
    with tempfile.TemporaryDirectory() as tmp:
        make_initramfs(f"{tmp}/initramfs", {"bin/busybox": busybox(lane), "bin/sh": busybox(lane), "init": script.encode(),
                                            "dev/README": b"mount point\n"})
        process = spawn([*qemu_base(lane, ["-accel", "kvm"], 512, 2), "-kernel", str(lane.kernel), "-initrd", f"{tmp}/initramfs",
                         "-append", "console=ttyS0 panic=-1 quiet", "-serial", "stdio"],
                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        try:
            output, _ = process.communicate(timeout=PROBE_SECONDS)
        except subprocess.TimeoutExpired:
            output = b""
        finally:
            kill(process)
    works = b"KVM-GUEST-IS-UP" in output
    note.write_text(f"{boot_id} {'yes' if works else 'no'}\n")
    return works


class Guest:
    """One boot of one lane, with its results in the directory `out`.

    A bare one (bare.py) has only what its suites need."""

    def __init__(self, lane, out, *, suites=None, command=None, interactive=False, bare=False,
                 smp=2, memory=None, icount=False, append="", preload=None):
        self.lane = lane
        self.out = Path(out).resolve()
        self.suites = suites or []
        self.command = command
        self.interactive = interactive
        self.bare = bare
        self.sleep = None
        # Emulated ones trip over each other's code when they go to sleep and wake up.
        self.smp = 1 if bare else smp
        self.memory = memory or (768 if lane.is_uml else 1024 if bare else 2048)
        self.icount = icount
        self.append = append
        # A library that stands before the C library of a UML kernel.
        self.preload = Path(preload).resolve() if preload else None
        self.process = None
        self.channel = None
        self.scratch = None
        self.timed_out = False
        self.complete = interactive     # all that it has said is here; else nobody listens
        if icount and (lane.is_uml or lane.is_cross):
            raise BenchError("--icount is for the QEMU lanes of this architecture")
        if lane.is_cross and not (TOP / "build" / lane.name / "build/tests").exists():
            raise BenchError(f"nothing that could run there is built; run tests/vm/cross-build {lane.name}")
        if preload and not lane.is_uml:
            raise BenchError("--preload is for the lane uml")
        if preload and not self.preload.exists():
            raise BenchError(f"there is no {preload}; make -C tests builds it")

    @property
    def console_log(self):
        return self.out / "console.log"

    @property
    def status(self):
        """What the guest left as its last word: None when it never came to its end."""
        if not self.complete:
            return None
        try:
            return int((self.out / "done").read_text())
        except (OSError, ValueError):
            return None

    @property
    def errors(self):
        """What QEMU itself has said."""
        log = self.out / "qemu.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def _write_initramfs(self):
        size = shutil.get_terminal_size()
        env = {
            "LANE": self.lane.name, "MYDEV_KO": self.lane.mydev_ko, "KERNEL_RELEASE": self.lane.release,
            "HOST_SRC": str(TOP), "HOST_OUT": str(self.out), "HOST_MODULES": str(self.lane.modules),
            "BUILT": f"build/{self.lane.name}" if self.lane.is_cross else "",
            "CHANNEL": "/dev/tty1" if self.lane.is_uml else "/dev/ttyS0" if self.lane.is_cross else "/dev/ttyS1",
            "INTERACTIVE": "1" if self.interactive else "", "BARE": "1" if self.bare else "",
            "ROWS": str(size.lines), "COLS": str(size.columns), "TERM": os.environ.get("TERM", "dumb"),
        }
        files = {
            "bin/busybox": busybox(self.lane), "bin/sh": busybox(self.lane), "init": VM / "initramfs-init",
            "job.env": "".join(f"{k}={shlex.quote(v)}\n" for k, v in env.items()).encode(),
        }
        if self.command is not None:
            files["job.command"] = f"{self.command}\n".encode()
        else:
            files["job.suites"] = "".join(f"{s.name} {s.seconds} {1 + (self.lane.name in s.two)} {s.command}\n" for s in self.suites).encode()
        if not self.lane.is_uml:
            for number, path in enumerate(module_files(self.lane, BOOT_MODULES)):
                name = Path(path).name
                content = Path(path).read_bytes()
                if name.endswith(".xz"):
                    name, content = name[:-3], lzma.decompress(content)
                files[f"modules/{number:02}-{name}"] = content
        if self.bare:
            files.update(bare_guest.files(self.lane, self.suites, module_files(self.lane, bare_guest.MODULES)))
        make_initramfs(self.out / "initramfs.cpio", files)

    def _qemu_command(self):
        smp = self.smp
        words = ""
        if self.icount:
            # One instruction is one nanosecond. Without the two flags taken away,
            # a copy of any length would count as one instruction.
            smp = 1
            accel = ["-accel", "tcg,thread=single", "-icount", "shift=0,sleep=off", "-cpu", "max,-erms,-fsrm"]
        elif not emulated(self.lane):
            accel = ["-accel", "kvm", "-cpu", "host"]
        else:
            # With the two flags, the kernel copies with the one instruction that
            # the emulator does byte by byte: ten times as slow.
            accel = ["-accel", "tcg,thread=multi,tb-size=512", "-cpu", "cortex-a72" if self.lane.is_cross else "max,-erms,-fsrm"]
            # It translates a program anew for each address that it is mapped at, and has
            # nothing to mitigate; each level of page tables costs it.
            words = "norandmaps mitigations=off " + ("nokaslr" if self.lane.is_cross else "no5lvl")
            if self.suites:
                # The second processor comes with the first suite that has two.
                words += " maxcpus=1" + (" highres=off" if self.lane.coarse_timers else "")
        shares = []
        for tag, path, options in (("rootfs", self.lane.root, "readonly=on,multidevs=remap"), ("src", TOP, "readonly=on,multidevs=remap"),
                                   ("modules", self.lane.modules, "readonly=on,multidevs=remap"), ("out", self.out, "multidevs=remap")):
            if self.bare and tag != "out" or tag == "modules" and not self.lane.is_cross:
                continue
            shares += ["-virtfs", f"local,path={str(path).replace(',', ',,')},mount_tag={tag},security_model=none,{options}"]
        devices = []
        if self.bare:
            self.sleep = bare_guest.Sleep(self.scratch)
            devices = self.sleep.options()
        elif not self.icount and not self.lane.is_cross:
            # A USB device that nobody here wrote, behind a real host controller; the
            # other end of its line is a port of the same guest (tests/sh/xhci.sh).
            line = f"path=mydev-{os.getpid()}-{self.lane.name}-{time.monotonic_ns()},abstract=on"
            devices = ["-chardev", f"socket,id=line,server=on,wait=off,{line}", "-chardev", f"socket,id=back,{line}",
                       "-device", "qemu-xhci", "-device", "usb-serial,chardev=line,always-plugged=on",
                       "-device", "virtio-serial-pci", "-device", "virtserialport,chardev=back,name=back"]
        # The machine of the other architecture has but one serial line.
        console, second = ("ttyAMA0", ["-device", "pci-serial,chardev=channel"]) if self.lane.is_cross else ("ttyS0", ["-serial", "chardev:channel"])
        return [*qemu_base(self.lane, accel, self.memory, smp), *shares, *devices, "-kernel", str(self.lane.kernel),
                "-initrd", str(self.out / "initramfs.cpio"),
                "-append", f"console={console} panic=-1 loglevel=7 {words} {self.append}",
                "-serial", f"file:{self.console_log}",
                "-chardev", "stdio,id=channel,signal=off", *second,
                "-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng"]

    def start(self):
        self.out.mkdir(parents=True, exist_ok=True)
        for old in self.out.iterdir():
            if old.is_file():
                old.unlink()
        self._write_initramfs()
        self.console_log.touch()
        stdin = None if self.interactive else subprocess.DEVNULL
        stdout = None if self.interactive else subprocess.PIPE
        if self.lane.is_uml:
            # UML writes to its own standard output before it has consoles; the
            # channel must not see that, so it gets descriptors of its own.
            channel_in = os.dup(0) if self.interactive else os.open("/dev/null", os.O_RDONLY)
            reader = None
            if self.interactive:
                channel_out = os.dup(1)
            else:
                reader, channel_out = os.pipe()
            preload = ["env", f"LD_PRELOAD={self.preload}"] if self.preload else []
            with open(self.console_log, "ab") as console:
                self.process = spawn(
                    [*preload, str(self.lane.kernel), f"mem={self.memory}M", f"initrd={self.out}/initramfs.cpio",
                     f"uml_dir={self.scratch}/", "umid=uml", "con=null", f"con0=null,fd:{console.fileno()}",
                     f"con1=fd:{channel_in},fd:{channel_out}", "console=tty0", "panic=-1", "loglevel=7",
                     *self.append.split()],
                    stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                    pass_fds=(console.fileno(), channel_in, channel_out))
            os.close(channel_in)
            os.close(channel_out)
            self.channel = None if self.interactive else os.fdopen(reader, "rb", buffering=0)
        else:
            with open(self.out / "qemu.log", "wb") as errors:
                command = self._qemu_command()
                self.process = spawn(command, stdin=stdin, stdout=stdout, stderr=errors,
                                     pass_fds=[self.sleep.theirs.fileno()] if self.sleep else [])
            if self.sleep:
                self.sleep.start()
            self.channel = self.process.stdout

    def _listen(self, deadline, log, on_data):
        """Passes on what comes by the channel, up to the guest's end marker."""
        channel = verdict.Channel()

        def say(data):
            if data:
                log.write(data)
                on_data(data)

        with selectors.DefaultSelector() as selector:
            selector.register(self.channel, selectors.EVENT_READ)
            while not channel.ended:
                left = deadline - time.monotonic()
                if left <= 0:
                    self.timed_out = True
                    break
                # In this order: what it has said is there once it is gone. A child
                # of it may be left that keeps the channel open.
                gone = self.process.poll() is not None
                if not selector.select(0 if gone else min(left, 1)):
                    if gone:
                        break
                    continue
                data = os.read(self.channel.fileno(), 65536)
                if not data:
                    break
                say(channel.feed(data))
        say(channel.rest())
        self.complete = channel.ended

    def run(self, limit, on_data=None, processes=None):
        """Runs the guest to its end, or for `limit` seconds.

        on_data gets the channel's bytes as they come; while the guest runs, its
        process is in the set `processes`, for others to end it."""
        deadline = time.monotonic() + limit
        self.scratch = tempfile.mkdtemp(prefix="mydev-guest-")
        try:
            self.start()
            if processes is not None:
                processes.add(self.process)
            if self.channel:
                with open(self.out / "ktap.log", "wb", buffering=0) as log:
                    self._listen(deadline, log, on_data or (lambda data: None))
            if not self.timed_out:
                try:
                    self.process.wait(max(1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    self.timed_out = True
        finally:
            if self.process:
                kill(self.process)
                if processes is not None:
                    processes.discard(self.process)
            (self.out / "initramfs.cpio").unlink(missing_ok=True)
            shutil.rmtree(self.scratch, ignore_errors=True)
