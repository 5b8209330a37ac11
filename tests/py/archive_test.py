#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""What the bench brings onto a machine: packages that every Debian has, none too many;
and each failure says what it is. Prints KTAP."""

import os
import pty
import re
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
VM = TOP / "tests" / "vm"
VIEWS = {"bookworm": "bookworm amd64 bookworm bookworm-security", "trixie": "trixie amd64 trixie trixie-security trixie-backports"}
# What a minimal root has, and what the README says that one needs.
MINIMAL = """apt bash bsdutils coreutils dash debianutils diffutils dpkg findutils grep gzip hostname init-system-helpers libc-bin
    ncurses-base ncurses-bin perl-base sed sysvinit-utils tar util-linux git sudo ca-certificates""".split()
# Named all the same: those come with something that need not be there.
NAMED = {
    "make": "who runs deps by its name need not have it",
    "debian-archive-keyring": "Ubuntu has not",
    "perl": "it comes with git, which an unpacked archive does not need",
}


def run(*command, status=None, **env):
    done = subprocess.run([str(word) for word in command], cwd=TOP, env={**os.environ, **env}, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=600, check=False)
    assert status is None or done.returncode == status, f"status {done.returncode} of {command}:\n{done.stdout}"
    return done.stdout


def in_view(suite, words):
    """What apt says, as on a machine of that suite on which nothing is installed."""
    if os.environ.get("MYDEV_OFFLINE"):
        raise Skip("the archive is not asked")
    script = f'set -eu; . tests/vm/cache.sh; . tests/vm/archive.sh; open_cache; view {VIEWS[suite]} || die "$REASON"; {words}'
    return run("bash", "-c", script, status=0)


def listed():
    return run(VM / "deps", "--list", status=0).split()


def readme():
    """The packages that the README has installed."""
    text = (TOP / "README.md").read_text()
    return [word for line in re.findall(r"apt(?:-get)? install ([^`\n]*)", text) for word in line.split()
            if re.fullmatch(r"[a-z0-9][a-z0-9.+-]+", word)]


def wait_for(condition, otherwise, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, otherwise
        time.sleep(0.01)


def left_of(session):
    return subprocess.run(["pgrep", "-s", str(session)], capture_output=True, check=False).stdout


TESTS = []


def promise(function):
    TESTS.append(function)
    return function


class Skip(Exception):
    pass


class Stubs:
    """A PATH whose first programs are scripts of ours."""

    def __init__(self, **scripts):
        self.dir = tempfile.TemporaryDirectory()
        for name, script in scripts.items():
            path = Path(self.dir.name) / name.replace("_", "-")
            path.write_text("#!/bin/bash\n" + script)
            path.chmod(0o755)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.dir.cleanup()

    @property
    def path(self):
        return f"{self.dir.name}:{os.environ['PATH']}"


@promise
def each_package_is_in_debian_12_and_in_debian_13():
    names = sorted(set(listed() + readme()))
    assert len(names) > 30, names
    for suite in VIEWS:
        known = in_view(suite, f"apt-cache policy {' '.join(names)}")
        without = [name for name in names
                   if not re.search(rf"^{re.escape(name)}:\n  Installed: .*\n  Candidate: (?!\(none\))", known, re.MULTILINE)]
        assert not without, f"Debian {suite} has no package {' '.join(without)}"


def dependencies(suite, names):
    """What each of these and of what they need needs."""
    text = in_view(suite, "apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks "
                          f"--no-replaces --no-enhances {' '.join(names)}")
    needs, current, either = {}, None, False
    for line in text.splitlines():
        found = re.match(r" ([ |])(?:Pre)?Depends: (\S+)", line)
        if not line.startswith(" "):
            current, either = line.strip(), False
        elif found:
            # Of several that would do apt takes the first.
            if not either:
                needs.setdefault(current, []).append(found.group(2))
            either = found.group(1) == "|"
    return needs


def brought_by(needs, names):
    seen, todo = set(), list(names)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += needs.get(name, [])
    return seen


@promise
def no_package_is_named_that_another_one_brings():
    """Or else it would not be missed, and the list says less than it seems to."""
    needless = set(listed())
    for suite in VIEWS:
        needs = dependencies(suite, listed() + MINIMAL)
        for group in "demo", "check", "all":
            names = run(VM / "deps", "--list", group, status=0).split()
            needless -= {name for name in names if name not in brought_by(needs, [other for other in names + MINIMAL if other != name])}
    needless -= set(NAMED)
    assert not needless, f"needless in tests/vm/deps: {' '.join(sorted(needless))}"


@promise
def fetch_says_that_there_is_no_network():
    with tempfile.TemporaryDirectory() as cache:
        said = run(VM / "fetch", "6.1", status=1, MYDEV_CACHE=cache, MYDEV_MIRROR="http://127.0.0.1:9/debian")
        assert "no network: http://127.0.0.1:9 cannot be reached" in said, said
        # What the cache has has to do then.
        lane = Path(cache) / "lanes" / "6.1"
        lane.mkdir(parents=True)
        (lane / "release").write_text("6.1.0-9\n")
        (lane / "version").write_text("6.1.99-1\n")
        said = run(VM / "fetch", "6.1", status=0, MYDEV_CACHE=cache, MYDEV_MIRROR="http://127.0.0.1:9/debian")
        assert "no network" in said and "using the kernel of the cache, 6.1.99-1" in said, said


@promise
def fetch_says_what_is_no_mirror():
    with tempfile.TemporaryDirectory() as cache:
        said = run(VM / "fetch", "6.12", status=1, MYDEV_CACHE=cache, MYDEV_MIRROR=f"file:{cache}/debian")
        assert f"no mirror of Debian: file:{cache}/debian bookworm" in said and "MYDEV_MIRROR=" in said, said


@promise
def fetch_says_that_the_disk_is_full():
    in_view("bookworm", "true")
    with tempfile.TemporaryDirectory() as cache:
        with Stubs(df="echo Avail; echo 100\n") as stubs:
            said = run(VM / "fetch", "6.1", status=1, MYDEV_CACHE=cache, PATH=stubs.path)
        assert re.search(r"the disk is full: .* takes \d+ MB, and \S+ has 100; free some, or name another place with MYDEV_CACHE=", said), said
        with Stubs(tar="cat >/dev/null; echo 'tar: vmlinuz: Cannot write: No space left on device' >&2; exit 2\n") as stubs:
            said = run(VM / "fetch", "6.1", status=1, MYDEV_CACHE=cache, PATH=stubs.path)
        assert "the disk is full" in said, said
        assert not list(Path(cache).glob("*/*.new")), "something half made is left"


@promise
def fetch_says_what_the_archive_has_not():
    said = in_view("bookworm", 'closure "$CACHE/apt/log" no-such-package || why "$CACHE/apt/log"')
    assert "the archive has no such package" in said and "no-such-package" in said, said
    said = run(VM / "fetch", "5.10", status=1)
    assert "there is no lane '5.10' (lanes: " in said, said


@promise
def fetch_says_that_the_machine_is_of_another_kind():
    with Stubs(uname="echo riscv64\n") as stubs:
        said = run(VM / "fetch", "6.1", status=1, PATH=stubs.path)
    assert "this machine is riscv64" in said, said


@promise
def fetch_says_that_it_cannot_write():
    for cache in "/proc/mydev", "/dev/null":
        said = run(VM / "fetch", "6.1", status=1, MYDEV_CACHE=cache)
        assert f"cannot write to the cache {cache}" in said and "MYDEV_CACHE=" in said, said


@promise
def fetch_says_that_a_cache_was_moved():
    with tempfile.TemporaryDirectory() as cache:
        (Path(cache) / "lock").mkdir()
        (Path(cache) / "lock" / "place").write_text("/somewhere/else\n")
        said = run(VM / "fetch", "6.1", status=1, MYDEV_CACHE=cache)
        assert f"the cache {cache} was made as /somewhere/else" in said, said
        said = run(VM / "fetch", "6.1", status=1, MYDEV_CACHE=f"{cache}/a b")
        assert "a place without blanks" in said, said


@promise
def fetch_does_not_wait_for_itself():
    with tempfile.TemporaryDirectory() as cache:
        lane = Path(cache) / "lanes" / "6.1"
        lane.mkdir(parents=True)
        (lane / "release").write_text("6.1.0-9\n")
        said = run(VM / "fetch", "--offline", "6.1", "6.1", status=0, MYDEV_CACHE=cache)
        assert "waiting" not in said, said


@promise
def fetch_that_is_interrupted_leaves_nothing():
    in_view("bookworm", "true")
    for number, end in (signal.SIGINT, 130), (signal.SIGTERM, 143):
        with tempfile.TemporaryDirectory() as cache:
            process = subprocess.Popen([VM / "fetch", "6.1"], env={**os.environ, "MYDEV_CACHE": cache}, start_new_session=True,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            wait_for(lambda: list(Path(cache).glob("kernels/*.new")), "the download did not begin", 120)
            os.killpg(process.pid, number)
            said = process.communicate(timeout=60)[0]
            assert process.returncode == end, f"{process.returncode}: {said}"
            assert not list(Path(cache).glob("*/*.new")), "something half made is left"
            wait_for(lambda: not left_of(process.pid), "a process is left")


@promise
def make_modules_builds_for_each_kernel_of_this_architecture_in_the_cache():
    cache = Path(os.environ.get("MYDEV_CACHE") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mydev")
    lanes = [lane for lane in sorted((cache / "lanes").glob("*")) if lane.name not in ("arm64", "uml")]
    if not lanes:
        raise Skip("there is no kernel in the cache")
    for lane in lanes:
        with tempfile.TemporaryDirectory() as copy:
            run("cp", "-r", "Makefile", "uapi", "kernel", copy, status=0)
            release = (lane / "release").read_text().strip()
            said = run("make", f"-j{os.cpu_count()}", "-C", copy, "modules", f"KVER={release}", status=0, MAKEFLAGS="")
            assert (Path(copy) / "kernel" / "mydev.ko").exists(), said
            assert "warning" not in said.lower() and "compiler differs" not in said, said


MISSING = {"dpkg_query": "exit 1\n", "apt_cache": "echo '  Candidate: 1.0'\n", "sudo": "[ $1 != -n ] || shift\n\"$@\"\n"}


@promise
def deps_does_not_remove_a_package():
    apt = 'echo "$@" >>"$LOG"\ncase " $* " in *" -s "*) echo "Inst gcc-multilib (4)"; echo "Remv gcc-aarch64-linux-gnu [4]";; esac\n'
    with Stubs(apt_get=apt, **MISSING) as stubs:
        log = Path(stubs.dir.name) / "log"
        said = run(VM / "deps", "--install", "lint", status=1, PATH=stubs.path, LOG=str(log))
        assert "would remove gcc-aarch64-linux-gnu; nothing was changed" in said, said
        assert all(" -s " in line for line in log.read_text().splitlines()), log.read_text()
    apt = 'echo "$@" >>"$LOG"\ncase " $* " in *" -s "*) echo "Inst sparse (1)";; esac\n'
    with Stubs(apt_get=apt, **MISSING) as stubs:
        log = Path(stubs.dir.name) / "log"
        said = run(VM / "deps", "--install", "lint", status=0, PATH=stubs.path, LOG=str(log))
        done = [line for line in log.read_text().splitlines() if " -s " not in line]
        assert len(done) == 1 and "--no-remove" in done[0] and "sparse" in done[0], done


@promise
def deps_tells_who_may_not_install_whom_to_ask():
    stubs = {**MISSING, "sudo": "exit 1\n", "id": "echo 1000\n", "apt_get": "echo called\n"}
    with Stubs(**stubs) as stubs:
        said = run(VM / "deps", "--install", "lint", status=1, PATH=stubs.path)
    assert "ask your administrator to run:\n    apt-get install --no-install-recommends " in said and "sparse" in said, said
    assert "called" not in said, said


@promise
def deps_asks_once_on_a_terminal():
    stubs = {**MISSING, "apt_get": "case \" $* \" in *\" -s \"*) echo 'Inst sparse (1)';; *) echo installed;; esac\n"}
    with Stubs(**stubs) as stubs:
        for answer, installed in ("n", False), ("y", True), ("", True):
            said = run("script", "-qec", f"echo '{answer}' | PATH={stubs.path} script -qec '{VM}/deps --install lint' /dev/null", "/dev/null")
            assert said.count("[Y/n]") == 1, said
            assert ("installed" in said.replace("nothing was installed", "")) == installed, said


def heard_on(terminal):
    """What comes next on it; nothing when its other end is gone."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


