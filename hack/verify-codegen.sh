#!/usr/bin/env bash
# Fails if the generated code differs from what update-codegen.sh generates.
# Works on a copy and leaves the tree as it is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

copy=$(mktemp -d)
trap 'rm -rf "${copy}"' EXIT
cp -R go.mod go.sum apis generated hack "${copy}"
"${copy}/hack/update-codegen.sh"

stale=0
for dir in apis generated; do
  diff -ruN "${dir}" "${copy}/${dir}" || stale=1
done
if ((stale)); then
  echo "generated code is stale: run make update" >&2
fi
exit "${stale}"
