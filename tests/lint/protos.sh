#!/bin/bash
# buf lint over protos/ (rules in protos/buf.yaml). Exit 77 = skipped: buf is not installed (tests/clients/README.md).
set -euo pipefail
cd "$(dirname "$0")/../.."
buf=$PWD/tests/clients/node_modules/.bin/buf
if [[ ! -x $buf ]]; then
  echo "skipped: buf is not installed; ./hive test installs it from npm"
  exit 77
fi
cd protos
"$buf" lint && echo "buf lint found nothing"
