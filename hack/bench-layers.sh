#!/usr/bin/env bash
# Runs the Go benchmarks of the layers in this tree and in another commit's, in turns, and
# compares them: bench-layers.sh COMMIT.
set -euo pipefail

base=${1:-$(git describe --tags --abbrev=0 --match='v[0-9]*' 2>/dev/null || true)}
if [[ -z $base ]]; then
	echo "there is no release to compare with; name a commit: make bench-layers BASE=main~10" >&2
	exit 1
fi
root=$(git rev-parse --show-toplevel)
cd "$root"
packages=(./pkg/storage ./pkg/admission ./pkg/allocation/space ./pkg/claims ./pkg/service ./pkg/txn)
rounds=${ROUNDS:-6}

work=$(mktemp -d)
trap 'git worktree remove --force "$work/base" 2>/dev/null || true; rm -rf "$work"' EXIT
git worktree add --quiet --detach "$work/base" "$base"

# binaries builds the test programs of a tree, as far as its packages have benchmarks.
binaries() {
	local tree=$1 out=$2 package
	mkdir -p "$out"
	for package in "${packages[@]}"; do
		if grep -qs '^func Benchmark' "$tree/$package"/*_test.go; then
			go test -C "$tree" -c -o "$out/$(tr / - <<<"${package#./}").test" "$package"
		fi
	done
}

binaries "$work/base" "$work/before"
binaries "$root" "$work/after"
for ((round = 1; round <= rounds; round++)); do
	echo "round $round of $rounds" >&2
	for side in before after; do
		for binary in "$work/$side"/*.test; do
			(cd "$work" && "$binary" -test.run='^$' -test.bench='Commit|Decode|WatchEvent|Plan|Admit|10.96.0.0/20|Rules' -test.benchmem \
				-test.benchtime=200ms) >>"$work/$side.txt"
		done
	done
done
go tool -modfile=hack/benchstat/go.mod benchstat "$work/before.txt" "$work/after.txt"
