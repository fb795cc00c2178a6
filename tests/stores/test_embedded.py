"""The embedded parts on the machines people have: ports taken, folders private, versions old, disks full."""

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lah_platform.errors import ConfigurationError, StackError
from lah_platform.stores.embedded.ports import free_port, unused_port
from lah_platform.stores.embedded.postgres import EmbeddedPostgres
from lah_platform.stores.postgres import connect


@pytest.fixture
def postgres(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path, port=unused_port())
    yield server
    server.destroy()


def test_a_taken_port_gives_the_next_free_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert free_port(port) > port


def test_what_was_committed_survives_a_crash_of_the_server(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    with connect(postgres.url) as connection:
        connection.execute("create table kept (a int)")
    postgres.kill()
    postgres.start()
    with connect(postgres.url) as connection:
        assert connection.execute("select count(*) from kept").fetchone() == (0,)


def test_it_never_runs_as_root_and_its_password_is_the_owners_alone(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    postgres.start()
    assert postgres.pid is not None
    assert Path(f"/proc/{postgres.pid}").stat().st_uid != 0
    assert (tmp_path / "password").stat().st_mode & 0o077 == 0
    assert postgres.url.split(":")[2].split("@")[0] not in (tmp_path / "postgres.log").read_text(encoding="utf-8")


def test_a_data_folder_of_another_version_is_refused_with_what_to_do(postgres: EmbeddedPostgres) -> None:
    postgres.start()
    postgres.stop()
    (postgres.data / "PG_VERSION").write_text("14\n", encoding="ascii")
    with pytest.raises(ConfigurationError, match=r"was made by PostgreSQL 14, the embedded one is 18.*LAH_HOME"):
        postgres.start()


def test_a_second_server_on_the_same_data_is_refused_with_what_to_do(
    postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    postgres.start()
    with pytest.raises(StackError, match=r"already uses .*lah down"):
        EmbeddedPostgres(tmp_path, port=unused_port()).start()


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk needs root to mount it")
def test_a_full_disk_is_said_before_anything_is_written(tmp_path: Path) -> None:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", tmp_path], check=False)
    if mounted.returncode:
        pytest.skip("this machine mounts no tmpfs")
    try:
        tmp_path.chmod(0o755)
        server = EmbeddedPostgres(tmp_path, port=unused_port())
        server.data = tmp_path / "data"
        with pytest.raises(ConfigurationError, match=r"MB are free .*LAH_HOME"):
            server.start()
        assert list(tmp_path.iterdir()) == []
    finally:
        subprocess.run(["umount", tmp_path], check=True)
