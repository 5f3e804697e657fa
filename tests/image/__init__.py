"""The container image, built from nothing and run as the manifests say: `./hive image-test`, docs/kubernetes.md."""
