# etcd from Debian trixie (3.5.16 or later). Not the 3.5.1 of the wheel that `homing up` uses: versions 3.5.0 to 3.5.2
# can lose committed transactions when killed under load (etcd-io/etcd#13766).
FROM debian:trixie-slim
RUN apt-get update && apt-get install --yes --no-install-recommends etcd-server && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10002 --home-dir /nonexistent --shell /usr/sbin/nologin etcd-member \
 && install -d -o 10002 /data
USER 10002
ENTRYPOINT ["/usr/bin/etcd"]
