"""Where cgroups for jobs can be made, on pretend trees; each way in which they cannot is said with what to do."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from trainqueue import cells

MOUNT = "35 24 0:30 {root} {where} rw,nosuid shared:9 - cgroup2 cgroup2 rw\n"
MKDIR = Path.mkdir
MEMORY = "cpuset cpu io memory pids\n"


class Tree:
    """A file system of cgroups as far as we look at it; `own` is ours."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.top, self.proc = folder / "cgroup", folder / "proc"
        MKDIR(self.proc)
        self.monkeypatch = monkeypatch
        self.home = folder
        self.full: set[Path] = set()
        """Those in which others live."""
        monkeypatch.setattr(cells, "PROC", self.proc)

        def mkdir(path: Path, *, exist_ok: bool = False) -> None:
            assert exist_ok
            self.born(path)

        def rmdir(path: Path) -> None:
            self.removed(path)

        monkeypatch.setattr(Path, "mkdir", mkdir)
        monkeypatch.setattr(Path, "rmdir", rmdir)
        monkeypatch.setattr(cells, "write", self.written)
        self.born(self.top)

    def born(self, path: Path) -> None:
        """The kernel fills a new one."""
        MKDIR(path)
        passed = "memory" in cells.words_in(path.parent / "cgroup.subtree_control") or path == self.top
        for name in ("cgroup.procs", "cgroup.subtree_control"):
            (path / name).touch()
        (path / "cgroup.controllers").write_text(MEMORY if passed else "pids\n", encoding="ascii")
        if passed and path != self.top:
            (path / "memory.max").touch()

    def removed(self, path: Path) -> None:
        for file in path.iterdir():
            file.unlink()
        os.rmdir(path)  # noqa: PTH106  (ours replaces pathlib's)

    def written(self, path: Path, text: str) -> None:
        if not path.exists():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        if path.name == "cgroup.subtree_control":
            if path.parent in self.full or path.parent == self.own:
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), str(path))
            path.write_text("memory\n", encoding="ascii")
        elif path.name == "cgroup.procs":
            self.live_in(path.parent)
        else:
            path.write_text(text, encoding="ascii")

    def live_in(self, folder: Path, mounted: str = "/") -> None:
        self.own = folder
        inside = "/" + str(folder.relative_to(self.top)).removeprefix(".")
        (self.proc / "cgroup").write_text(f"4:memory:/elsewhere\n0::{inside}\n", encoding="utf-8")
        (self.proc / "mountinfo").write_text(MOUNT.format(root=mounted, where=self.top), encoding="utf-8")

    def delegated(self, name: str = "trainqd.scope") -> Path:
        """To a user."""
        (self.top / "cgroup.subtree_control").write_text("memory\n", encoding="ascii")
        service = self.top / name
        self.born(service)
        self.live_in(service)
        return service


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    return Tree(tmp_path, monkeypatch)


def trouble(tree: Tree) -> tuple[str, str]:
    place = cells.find(tree.home)
    assert place.base is None
    assert place.sentence() == f"this machine cannot limit a job's memory: {place.trouble}; {place.advice}"
    assert place.cell("1-2-3") == {"trouble": place.sentence()}
    return place.trouble, place.advice


def test_alone_in_its_cgroup_the_daemon_goes_into_a_child_and_makes_others_beside_it(tree: Tree) -> None:
    service = tree.delegated()
    cells.settle()
    assert tree.own == service / "daemon"
    place = cells.find(tree.home)
    assert (place.base, place.outside) == (service, service / "daemon")
    assert place.cell("1-2-3") == {"folder": f"{service}/trainq-1-2-3", "outside": f"{service}/daemon"}
    assert [folder.name for folder in service.iterdir() if folder.is_dir()] == ["daemon"]
    cells.settle()
    assert tree.own == service / "daemon"


def test_where_systemd_has_put_it_into_the_child_it_passes_the_controller_on(tree: Tree) -> None:
    service = tree.delegated("trainqd.service")
    tree.born(service / "daemon")
    tree.live_in(service / "daemon")
    cells.settle()
    assert tree.own == service / "daemon"
    assert cells.find(tree.home).base == service


def test_a_service_that_systemd_has_not_put_there_stays_where_it_can_be_started_again(tree: Tree) -> None:
    """Of before 254, which passes over DelegateSubgroup."""
    service = tree.delegated("trainqd.service")
    cells.settle()
    assert (tree.own, cells.enabled(service)) == (service, False)
    told = f"systemd has started the daemon in the cgroup {service} itself, not below it"
    assert trouble(tree) == (told, cells.INSTALL)


def test_what_killed_runners_have_left_is_removed(tree: Tree) -> None:
    service = tree.delegated()
    cells.settle()
    ours, others = service / f"trainq-{cells.mark(tree.home)}-2-3", service / f"trainq-{cells.mark(service)}-2-3"
    tree.born(ours)
    tree.born(others)
    assert cells.find(tree.home).base == service
    assert (ours.exists(), others.exists()) == (False, True), "another home's runner may be about to go in"


def test_where_others_live_it_stays_and_says_so(tree: Tree) -> None:
    service = tree.delegated()
    tree.full.add(service)
    cells.settle()
    assert tree.own == service
    assert not (service / "daemon").exists()
    assert trouble(tree) == (f"other processes live in the cgroup {service}, beside the daemon", cells.INSTALL)


def test_a_cgroup_of_somebody_else(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    service = tree.delegated()

    def access(path: Path, mode: int) -> bool:
        del path, mode
        return False

    monkeypatch.setattr(os, "access", access)
    assert trouble(tree) == (f"the cgroup {service} belongs to somebody else", cells.INSTALL)


def test_a_controller_that_is_not_passed_on(tree: Tree) -> None:
    tree.born(tree.top / "user.slice")
    tree.live_in(tree.top / "user.slice")
    cells.settle()
    assert tree.own == tree.top / "user.slice"
    told = f"the memory controller is not passed on (delegated) to the cgroup {tree.own}"
    assert trouble(tree) == (told, cells.INSTALL)


def test_a_machine_whose_memory_version_1_has(tree: Tree) -> None:
    (tree.top / "cgroup.controllers").write_text("pids\n", encoding="ascii")
    tree.live_in(tree.top)
    assert trouble(tree) == (f"{tree.top} has no memory controller: version 1 of cgroups has it", cells.OLD)


def test_a_machine_without_cgroups(tree: Tree) -> None:
    assert trouble(tree) == ("it has no cgroups of version 2", cells.OLD)
    tree.live_in(tree.top)
    (tree.proc / "mountinfo").write_text("", encoding="utf-8")
    assert trouble(tree)[1] == cells.OLD


def test_a_container_that_sees_its_own_part_only(tree: Tree) -> None:
    (tree.top / "cgroup.subtree_control").write_text("memory\n", encoding="ascii")
    tree.live_in(tree.top)
    (tree.proc / "cgroup").write_text("0::/docker/1234\n", encoding="utf-8")
    (tree.proc / "mountinfo").write_text(MOUNT.format(root="/docker/1234", where=tree.top), encoding="utf-8")
    assert cells.find(tree.home).base == tree.top


def test_a_limit_that_the_kernel_refuses(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.delegated()
    cells.settle()

    def refused(path: Path, text: str) -> None:
        del text
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(cells, "write", refused)
    assert trouble(tree)[0].endswith("/memory.max: Permission denied")
