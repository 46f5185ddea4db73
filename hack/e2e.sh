#!/usr/bin/env bash
# Runs the tests of a family that have the tag e2e: hack/e2e.sh FAMILY [FLAGS OF go test].
# make test has run the others. Two packages run at once, as some tests only wait, and those
# with the most code first, which take longest. Those of a module of its own have a target of
# their own.
set -euo pipefail
cd "$(dirname "$0")/.."

family=$1
shift
files=$(grep -rlE --include='*_test.go' --exclude-dir=browser '^//go:build (.* )?e2e( .*)?$' "test/$family")
names=$(grep -hoE '^func Test[A-Z][A-Za-z0-9_]*' $files | sed 's/^func //' | grep -vx TestMain | paste -sd '|')
packages=$(dirname $files | sort -u | while read -r dir; do echo "$(cat "$dir"/*.go | wc -l) ./$dir"; done | sort -rn | cut -d' ' -f2)

# Servers have memory to spare here, and less CPU.
export GOGC=${GOGC:-400}
go test -tags=e2e -count=1 -p=2 -timeout=30m "$@" -run="^($names)\$" $packages
