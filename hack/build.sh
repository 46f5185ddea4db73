#!/usr/bin/env bash
# Builds a program: hack/build.sh PACKAGE [FLAGS OF go build]. It prints its progress if
# there is much to compile.
set -euo pipefail

package=$1
shift

compiled=0
print_progress() {
	if [ -t 2 ]; then
		printf '\r  %d packages compiled' "$compiled" >&2
	elif [ $((compiled % 200)) -eq 0 ]; then
		printf '  %d packages compiled\n' "$compiled" >&2
	fi
}

# go build -v prints the path of each package that it compiles. Other lines are for the
# user.
go build -v "$@" "$package" 2>&1 | while IFS= read -r line; do
	if [[ $line =~ ^[A-Za-z0-9_./~-]+$ ]]; then
		if [ "$compiled" -eq 0 ]; then
			echo "Compiling $package. The first time that is $(go list -deps "$package" | wc -l) packages, which takes some six minutes on two cores." >&2
		fi
		compiled=$((compiled + 1))
		print_progress
	else
		echo "$line" >&2
	fi
done
