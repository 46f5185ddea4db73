#!/usr/bin/env bash
# Puts the program nft, which kube-proxy calls, where it is told to: the machine's
# own, or that of Debian's packages, which are unpacked beside it and not installed.
# It is in no Go module. Where it can't be had this says so and is no failure:
# tests that need nft are skipped then.
set -euo pipefail

nft=$1
if machines=$(PATH=$PATH:/usr/sbin:/sbin command -v nft); then
  ln -sf "$machines" "$nft"
  exit
fi

without() {
  echo "no nft: $1; install the package nftables, or tests of kube-proxy are skipped" >&2
  exit 0
}
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
  without "neither nft nor Debian's packages are on this machine"
fi

# missing lists nft's package and those it needs that the machine doesn't have.
missing() { apt-get install --simulate --no-install-recommends nftables 2>/dev/null | awk '$1 == "Inst" { print $2 }'; }

# A machine that was never asked for packages may have no list of them, or an old one.
download() {
  local packages
  packages=$(missing) && [[ -n $packages ]] && (cd "$work" && apt-get -qq -o APT::Sandbox::User=root download $packages)
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
if ! download; then
  if ! apt-get -qq update || ! download; then
    without "apt-get can't download the package"
  fi
fi

root=$nft.d
rm -rf "$root"
mkdir -p "$root"
for package in "$work"/*.deb; do
  dpkg-deb --extract "$package" "$root"
done
libraries=$(find "$(realpath "$root")" -name '*.so.*' -printf '%h\n' | sort -u | paste -sd:)
cat >"$nft" <<END
#!/bin/sh
LD_LIBRARY_PATH='$libraries' exec '$(realpath "$root")/usr/sbin/nft' "\$@"
END
chmod 755 "$nft"
"$nft" --version
