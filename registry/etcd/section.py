"""`[registry]` of a service's configuration: the registry's settings, and how etcd is reached."""

from registry.etcd.client import EtcdSettings
from registry.ports import RegistrySettings
from runtime.process.schema import FilePath
from runtime.process.setting_types import check_addresses, split_list


class RegistrySection(RegistrySettings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[registry]`: where etcd is, and what all processes of one cluster must have alike."""

    etcd: tuple[str, ...] | str = ("127.0.0.1:2379",)  # Client addresses of etcd's members: a list, or with commas.
    etcd_user: str = ""  # A user of etcd; without one, requests carry no authentication.
    etcd_password: str = ""  # The password of etcd_user.
    etcd_ca: FilePath = ""  # PEM file of the CA that has signed etcd's certificate; turns TLS on.
    etcd_cert: FilePath = ""  # PEM file of our client certificate; turns TLS on.
    etcd_key: FilePath = ""  # PEM file of our client certificate's key, if etcd_cert does not hold it.
    # A file with a secret that all processes of the cluster share, at least 16 bytes: who calls a gateway's port for
    # nodes must know it. Without one, whoever reaches that port may call.
    secret_file: FilePath = ""
    etcd_server_name: str = ""  # The name in etcd's certificate; without one, the host that is dialled.

    def __post_init__(self) -> None:
        check_addresses("etcd", split_list(self.etcd))

    def endpoints(self) -> EtcdSettings:
        """How etcd is reached."""
        return EtcdSettings(
            endpoints=split_list(self.etcd),
            user=self.etcd_user,
            password=self.etcd_password,
            ca=self.etcd_ca,
            cert=self.etcd_cert,
            key=self.etcd_key,
            server_name=self.etcd_server_name,
        )
