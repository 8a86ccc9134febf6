import sys

import pytest

from homing.cluster.errors import CommandError
from homing.command import services


def test_the_wheels_services_go_before_the_checkout(tmp_path):
    package = tmp_path / "homing"
    package.mkdir()
    assert services.services_root(package) == tmp_path
    (package / "_services").mkdir()
    assert services.services_root(package) == package / "_services"


@pytest.fixture
def service(tmp_path, monkeypatch):
    """The path of a stub service's __main__.py; no other module has the stub's name."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(services, "services_root", lambda: tmp_path)
    folder = tmp_path / "stub_service"
    folder.mkdir()
    yield folder / "__main__.py"
    for name in ("stub_service", "stub_service.__main__"):
        sys.modules.pop(name, None)


def test_arguments_and_status_pass_through(service):
    service.write_text("def main(argv):\n    return len(argv)\n")
    with pytest.raises(SystemExit) as stopped:
        services.run_service("stub_service", ("--set", "a.b=c", "--help"))
    assert stopped.value.code == 3


def test_a_missing_package_says_what_to_install(service):
    service.write_text("import surely_not_installed.part\n")
    with pytest.raises(CommandError, match=r"needs the package surely_not_installed: pip install 'homing\[server\]'"):
        services.run_service("stub_service", ())
