# hive-coordinator and hive-proxy, and nothing else: no shell, no libraries, nothing to update. Any architecture that the base image
# has. `podman build -t redis-hive .` or `docker build -t redis-hive .`; `./hive image-test` builds and tries it without a registry.
FROM docker.io/library/debian:12 AS build
WORKDIR /src
# The script knows which packages building needs; it is copied alone, so that other changes leave this layer as it is.
COPY hive ./
RUN apt-get update && \
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $(./hive build-packages) && \
    rm -rf /var/lib/apt/lists/*
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY protos protos
COPY common common
COPY coordinator coordinator
COPY proxy proxy
RUN cmake --preset image --log-level=WARNING && cmake --build --preset image
COPY LICENSE ./
# With the licences of what is linked in.
RUN install -s -D -t /image/usr/local/bin build/image/bin/hive-coordinator build/image/bin/hive-proxy && \
    install -m 644 -D LICENSE /image/licenses/redis-hive && \
    for package in libgrpc++-dev libprotobuf-dev libabsl-dev libhiredis-dev libc-ares-dev libssl-dev libre2-dev zlib1g-dev \
        libspdlog-dev libfmt-dev libc6-dev libstdc++-12-dev; do \
      install -m 644 /usr/share/doc/$package/copyright /image/licenses/$package; \
    done

FROM scratch
COPY --from=build /image /
ENV PATH=/usr/local/bin
USER 65532:65532
CMD ["hive-coordinator", "--help"]
