#!/bin/sh
# Installs the Debian 12 packages that the recorder needs.
#
#   packaging/deps.sh run          what building and running needs
#   packaging/deps.sh test         that, and what the tests need in addition
#   packaging/deps.sh bare         what `make check-bare` needs on the host
#   packaging/deps.sh list SET     prints the names of a set, one a line, and ends
#
# Does nothing, quickly and without root or network, when everything is there. Otherwise runs
# apt-get as root or through sudo, without questions and without recommended packages. No package
# may start its daemon meanwhile: a policy-rc.d that says no stands in for the installed one, which
# is put back whatever happens. NO_INSTALL=1: installs nothing, names what is missing.
set -eu

RUN_PACKAGES='
    ca-certificates cmake espeak-ng gcc jq libbcg729-dev libc6-dev libcairo2-dev libcurl4-openssl-dev
    libexpat1-dev libgsm1-dev libjansson-dev libmicrohttpd-dev libogg-dev libopencore-amrnb-dev
    libopencore-amrwb-dev libopus-dev libpcap-dev libsofia-sip-ua-dev libspandsp-dev
    libsndfile1-dev libspeexdsp-dev libsqlite3-dev libssl-dev liburing-dev ninja-build pkg-config procps python3'
TEST_PACKAGES='
    chromium clang-14 clang-format-14 clang-tidy-14 curl e2fsprogs ffmpeg git iproute2 kamailio
    libclang-rt-14-dev libcriterion-dev libdpdk-dev libsrtp2-dev libvo-amrwbenc-dev llvm-14 opus-tools python3-pytest
    rtpengine-daemon sip-tester sngrep sox tmux tshark util-linux valgrind'
BARE_PACKAGES='debootstrap git make util-linux'

POLICY=/usr/sbin/policy-rc.d
SAVED=/usr/sbin/policy-rc.d.slr-saved
MARK='# slr deps: no daemons while packages are installed'

say() {
    printf 'deps: %s\n' "$*" >&2
}

packages_of() {
    case "$1" in
    run) printf '%s\n' $RUN_PACKAGES ;;
    test) printf '%s\n' $RUN_PACKAGES $TEST_PACKAGES ;;
    bare) printf '%s\n' $BARE_PACKAGES ;;
    *)
        say "unknown set '$1' (run, test, bare)"
        exit 2
        ;;
    esac
}

# Prints those of the packages given that are not installed.
missing_of() {
    for package in "$@"; do
        status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) || status=
        [ "$status" = installed ] || printf '%s\n' "$package"
    done
}

ours() {
    [ -f "$POLICY" ] && grep -qF "$MARK" "$POLICY"
}

restore_policy() {
    if [ -e "$SAVED" ] || [ -L "$SAVED" ]; then
        mv -f "$SAVED" "$POLICY"
    elif ours; then
        rm -f "$POLICY"
    fi
}

forbid_daemons() {
    # A run that was killed may have left its own policy: begin from what the host had.
    restore_policy
    trap restore_policy EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    if [ -e "$POLICY" ] || [ -L "$POLICY" ]; then
        mv "$POLICY" "$SAVED"
    fi
    printf '#!/bin/sh\n%s\nexit 101\n' "$MARK" >"$POLICY"
    chmod 755 "$POLICY"
}

update_lists() {
    for attempt in 1 2 3; do
        if apt-get -q -o DPkg::Lock::Timeout=600 update >&2; then
            return 0
        fi
        say "apt-get update failed (attempt $attempt)"
        sleep 2
    done
    return 1
}

install_packages() {
    export DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical
    # One installation at a time: two would save each other's policy.
    mkdir -p /run/lock
    exec 9>/run/lock/slr-deps.lock
    flock 9
    forbid_daemons
    update_lists || say 'trying with the package lists that are there'
    apt-get -q -y -o DPkg::Lock::Timeout=600 -o Dpkg::Use-Pty=0 \
        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold \
        install --no-install-recommends "$@" >&2
}

main() {
    if [ "${1:-}" = list ]; then
        packages_of "${2:-run}"
        exit 0
    fi
    set_name=${1:-run}
    packages=$(packages_of "$set_name") || exit 2
    missing=$(missing_of $packages)
    if [ -z "$missing" ]; then
        exit 0
    fi
    if [ "${NO_INSTALL:-0}" = 1 ]; then
        say "NO_INSTALL=1; missing for '$set_name':" $missing
        exit 0
    fi
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
            say 'needs root or sudo to install:' $missing
            exit 1
        fi
        exec sudo --preserve-env=http_proxy,https_proxy,no_proxy "$0" "$set_name"
    fi
    if ! grep -qs '^VERSION_ID="12"' /etc/os-release; then
        say 'this is not Debian 12; package names may differ'
    fi
    say 'installing' $missing
    install_packages $missing
    missing=$(missing_of $packages)
    if [ -n "$missing" ]; then
        say 'still missing:' $missing
        exit 1
    fi
}

main "$@"
