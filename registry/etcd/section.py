"""`[registry]` of a service's configuration: the registry's settings, and how etcd is reached."""

from registry.etcd.client import EtcdSettings
from registry.ports import RegistrySettings


class RegistrySection(RegistrySettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`etcd` is a list of host:port, or one text with commas; the rest of etcd's settings have `etcd_` before them."""

    etcd: tuple[str, ...] | str = ("127.0.0.1:2379",)
    etcd_user: str = ""
    etcd_password: str = ""
    etcd_ca: str = ""  # path, PEM
    etcd_cert: str = ""  # path, PEM
    etcd_key: str = ""  # path, PEM
    etcd_server_name: str = ""  # the name in etcd's certificate, needed with several addresses

    def endpoints(self) -> EtcdSettings:
        """How etcd is reached."""
        listed = self.etcd.split(",") if isinstance(self.etcd, str) else self.etcd
        return EtcdSettings(
            endpoints=tuple(endpoint.strip() for endpoint in listed if endpoint.strip()),
            user=self.etcd_user,
            password=self.etcd_password,
            ca=self.etcd_ca,
            cert=self.etcd_cert,
            key=self.etcd_key,
            server_name=self.etcd_server_name,
        )
