"""The keys of `[registry]` that say how etcd is reached."""

import pytest

from registry.etcd.section import RegistrySection


@pytest.mark.parametrize("listed", ["a:1, b:2,", ["a:1", " b:2 ", ""]])
def test_endpoints_are_a_list_or_a_text_with_commas(listed: object) -> None:
    made = RegistrySection(etcd=listed, etcd_user="homing", etcd_password="secret")  # type: ignore[arg-type]
    settings = made.endpoints()
    assert (settings.endpoints, settings.user, settings.password) == (("a:1", "b:2"), "homing", "secret")
