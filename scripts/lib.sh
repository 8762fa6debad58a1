# shellcheck shell=bash
# What the scripts here share. To be sourced, after `set -euo pipefail`.
#
# Tools that are already on the machine are taken as they are; what is missing is installed, and said so.

# A line for the person at the terminal; what a script prints for other programs goes to standard output.
say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "error: $*"
    exit 1
}

# Can this person run something as root, without being asked in the midst of a pipeline?
may_be_root() {
    [ "$(id -u)" -eq 0 ] || { command -v sudo >/dev/null && { [ -t 0 ] || sudo -n true 2>/dev/null; }; }
}

# Runs a command as root, through sudo where that is needed and there.
as_root() {
    may_be_root || die "this needs root, and sudo cannot be used here; run as root: $*"
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# Is a command there, or, for a name with a slash, a file?
have() {
    case $1 in
        */*) [ -e "$1" ] ;;
        *) command -v "$1" >/dev/null ;;
    esac
}

# need_apt PACKAGE COMMAND [PACKAGE...]: sees to it that the command (or file) is there, and installs the
# Debian package, and any more that are named, when it is not.
need_apt() {
    local packages=("$1" "${@:3}") wanted=$2
    have "$wanted" && return
    command -v apt-get >/dev/null ||
        die "\`$wanted\` is missing and this is no Debian; install what Debian has as: ${packages[*]}"
    may_be_root || die "\`$wanted\` is missing; as root: apt-get install ${packages[*]}"
    say "\`$wanted\` is missing: installing the Debian packages ${packages[*]}"
    local quiet=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=600)
    if [ -z "${apt_is_fresh:-}" ]; then
        as_root "${quiet[@]}" update >&2 || say "the package lists could not be renewed; going on with the old ones"
        apt_is_fresh=yes
    fi
    as_root "${quiet[@]}" install -y --no-install-recommends "${packages[@]}" >&2 ||
        die "the Debian packages ${packages[*]} could not be installed; \`$wanted\` is still missing"
    hash -r
    have "$wanted" || die "the Debian packages ${packages[*]} are installed, but \`$wanted\` is not there"
}

# need_pip PACKAGE FOLDER FILE: sees to it that FOLDER/FILE is there, which the Python package has when installed
# into that folder. Nothing outside the folder changes.
need_pip() {
    local package=$1 folder=$2 file=$3
    [ -e "$folder/$file" ] && return
    need_apt python3 python3
    python3 -m pip --version >/dev/null 2>&1 || need_apt python3-pip pip3
    say "\`$file\` is missing: installing the Python package $package into $folder"
    PIP_ROOT_USER_ACTION=ignore python3 -m pip install --quiet --disable-pip-version-check --no-deps --upgrade --target "$folder" "$package" >&2 ||
        die "the Python package $package could not be installed"
    [ -e "$folder/$file" ] || die "the Python package $package has no $file"
}

readonly rust_minor_min=95
readonly rust_advice="with rustup (https://rustup.rs): rustup toolchain install stable --component rustfmt,clippy"

# A Rust that is new enough. It cannot come from Debian, whose Rust is older than what guestnet needs.
need_rust() {
    local version minor
    { have cargo && have rustc; } || die "cargo and rustc are missing; guestnet needs Rust 1.$rust_minor_min or newer; $rust_advice"
    version=$(rustc --version) # "rustc 1.95.0 (...)"
    minor=${version#rustc 1.}
    [ "${minor%%.*}" -ge "$rust_minor_min" ] 2>/dev/null ||
        die "this is $version, and guestnet needs Rust 1.$rust_minor_min or newer; $rust_advice"
}

need_rust_lints() {
    { cargo fmt --version && cargo clippy --version; } >/dev/null 2>&1 ||
        die "cargo fmt or cargo clippy is missing; $rust_advice; or leave them out: scripts/test --quick"
}

# Scenarios that a thousand seeds of are a matter of minutes, not hours.
# shellcheck disable=SC2034
readonly quick_scenarios=(tests/scenarios/{crashed,duplicates,echo,echo6,fin_lost,half_closed,handshake,injected,killed,last_ack_lost}.toml
    tests/scenarios/{late_listener,link_down,linger,loss_30,multihomed,partition_for_good,paused,rebound,reset_midway}.toml
    tests/scenarios/{router_reboot,stdio,syn_ack_lost,syn_backoff,time,trunk,udp,udp6,udp_duplicated,udp_lossy,udp_outage}.toml
    tests/scenarios/{udp_reordered,unreachable,demo/lab}.toml)
