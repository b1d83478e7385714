#!/bin/bash
# Tries the two commands of the README in a bare Debian 12: a minimal root made by debootstrap from
# the host's own package sources, with git and make added and the committed tree unpacked in it.
#
#   packaging/check-bare.sh [COMMIT]       (default HEAD; needs root)
#
# Everything happens in a mount namespace of its own, so that no mount outlives the check, below a
# temporary folder that is removed afterwards (KEEP=1 keeps it). Nothing of the host is mounted.
# CHECK_LABELS (default unit) chooses what `make test` runs there.
set -euo pipefail

SOURCE=$(cd "$(dirname "$0")/.." && pwd)
COMMIT=${1:-HEAD}
LABELS=${CHECK_LABELS:-unit}

if [ "$(id -u)" -ne 0 ]; then
    echo 'check-bare: needs root (debootstrap, chroot)' >&2
    exit 1
fi

if [ "${SLR_BARE_INNER:-}" != 1 ]; then
    folder=$(mktemp -d "${TMPDIR:-/var/tmp}/slr-bare.XXXXXX")
    cleanup() {
        [ "${KEEP:-0}" = 1 ] && { echo "check-bare: kept $folder" >&2; return; }
        rm -rf --one-file-system "$folder"
    }
    trap cleanup EXIT
    trap 'exit 130' INT TERM HUP
    # A process namespace too: whatever the check leaves running ends with it.
    SLR_BARE_INNER=1 unshare --mount --propagation private --pid --fork --kill-child \
        "$0" "$COMMIT" "$folder/root" </dev/null
    exit
fi

ROOT=$2

# The first plain Debian mirror among the host's sources: one-line form, then deb822.
mirror() {
    local uri
    uri=$(sed -nE 's/^deb +(\[[^]]*\] +)?([^ ]+) +bookworm +.*/\2/p' \
        /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | head -n 1)
    if [ -z "$uri" ]; then
        uri=$(awk '/^URIs:/ { u = $2 } /^Suites:/ { for (i = 2; i <= NF; i++)
                  if ($i == "bookworm") { print u; exit } }' \
            /etc/apt/sources.list.d/*.sources 2>/dev/null | head -n 1)
    fi
    printf '%s' "$uri"
}

proxy_of_apt() {
    local value=
    eval "$(apt-config shell value Acquire::http::Proxy)"
    printf '%s' "$value"
}

MIRROR=$(mirror)
if [ -z "$MIRROR" ]; then
    echo 'check-bare: no Debian 12 source among the host'\''s package sources' >&2
    exit 1
fi
if [ -z "${http_proxy:-}" ] && [ -n "$(proxy_of_apt)" ]; then
    http_proxy=$(proxy_of_apt)
    export http_proxy
fi

echo "check-bare: debootstrap from $MIRROR"
debootstrap --variant=minbase --include=ca-certificates,git,make bookworm "$ROOT" "$MIRROR" \
    >"$ROOT.log" 2>&1 || { tail -n 30 "$ROOT.log" >&2; exit 1; }

# The host's way to the packages: sources, keys, proxies, names.
rm -rf "$ROOT/etc/apt"
cp -a /etc/apt "$ROOT/etc/apt"
mkdir -p "$ROOT/usr/share/keyrings"
cp -n /usr/share/keyrings/* "$ROOT/usr/share/keyrings/" 2>/dev/null || true
cp -L /etc/resolv.conf /etc/hosts "$ROOT/etc/"
if [ -d /usr/local/share/ca-certificates ]; then
    cp -a /usr/local/share/ca-certificates "$ROOT/usr/local/share/"
    chroot "$ROOT" update-ca-certificates >/dev/null 2>&1 || true
fi
mount -t proc proc "$ROOT/proc"
mkdir -p "$ROOT/dev/shm"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT/dev/shm"

mkdir -p "$ROOT/src/spanless"
git -C "$SOURCE" archive "$COMMIT" | tar -x -C "$ROOT/src/spanless"

in_root() {
    env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        LANG=C.UTF-8 ${http_proxy:+http_proxy="$http_proxy"} \
        ${https_proxy:+https_proxy="$https_proxy"} ${no_proxy:+no_proxy="$no_proxy"} \
        chroot "$ROOT" /bin/sh -c "cd /src/spanless && $1"
}

echo 'check-bare: make run ONCE=1'
in_root 'make run ONCE=1'
echo "check-bare: make test LABELS=$LABELS"
in_root "make test LABELS=$LABELS"
echo 'check-bare: both commands work in a bare Debian 12'