@promise
def the_demo_that_is_interrupted_leaves_nothing():
    """By Ctrl-C, at moments from its first line to the guest's last one."""
    in_view("bookworm", "true")
    for heard in "What this needs", "Building", "Booting", "client 1":
        scratch = tempfile.mkdtemp()
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(TOP)
            os.execve("tests/demo", ["tests/demo"], {**os.environ, "TMPDIR": scratch})
        said, end = b"", time.monotonic() + 500
        while heard.encode() not in said:
            more = heard_on(terminal)
            said += more
            assert more and time.monotonic() < end, said.decode(errors="replace")
        os.write(terminal, b"\x03")
        while heard_on(terminal):
            pass
        os.close(terminal)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        assert status in (130, -signal.SIGINT), f"{heard}: status {status}"
        wait_for(lambda: not left_of(pid), f"{heard}: a process is left")
        # Which fails if anything is in it.
        os.rmdir(scratch)


def main():
    print(f"KTAP version 1\n1..{len(TESTS)}", flush=True)
    failed = 0
    for number, test in enumerate(TESTS, 1):
        name = test.__name__.replace("_", " ")
        try:
            test()
            print(f"ok {number} {name}", flush=True)
        except Skip as why:
            print(f"ok {number} {name} # SKIP {why}", flush=True)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            print("".join("# " + line + "\n" for line in traceback.format_exc().splitlines()), end="")
            print(f"not ok {number} {name}", flush=True)
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
